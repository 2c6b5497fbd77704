import {type ChildProcess, spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {createInterface} from 'node:readline';
import type {ExecutionContext} from 'ava';
import type {Schema, StoreOptions} from '../../src/index.js';
import {bundle} from './bundle.js';

export interface Said {
  pid: number;
  ready?: true;
  opened?: number;
  inside?: number;
  waiting?: number;
  done?: number;
  code?: string;
  message?: string;
}

let script: string | undefined;

/** A process of fixtures/claimant.ts. */
export class Claimant {
  readonly ended: Promise<unknown>;
  private readonly child: ChildProcess;
  private readonly lines: string[] = [];
  private readonly waiting: ((line: string) => void)[] = [];

  private constructor(options: Omit<StoreOptions<Schema>, 'schema'>, wrap: readonly string[]) {
    script ??= bundle('claimant.ts');
    const [file, ...args] = [...wrap, process.execPath, script, JSON.stringify(options)];
    this.child = spawn(file!, args, {stdio: ['pipe', 'pipe', 'inherit']});
    this.ended = once(this.child, 'close');
    this.child.stdin!.on('error', () => {}); // it may have been killed
    createInterface(this.child.stdout!).on('line', line => {
      const waiting = this.waiting.shift();
      if (waiting) waiting(line);
      else this.lines.push(line);
    });
  }

  /** `wrap`: a command that runs it, such as unshare. */
  static async start(
    t: ExecutionContext,
    options: Omit<StoreOptions<Schema>, 'schema'>,
    wrap: readonly string[] = [],
  ): Promise<Claimant> {
    const claimant = new Claimant(options, wrap);
    t.teardown(() => claimant.kill());
    await claimant.said();
    return claimant;
  }

  async said(): Promise<Said> {
    const line = this.lines.shift() ?? (await new Promise<string>(resolve => this.waiting.push(resolve)));
    return JSON.parse(line) as Said;
  }

  /** The next thing of this kind, whatever it says before. */
  async saidOf(kind: keyof Said): Promise<Said> {
    for (;;) {
      const said = await this.said();
      if (said[kind] !== undefined) return said;
    }
  }

  tell(word = ''): void {
    this.child.stdin!.write(`${word}\n`);
  }

  async open(): Promise<Said> {
    this.tell();
    return this.said();
  }

  /** As this process numbers it: the command that runs it has it for a child. */
  private get pid(): number {
    const {pid} = this.child;
    const [inner] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
    return inner ? Number(inner) : pid!;
  }

  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name);
  }

  async kill(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      try {
        this.signal('SIGKILL');
      } catch {
        // it ended just now
      }
      this.child.kill('SIGKILL');
    }
    await this.ended;
  }
}

/** What starts a command in a pid namespace of its own; undefined: nothing is allowed to here. */
export function newPidNamespace(): readonly string[] | undefined {
  return [
    ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'],
    ['unshare', '--map-root-user', '--pid', '--fork', '--kill-child', '--mount-proc'],
  ].find(([file, ...args]) => spawnSync(file!, [...args, 'true']).status === 0);
}
