import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';

/** What a finished child left behind. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

function start(script: string, args: readonly string[]): ChildProcess {
  const path = fileURLToPath(new URL(`../fixtures/${script}`, import.meta.url));
  return spawn(process.execPath, ['--import=tsx', path, ...args], {stdio: ['pipe', 'pipe', 'pipe']});
}

export async function run(script: string, ...args: string[]): Promise<Ended> {
  const child = start(script, args);
  let [stdout, stderr] = ['', ''];
  child.stdout!.on('data', data => (stdout += data));
  child.stderr!.on('data', data => (stderr += data));
  const [code, signal] = await once(child, 'close');
  return {code, signal, stdout, stderr};
}

/** Starts a child and waits for its first line. */
export async function startAndGreet(
  script: string,
  ...args: string[]
): Promise<{child: ChildProcess; line: string; ended: Promise<unknown>}> {
  const child = start(script, args);
  const ended = once(child, 'close');
  child.stderr!.on('data', data => process.stderr.write(data));
  const [line] = (await once(createInterface(child.stdout!), 'line')) as [string];
  return {child, line, ended};
}
