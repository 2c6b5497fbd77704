import {type ChildProcessByStdio, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import type {Readable} from 'node:stream';
import {fileURLToPath} from 'node:url';

const zlr = fileURLToPath(new URL('../../packages/cli/bin/zlr.js', import.meta.url));

type Child = ChildProcessByStdio<null, Readable, Readable>;

let nextNumber = 1;

/** A program under `zlr run --http`, which says "listening PORT PID"; what is logged are the events to wait for. */
export class KeptProgram {
  readonly runDir = mkdtempSync(join(tmpdir(), 'zlr-test-'));
  readonly log: string[] = [];
  port = 0;
  pid = 0;
  /** Of the generation that was started last. */
  generation = 1;
  /** The processes that said that they listen. */
  readonly #listening = new Set<number>();
  readonly #child: Child;
  readonly #closed: Promise<unknown[]>;
  readonly #wakes = new Set<() => void>();
  #ended = false;

  private constructor(options: readonly string[], program: string, env: NodeJS.ProcessEnv) {
    const name = `kept-${process.pid}-${nextNumber++}`;
    const node = [process.execPath, program, '0'];
    this.#child = spawn(
      process.execPath,
      [zlr, 'run', '--http', '--name', name, '--threshold', '0', ...options, '--', ...node],
      {env: {...process.env, ...env, ZLR_RUN_DIR: this.runDir}, stdio: ['ignore', 'pipe', 'pipe']},
    );
    this.#closed = once(this.#child, 'close');
    for (const stream of [this.#child.stdout, this.#child.stderr])
      createInterface(stream).on('line', line => this.#onLine(line));
    this.#child.on('close', () => {
      this.#ended = true;
      for (const wake of this.#wakes) wake();
    });
  }

  static async start(
    program: string,
    options: readonly string[] = [],
    env: NodeJS.ProcessEnv = {},
  ): Promise<KeptProgram> {
    const kept = new KeptProgram(options, program, env);
    await kept.until(() => kept.#listening.size === 1);
    [kept.pid] = [...kept.#listening] as [number];
    return kept;
  }

  /** Waits for the log to make a condition true. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#ended) throw new Error(`the program ended:\n${this.log.slice(-20).join('\n')}`);
      let wake = (): void => {};
      await new Promise<void>(resolve => {
        wake = resolve;
        this.#wakes.add(wake);
      });
      this.#wakes.delete(wake);
    }
  }

  /** Ends the generation that lives; resolves when another was started. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const {generation} = this;
    process.kill(this.pid, signal);
    await this.until(() => this.generation > generation);
  }

  /** As `kill`, and another one listens. */
  async replace(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.kill(signal);
    await this.until(() => this.isListening);
  }

  /** Does the generation that was started last say so? */
  get isListening(): boolean {
    return this.#listening.has(this.pid);
  }

  async zlr(...args: string[]): Promise<string> {
    const child = spawn(process.execPath, [zlr, ...args], {
      env: {...process.env, ZLR_RUN_DIR: this.runDir},
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.setEncoding('utf8').on('data', text => {
      out += text;
    });
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`zlr ${args.join(' ')} ended with ${code}`);
    return out;
  }

  descriptors(): string[] {
    return readdirSync(`/proc/${this.pid}/fd`);
  }

  /** Ends it in good order; its exit code. */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    const [code] = await this.#closed;
    rmSync(this.runDir, {recursive: true, force: true});
    return code as number | null;
  }

  #onLine(line: string): void {
    this.log.push(line);
    const taken = /; generation (\d+) \(pid (\d+)\) takes over/.exec(line);
    if (taken) {
      this.generation = Number(taken[1]);
      this.pid = Number(taken[2]);
    }
    const listening = /^listening (\d+) (\d+)$/.exec(line);
    if (listening) {
      this.port = Number(listening[1]);
      this.#listening.add(Number(listening[2]));
    }
    for (const wake of this.#wakes) wake();
  }
}
