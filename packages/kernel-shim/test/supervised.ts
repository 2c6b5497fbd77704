import {type ChildProcessByStdio, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {connect, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import type {Readable, Writable} from 'node:stream';
import {fileURLToPath} from 'node:url';
import type {ExecutionContext} from 'ava';
import type {Aging, FaultRecord, Status} from '../dist/index.js';
import {native} from '../dist/native.js';

export const dist = fileURLToPath(new URL('../dist', import.meta.url));
export const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
const TIMEOUT_MS = 60_000;
/** After a test its processes end in good order; what does not is a failure, and killed. */
const LEFT_BEHIND_MS = 20_000;

/** What fixtures/service.mjs says when it is up. */
export interface Up {
  up: number;
  pid: number;
  keeper: number;
  supervised: boolean;
  port: number;
  listener: number;
  channels: number[] | null;
  argv: string[];
  execArgv: string[];
  env: Record<string, string>;
  cwd: string;
  fds: number[];
}

interface Messages {
  up: Up;
  log: {log: string};
  supervisor: {supervisor: number};
  end: {end: {exitCode: number; reason: string}};
  error: {error: {code: string; errno: string | null; message: string}};
}

export interface StartOptions {
  name?: string;
  /** Faults that the first generations commit by themselves. */
  plan?: readonly string[];
  /** Replaces fixtures/service.mjs. */
  command?: readonly string[];
  thresholdMs?: number;
  hangMs?: number;
  aging?: Aging;
  standby?: boolean;
  runDir?: string;
  /** By default the run folder. */
  cwd?: string;
  env?: Record<string, string>;
  /** Runs the supervisor's command line, for example as another user. */
  wrap?: readonly string[];
  /** Where the built package and the fixtures lie; by default here. */
  at?: {dist: string; fixture: (name: string) => string};
}

/** A folder for the services of one test, so that tests do not meet. */
export function makeRunDir(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'zlr-shim-'));
  t.teardown(() => rmSync(directory, {recursive: true, force: true}));
  return directory;
}

/** Resolves when a process of anyone has ended. */
export async function exited(pid: number): Promise<void> {
  const pidfd = native().pidfdOpen(pid);
  if (pidfd < 0) return; // it has gone already
  await new Promise<void>(resolve => {
    native().onExit(pidfd, resolve, true);
  });
}

/** Private memory of a process in kB, and which mappings it is in. */
export function privateMemory(pid: number): {kB: number; where: string[]} {
  const where: string[] = [];
  let mapping = '';
  let kB = 0;
  for (const line of readFileSync(`/proc/${pid}/smaps`, 'utf8').split('\n')) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) mapping = line;
    const size = Number(/^Private_\w+:\s+(\d+) kB$/.exec(line)?.[1] ?? 0);
    if (size === 0) continue;
    kB += size;
    where.push(`${line} in ${mapping}`);
  }
  return {kB, where};
}

/** A service under a supervisor in a process of its own; all of it ends with the test. */
export class Supervised {
  readonly runDir: string;
  readonly name: string;
  readonly stdin: Writable;
  readonly outcome: Promise<number | null>;
  stderr = '';
  /** All that it has said, to be shown when a test fails. */
  readonly #said: string[] = [];
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #t: ExecutionContext;
  readonly #arrived = new Map<string, unknown[]>();
  readonly #waiting = new Map<string, ((message: unknown) => void)[]>();
  #last: Up | undefined;
  #closed = false;

  constructor(t: ExecutionContext, options: StartOptions = {}) {
    t.timeout(TIMEOUT_MS);
    this.#t = t;
    this.name = options.name ?? 'service';
    this.runDir = options.runDir ?? makeRunDir(t);
    const at = options.at ?? {dist, fixture};
    const node = process.execPath;
    const command = options.command ?? [
      node,
      '--no-warnings',
      at.fixture('service.mjs'),
      at.dist,
      ...(options.plan ?? []),
    ];
    const {thresholdMs, hangMs, aging, standby} = options;
    const settings = {name: this.name, command, thresholdMs, hangMs, aging, standby};
    const [file, ...args] = [
      ...(options.wrap ?? []),
      node,
      at.fixture('supervise.mjs'),
      at.dist,
      JSON.stringify(settings),
    ];
    this.#child = spawn(file!, args, {
      cwd: options.cwd ?? this.runDir,
      // A group of its own, as a shell gives every command.
      detached: true,
      env: {...process.env, ...options.env, ZLR_RUN_DIR: this.runDir},
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.stdin = this.#child.stdin;
    this.outcome = once(this.#child, 'exit').then(([code]) => code as number | null);
    createInterface(this.#child.stdout).on('line', line => this.#onLine(line));
    this.#child.stderr.setEncoding('utf8').on('data', text => {
      this.stderr += text;
    });
    const closed = once(this.#child, 'close').then(() => {
      this.#closed = true;
    });
    t.teardown(() => this.#tearDown(closed));
  }

