import type {Server} from 'node:http';
import type {Socket} from 'node:net';
import {holdBack} from './node-server.js';
import type {Left} from './recovery.js';

/** A request that is not answered in this time is no longer alone: the others have waited long enough. */
const TRIAL_MS = 2_000;
/** So long do the others wait at most. */
const TRIALS_MS = 10_000;

/**
 * Requests that were there at several faults are run again one at a time, with nothing beside them, so that it shows which of them it is
 * that ends the process. Meanwhile all other connections wait, also new ones.
 */
export class Trials {
  readonly #suspects: Set<Left>;
  readonly #give: (left: Left, server: Server) => Socket | undefined;
  readonly #held: (() => void)[] = [];
  readonly #ready: [Left, Server][] = [];
  readonly #guarded = new Set<Server>();
  #now: {end: () => void} | undefined;
  #limit: NodeJS.Timeout | undefined;

  constructor(suspects: readonly Left[], give: (left: Left, server: Server) => Socket | undefined) {
    this.#suspects = new Set(suspects);
    this.#give = give;
  }

  get #isOver(): boolean {
    return this.#suspects.size === 0;
  }

  /** A server listens. */
  guard(server: Server): void {
    if (this.#isOver || this.#guarded.has(server)) return;
    this.#guarded.add(server);
    this.#held.push(holdBack(server));
    this.#limit ??= setTimeout(() => this.#release(), TRIALS_MS);
  }

  /** True: it is tried in its turn, or waits until all trials are over. */
  takes(left: Left, server: Server, later: () => void): boolean {
    if (this.#isOver) return false;
    if (this.#suspects.has(left)) {
      this.#ready.push([left, server]);
      this.#next();
    } else {
      this.#held.push(later);
    }
    return true;
  }

  /** It has ended, or is not to be tried for another reason. */
  forget(left: Left): void {
    if (!this.#suspects.delete(left)) return;
    if (this.#isOver) this.#release();
  }

  #next(): void {
    if (this.#now) return;
    const first = this.#ready.shift();
    if (!first) return;
    const [left, server] = first;
    left.countAttempt(true);
    const timer = setTimeout(() => trial.end(), TRIAL_MS);
    const onRequest = (
      request: {socket: Socket},
      response: {once(event: 'close', call: () => void): void},
    ): void => {
      if (request.socket === socket) response.once('close', () => trial.end());
    };
    const trial = {
      end: (): void => {
        if (this.#now !== trial) return;
        this.#now = undefined;
        clearTimeout(timer);
        left.joined(); // however it ended, what comes from here on is not of its making alone
        server.removeListener('request', onRequest);
        this.forget(left);
        this.#next();
      },
    };
    this.#now = trial;
    server.prependListener('request', onRequest);
    const socket = this.#give(left, server);
    if (socket) socket.once('close', () => trial.end());
    else trial.end();
  }

  #release(): void {
    clearTimeout(this.#limit);
    this.#suspects.clear();
    const untried = this.#ready.splice(0); // before the present one ends: the next would be tried
    this.#now?.end();
    for (const [left, server] of untried) {
      left.countAttempt(false);
      this.#give(left, server);
    }
    for (const release of this.#held.splice(0)) release();
  }
}
