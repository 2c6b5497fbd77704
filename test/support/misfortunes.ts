import {existsSync, readdirSync, readFileSync, rmSync} from 'node:fs';
import {connect, type Socket} from 'node:net';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import type {Random} from './random.js';

/** A service under a supervisor, as a test sees it. */
export interface Victim {
  readonly supervisorPid: number;
  readonly pid: number;
  readonly port: number;
  readonly runDir: string;
  readonly name: string;
}

interface Process {
  pid: number;
  parent: number;
  state: string;
  name: string;
}

function processes(): Process[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
        const end = stat.lastIndexOf(')');
        const [state, parent] = stat.slice(end + 2).split(' ');
        const called = stat.slice(stat.indexOf('(') + 1, end);
        return [{pid: Number(name), parent: Number(parent), state: state!, name: called}];
      } catch {
        return []; // it has just gone
      }
    });
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Both keepers of the generation that lives, and none of a former one: whichever of them dies now, one is left. */
async function twoKeepers({supervisorPid}: Victim): Promise<number[]> {
  for (;;) {
    const keepers = processes().filter(
      ({name, parent, state}) => name === 'zlr-keeper' && parent === supervisorPid && state !== 'Z',
    );
    if (keepers.length === 2) return keepers.map(({pid}) => pid);
    await delay(5);
  }
}

/** What comes on top of a fault, and is over when the next generation is there. */
const MISFORTUNES = {
  async 'a stalled supervisor'(victim: Victim, random: Random) {
    signal(victim.supervisorPid, 'SIGSTOP');
    const woken = delay(random.below(300)).then(() => signal(victim.supervisorPid, 'SIGCONT'));
    return () => woken;
  },
  async 'a killed keeper'(victim: Victim, random: Random) {
    signal(random.pick(await twoKeepers(victim)), 'SIGKILL');
    await delay(random.below(5));
    return async () => {};
  },
  async 'a stopped keeper'(victim: Victim, random: Random) {
    const keeper = random.pick(await twoKeepers(victim));
    signal(keeper, 'SIGSTOP');
    return async () => signal(keeper, 'SIGCONT');
  },
  async 'no run folder'({runDir, name}: Victim) {
    rmSync(join(runDir, name), {recursive: true, force: true});
    return async () => {};
  },
  async 'no descriptors'({port}: Victim, random: Random) {
    const crowd: Socket[] = Array.from({length: 300}, () => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      return socket;
    });
    await delay(random.below(50));
    return async () => {
      for (const socket of crowd) socket.destroy();
    };
  },
};

type Misfortune = keyof typeof MISFORTUNES;

export class Misfortunes {
  readonly #victim: Victim;
  readonly #random: Random;
  readonly struck = new Map<Misfortune, number>();

  constructor(victim: Victim, random: Random) {
    this.#victim = victim;
    this.#random = random;
  }

  /** One of them, or none. What it resolves to is to be called when the next generation is there. */
  async strike(): Promise<() => Promise<void>> {
    if (this.#random.next() < 0.6) return async () => {};
    const what = this.#random.pick(Object.keys(MISFORTUNES) as Misfortune[]);
    this.struck.set(what, (this.struck.get(what) ?? 0) + 1);
    return MISFORTUNES[what](this.#victim, this.#random);
  }

  /** The folder comes back in time, if it was taken away. */
  async untilFound(): Promise<void> {
    const {runDir, name} = this.#victim;
    while (!existsSync(join(runDir, name, 'control.sock'))) await delay(50);
  }

  toString(): string {
    return [...this.struck].map(([what, times]) => `${what} ${times} times`).join(', ');
  }
}
