import {randomBytes} from 'node:crypto';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {CommandLine, type Foreground} from './command-line.js';

export const content = randomBytes(5_000_000);

export function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'zlr-www-'));
  t.teardown(() => rmSync(path, {recursive: true}));
  writeFileSync(join(path, 'hello.txt'), 'hello\n');
  writeFileSync(join(path, 'big.bin'), content);
  return path;
}

export interface Served {
  readonly commandLine: CommandLine;
  readonly server: Foreground;
  readonly host: string;
  readonly port: number;
}

/** A folder that is served under a supervisor. */
export async function serve(t: ExecutionContext): Promise<Served> {
  const commandLine = new CommandLine(t);
  const {serviceName} = commandLine;
  const server = commandLine.start(
    'serve',
    folder(t),
    '--port',
    '0',
    '--name',
    serviceName,
    '--threshold',
    '0',
  );
  const line = await server.line();
  t.regex(line, /^listening on http:\/\/127\.0\.0\.1:\d+$/);
  const {hostname, port} = new URL(line.replace('listening on ', ''));
  return {commandLine, server, host: hostname, port: Number(port)};
}
