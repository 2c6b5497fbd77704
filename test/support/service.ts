import {type ChildProcessByStdio, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import type {Readable} from 'node:stream';
import {fileURLToPath} from 'node:url';

const zlr = fileURLToPath(new URL('../../packages/cli/bin/zlr.js', import.meta.url));
const faultOnSignal = new URL('../../scripts/demo/fault-on-signal.mjs', import.meta.url).href;

type Child = ChildProcessByStdio<null, Readable, Readable>;

/** `zlr serve` in a process of its own; what it logs are the events to wait for. */
export class ServedFolder {
  readonly runDir: string;
  readonly log: string[] = [];
  port = 0;
  /** Of the generation that lives, as far as the log has told. */
  pid = 0;
  generation = 1;
  /** Those that have said that they stand by, and their processes. */
  readonly standing = new Map<number, number>();
  /** The generation that has said that it serves. */
  serving = 1;
  readonly #child: Child;
  readonly #closed: Promise<unknown[]>;
  #wake: (() => void) | undefined;
  #ended = false;

  private constructor(
    child: Child,
    runDir: string,
    readonly name: string,
  ) {
    this.#child = child;
    this.runDir = runDir;
    this.#closed = once(child, 'close');
    for (const stream of [child.stdout, child.stderr]) {
      createInterface(stream).on('line', line => this.#onLine(line));
    }
    child.on('close', () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  /** `files`: the limit of open files that it gets; `options` of `zlr serve`. */
  static async start(
    folder: string,
    name: string,
    files?: number,
    options: readonly string[] = [],
  ): Promise<ServedFolder> {
    const runDir = mkdtempSync(join(tmpdir(), 'zlr-test-'));
    const command = [zlr, 'serve', folder, '--port', '0', '--name', name, '--threshold', '0', ...options];
    const limit = files === undefined ? '' : `ulimit -n ${files}; `;
    const child = spawn('sh', ['-c', `${limit}exec "$0" "$@"`, process.execPath, ...command], {
      env: {...process.env, ZLR_RUN_DIR: runDir, NODE_OPTIONS: `--import=${faultOnSignal}`},
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const service = new ServedFolder(child, runDir, name);
    await service.until(() => service.port > 0);
    const {pid} = JSON.parse(await service.zlr('status', '--json')) as {pid: number};
    service.pid = pid;
    return service;
  }

  get supervisorPid(): number {
    return this.#child.pid!;
  }

  /** Waits for the log to make a condition true. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#ended) throw new Error(`the service ended:\n${this.log.slice(-20).join('\n')}`);
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
    }
  }

  /** Another command of the command line, about this service. */
  async zlr(...args: string[]): Promise<string> {
    const child = spawn(process.execPath, [zlr, ...args], {
      env: {...process.env, ZLR_RUN_DIR: this.runDir},
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', text => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', text => {
      errors += text;
    });
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`zlr ${args.join(' ')} ended with ${code}: ${errors}`);
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
    const listening = /^listening on http:\/\/.*:(\d+)$/.exec(line);
    if (listening) this.port = Number(listening[1]);
    const stands = /^zlr: generation (\d+) \(pid (\d+)\) stands by$/.exec(line);
    if (stands) this.standing.set(Number(stands[1]), Number(stands[2]));
    const taken = /; generation (\d+) \(pid (\d+)\)(?:, which stood by,)? takes over/.exec(line);
    if (taken) {
      this.generation = Number(taken[1]);
      this.pid = Number(taken[2]);
    }
    const goesOn = /^zlr: generation (\d+) goes on/.exec(line);
    if (goesOn) this.serving = Number(goesOn[1]);
    this.#wake?.();
  }
}