  /** Starts a service and waits until it is up. */
  static async start(
    t: ExecutionContext,
    options: StartOptions = {},
  ): Promise<{service: Supervised; up: Up}> {
    const service = new Supervised(t, options);
    return {service, up: await service.next('up')};
  }

  get supervisorPid(): number {
    return this.#child.pid!;
  }

  /** The next message of a kind that was not taken yet. */
  next<K extends keyof Messages>(kind: K): Promise<Messages[K]> {
    const ready = this.#arrived.get(kind)?.shift();
    if (ready) return Promise.resolve(ready as Messages[K]);
    return new Promise(resolve => {
      const waiting = this.#waiting.get(kind) ?? [];
      this.#waiting.set(kind, [...waiting, resolve as (message: unknown) => void]);
    });
  }

  /** The next line of the log that fits; those before it are passed over. */
  async logged(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec((await this.next('log')).log);
      if (found) return found;
    }
  }

  /** Messages of a kind that arrived and were not taken. */
  count(kind: keyof Messages): number {
    return this.#arrived.get(kind)?.length ?? 0;
  }

  /** Asks the supervisor. */
  async status(): Promise<Status> {
    const socket = connect(join(this.runDir, this.name, 'control.sock')).setEncoding('utf8');
    socket.write('{"type":"status"}\n');
    const [line] = (await once(createInterface(socket), 'line')) as [string];
    socket.destroy();
    return (JSON.parse(line) as {status: Status}).status;
  }

  /** How each fault was told to the supervisor. */
  async faults(): Promise<Pick<FaultRecord, 'generation' | 'class' | 'signal' | 'exitCode'>[]> {
    const {faults} = await this.status();
    return faults.map(({generation, class: kind, signal, exitCode}) => ({
      generation,
      class: kind,
      signal,
      exitCode,
    }));
  }

  async killSupervisor(): Promise<void> {
    process.kill(this.supervisorPid, 'SIGKILL');
    await this.outcome;
  }

  #onLine(line: string): void {
    this.#said.push(line.slice(0, 300));
    const message = JSON.parse(line) as object;
    const kind = Object.keys(message)[0]!;
    if (kind === 'up') this.#last = message as Up;
    const waiting = this.#waiting.get(kind)?.shift();
    if (waiting) waiting(message);
    else this.#arrived.set(kind, [...(this.#arrived.get(kind) ?? []), message]);
  }

  /** Every process of this service holds its standard output, so when that is closed none is left. */
  async #tearDown(closed: Promise<void>): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGTERM');
    else if (!this.#closed && this.#last) signal(this.#last.pid, 'SIGTERM');
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>(resolve => {
      timer = setTimeout(resolve, LEFT_BEHIND_MS, 'late');
    });
    const outcome = await Promise.race([closed, late]);
    clearTimeout(timer);
    if (!this.#t.passed) this.#t.log([...this.#said.slice(-20), this.stderr].join('\n'));
    if (outcome !== 'late') return;
    const last = this.#last;
    for (const pid of [this.supervisorPid, last?.keeper, last?.pid]) if (pid) signal(pid, 'SIGKILL');
    throw new Error(
      `processes were left behind: ${JSON.stringify({...last, env: undefined})}\n${this.stderr}`,
    );
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

export interface Who {
  generation: number;
  pid: number;
  keeper: number;
  fd: number;
}

/** A connection to fixtures/service.mjs. */
export class Client {
  readonly ended: Promise<void>;
  readonly #socket: Socket;
  readonly #lines: string[] = [];
  readonly #waiting: ((line: string) => void)[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    const lines = createInterface(socket);
    lines.on('line', line => {
      const waiting = this.#waiting.shift();
      if (waiting) waiting(line);
      else this.#lines.push(line);
    });
    lines.on('error', () => socket.destroy()); // a reset is an end, too
    this.ended = new Promise(resolve => socket.once('close', () => resolve()));
  }

  static async open(t: ExecutionContext, port: number): Promise<Client> {
    const socket = connect({port, host: '127.0.0.1', noDelay: true});
    await once(socket, 'connect');
    t.teardown(() => socket.destroy());
    return new Client(socket);
  }

  send(command: string): void {
    this.#socket.write(`${command}\n`);
  }

  async ask<T = Who>(command: string): Promise<T> {
    this.send(command);
    const line = this.#lines.shift() ?? (await new Promise<string>(resolve => this.#waiting.push(resolve)));
    return JSON.parse(line) as T;
  }

  who(): Promise<Who> {
    return this.ask('who');
  }
}
