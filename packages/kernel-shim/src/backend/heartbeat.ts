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

  constructor(send: (beat: Beat) => void) {
    this.#send = send;
  }

  beat(lateMs: number): void {
    const {rss, heapUsed} = process.memoryUsage();
    this.#send({rssBytes: rss, heapBytes: heapUsed, lateMs});
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
