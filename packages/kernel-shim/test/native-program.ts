import {execFile} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {basename, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import type {ExecutionContext} from 'ava';

const exec = promisify(execFile);

/** The native sources that need nothing of Node. */
const sources = ['channels/books.c', 'reactor/hold.c', 'reactor/outflow.c', 'channels/sockets.c'].map(name =>
  fileURLToPath(new URL(`../native/${name}`, import.meta.url)),
);

/** As the addon is built, with every assert. */
export const plain = ['-O2'] as const;
/** gcc and clang both have them, with the packages that any of the two comes in; without them the build fails. */
export const sanitized = ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'] as const;

/** Compiles a program of test/native against the real sources; it goes with the test. */
export async function compile(
  t: ExecutionContext,
  program: string,
  flags: readonly string[],
): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'zlr-native-'));
  t.teardown(() => rmSync(directory, {recursive: true}));
  const out = join(directory, basename(program, '.c'));
  const source = fileURLToPath(new URL(`native/${program}`, import.meta.url));
  await exec('cc', ['-std=c17', '-Wall', '-Wextra', '-Werror', ...flags, source, ...sources, '-o', out]);
  return out;
}

/** Runs a program to its end and reads the JSON that it prints; what it complains of is the error's message. */
export async function run(program: string, ...args: string[]): Promise<Record<string, number>> {
  const {stdout} = await exec(program, args);
  return stdout === '' ? {} : (JSON.parse(stdout) as Record<string, number>);
}

/** Compiles a few lines of C and splits what they print: a name and a number a line. */
export async function compileAndRun(t: ExecutionContext, source: string): Promise<[string, number][]> {
  const directory = mkdtempSync(join(tmpdir(), 'zlr-native-'));
  t.teardown(() => rmSync(directory, {recursive: true}));
  const program = join(directory, 'program');
  writeFileSync(`${program}.c`, source);
  await exec('cc', ['-std=c17', '-Wall', '-Wextra', '-Werror', `${program}.c`, '-o', program]);
  const {stdout} = await exec(program);
  return stdout
    .trimEnd()
    .split('\n')
    .map(line => line.split(' '))
    .map(([name, number]) => [name!, Number(number)]);
}
