import {type ChildProcessByStdio, execFileSync, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import type {Readable} from 'node:stream';
import {fileURLToPath} from 'node:url';
import type {ExecutionContext} from 'ava';

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

type Child = ChildProcessByStdio<null, Readable, Readable>;
let nextNumber = 1;

/** A service in a process of its own, under a supervisor; what both of them log are the events to wait for. */
export class Supervised {
  readonly log: string[] = [];
  readonly name: string;
  /** The folder that crash capsules are kept in. */
  readonly capsules: string;
  port = 0;
  /** Of the generation that lives, as far as the log has told. */
  pid = 0;
  generation = 1;
  /** The generation that has said that it serves. */
  serving = 1;
  readonly #child: Child;
  readonly #folder: string;
  readonly #closed: Promise<unknown[]>;
  readonly #waiting = new Set<() => void>();
  #ended = false;

  private constructor(child: Child, folder: string, name: string) {
    this.#child = child;
    this.#folder = folder;
    this.name = name;
    this.capsules = join(folder, 'capsules');
    this.#closed = once(child, 'close');
    for (const stream of [child.stdout, child.stderr]) {
      createInterface(stream).on('line', line => this.#onLine(line));
    }
    child.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /**
   * Starts a service that says `listening on ...PORT`. The command is made from the service's name, which no other
   * test uses. It is ended with the test, in good order.
   */
  static async start(t: ExecutionContext, command: (name: string) => readonly string[]): Promise<Supervised> {
    const folder = mkdtempSync(join(tmpdir(), 'zlr-test-'));
    const name = `test-${process.pid}-${nextNumber++}`;
    const runDir = join(folder, 'run');
    const preload = join(folder, 'fault-at.so');
    execFileSync('cc', ['-O1', '-Wall', '-shared', '-fPIC', '-o', preload, fixture('fault-at.c'), '-ldl']);
    const child = spawn(process.execPath, [fixture('supervise.mjs'), name, ...command(name)], {
      env: {
        ...process.env,
        ZLR_RUN_DIR: runDir,
        ZLR_CAPSULES: join(folder, 'capsules'),
        ZLR_TEST_PRELOAD: preload,
        ZLR_TEST_FAULT: join(folder, 'fault'),
        ZLR_TEST_CLOCK: join(folder, 'clock'),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const service = new Supervised(child, folder, name);
    t.teardown(async () => {
      if (!service.#ended) child.kill('SIGTERM');
      await service.#closed;
      rmSync(folder, {recursive: true});
      if (!t.passed) t.log(service.log.slice(-20).join('\n'));
    });
    await service.until(() => service.port > 0);
    const note = JSON.parse(readFileSync(join(runDir, name, 'service.json'), 'utf8')) as {pid: number};
    service.pid = note.pid;
    return service;
  }

  /** Waits for the log to make a condition true. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#ended) throw new Error(`the service ended:\n${this.log.slice(-20).join('\n')}`);
      await new Promise<void>(resolve => this.#waiting.add(resolve));
    }
  }

  /** Kills this generation at once, and waits until the next one serves. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const {generation} = this;
    process.kill(this.pid, signal);
    await this.untilServing(generation + 1);
  }

  /** Lets the service be killed at a system call to come: see fixtures/fault-at.c. */
  arm(call: string, number: number, when: 'before' | 'half' | 'after'): void {
    const file = join(this.#folder, 'fault');
    writeFileSync(`${file}.new`, `${call} ${number} ${when}`);
    renameSync(`${file}.new`, file);
  }

  /** Lets every connection look as if it had been quiet for so long. */
  setClockForward(seconds: number): void {
    const file = join(this.#folder, 'clock');
    writeFileSync(`${file}.new`, `${seconds}`);
    renameSync(`${file}.new`, file);
  }

  async untilServing(generation: number): Promise<void> {
    await this.until(() => this.serving >= generation && this.generation >= generation);
  }

  /** What the generation that serves said of its recovery. */
  get lastRecovery(): string {
    return this.log.findLast(line => line.startsWith(`zlr: generation ${this.serving} goes on`)) ?? '';
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits for the end of service and supervisor; the exit code. */
  async ended(): Promise<number | null> {
    return (await this.#closed)[0] as number | null;
  }

  #onLine(line: string): void {
    this.log.push(line);
    const listening = /^listening on .*?(\d+)(?:,.*)?$/.exec(line);
    if (listening) this.port = Number(listening[1]);
    const taken = /; generation (\d+) \(pid (\d+)\) takes over/.exec(line);
    if (taken) {
      this.generation = Number(taken[1]);
      this.pid = Number(taken[2]);
    }
    const goesOn = /^zlr: generation (\d+) goes on/.exec(line);
    if (goesOn) this.serving = Number(goesOn[1]);
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}
