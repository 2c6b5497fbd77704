import {native} from '../native.js';
import {endedChildren} from './processes.js';

/** An orphan that has ended is reaped so soon: it can wait for what follows from a fault. */
const REAP_MS = 100;
/** Who is reaped by nobody for so long has no parent that wants to know. */
const STRANGER_MS = 1_000;

/** What was started by a generation and outlived it, has become a child of this process. */
export class Reaper {
  /** Every generation leads one; what is left in it is ours to end and to reap. */
  readonly sessions = new Set<number>();
  /** Generations and keepers, whose ends others wait for. */
  readonly #isKnown: (pid: number) => boolean;
  #soon: NodeJS.Timeout | undefined;
  #later: NodeJS.Timeout | undefined;

  constructor(isKnown: (pid: number) => boolean) {
    this.#isKnown = isKnown;
  }

  start(): void {
    process.on('SIGCHLD', this.#reapSoon);
  }

  stop(): void {
    process.off('SIGCHLD', this.#reapSoon);
    clearTimeout(this.#soon);
    clearTimeout(this.#later);
  }

  readonly #reapSoon = (): void => {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.#reap();
    }, REAP_MS).unref();
  };

  #reap(): void {
    const strangers = new Set<number>();
    for (const {pid, session} of endedChildren()) {
      if (this.#isKnown(pid)) continue;
      if (this.sessions.has(session)) native().reap(pid);
      else strangers.add(pid);
    }
    if (process.pid === 1 && strangers.size > 0) this.#reapLater(strangers);
  }

  /**
   * To process 1 come the orphans of everybody, and nothing tells them from children that the program around this has started itself;
   * but those Node reaps at once.
   */
  #reapLater(strangers: ReadonlySet<number>): void {
    this.#later ??= setTimeout(() => {
      this.#later = undefined;
      for (const {pid} of endedChildren()) if (strangers.has(pid)) native().reap(pid);
      this.#reap();
    }, STRANGER_MS).unref();
  }
}
