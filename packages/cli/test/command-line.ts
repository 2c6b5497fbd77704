import {type ChildProcessByStdio, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import type {Readable, Writable} from 'node:stream';
import {fileURLToPath} from 'node:url';
import type {ExecutionContext} from 'ava';

export const zlr = fileURLToPath(new URL('../bin/zlr.js', import.meta.url));

let nextNumber = 1;

export interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The real command in a process of its own, among services that only this test can see. */
export class CommandLine {
  readonly runDir = mkdtempSync(join(tmpdir(), 'zlr-cli-'));
  /** For a service: its state is found by its name wherever its run folder is. */
  readonly serviceName = `cli-${process.pid}-${nextNumber++}`;
  readonly #t: ExecutionContext;

  constructor(t: ExecutionContext) {
    this.#t = t;
    t.teardown(() => rmSync(this.runDir, {recursive: true}));
  }

  /** Runs a command that ends by itself. */
  async run(...args: string[]): Promise<Outcome> {
    const child = this.#spawn(args);
    child.stdin.end();
    return ended(child);
  }

  /** Starts a command that stays in the foreground; it is ended with the test. */
  start(...args: string[]): Foreground {
    const child = this.#spawn(args);
    const foreground = new Foreground(child);
    this.#t.teardown(async () => {
      child.kill('SIGTERM');
      await foreground.outcome;
    });
    return foreground;
  }

  #spawn(args: string[]) {
    return spawn(process.execPath, [zlr, ...args], {
      // A group of its own, as a shell gives every command: a test can press Ctrl-C.
      detached: true,
      env: {...process.env, ZLR_RUN_DIR: this.runDir},
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  }
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

export class Foreground {
  readonly outcome: Promise<Outcome>;
  readonly stdin: Writable;
  readonly #child: Child;
  readonly #lines: AsyncIterator<string>;
  #warnings = '';

  constructor(child: Child) {
    this.#child = child;
    this.stdin = child.stdin;
    this.outcome = ended(child);
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    child.stderr.on('data', text => {
      this.#warnings += text;
    });
  }

  /** The next line on standard output; an error with what the command said if it ends before. */
  async line(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done) throw new Error(`the command ended: ${JSON.stringify(await this.outcome)}`);
    return next.value;
  }

  /** Waits until it has said that on standard error. */
  async warned(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.#warnings)) await once(this.#child.stderr, 'data');
  }

  /** To the command alone, as `kill PID` does. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** To the whole process group, as a terminal does. */
  pressCtrlC(): void {
    process.kill(-this.#child.pid!, 'SIGINT');
  }
}

async function ended(child: Child): Promise<Outcome> {
  const out = {stdout: '', stderr: ''};
  child.stdout.setEncoding('utf8').on('data', text => {
    out.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', text => {
    out.stderr += text;
  });
  const [exitCode] = await once(child, 'close');
  return {exitCode, ...out};
}
