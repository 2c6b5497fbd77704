import {performance} from 'node:perf_hooks';

/** What a process says of itself while its event loop turns. */
export interface Beat {
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** How much later than it should this beat came. */
  readonly lateMs: number;
}

/**
 * Beats on a timer of the event loop, so that it stops when JavaScript hangs, native code deadlocks, or the process is stopped. It
 * keeps no process alive.
 */
export class Heartbeat {
  readonly #send: (beat: Beat) => void;
  #timer: NodeJS.Timeout | undefined;
  #memory = {rssBytes: 0, heapBytes: 0};

  constructor(send: (beat: Beat) => void) {
    this.#send = send;
  }

  beat(lateMs: number): void {
    this.#look();
    this.#send({...this.#memory, lateMs});
  }

  /** A table of descriptors that is full, or a /proc that is away, is not what a service ends for. */
  #look(): void {
    try {
      const {rss, heapUsed} = process.memoryUsage();
      this.#memory = {rssBytes: rss, heapBytes: heapUsed};
    } catch {
      // What was known before still tells more than nothing.
    }
  }

  start(everyMs: number): void {
    clearInterval(this.#timer);
    let due = performance.now() + everyMs;
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.beat(Math.max(0, Math.round(now - due)));
      due = now + everyMs;
    }, everyMs).unref();
  }
}
