import {HreadError} from '../errors.js';
import type {Connection} from './connection.js';

/** What one call of `input` works with. It is of no use when that call is over: then it throws REQUEST_OVER. */
export class Unit<D = unknown> {
  #connection: Connection<D> | undefined;
  #held: Buffer | undefined;
  #abort: AbortController | undefined;
  #isAborted: boolean;

  constructor(connection: Connection<D>, isAborted: boolean) {
    this.#connection = connection;
    this.#isAborted = isAborted;
  }

  /** All that the client has sent and nothing has consumed yet: your own copy of it. */
  get held(): Buffer {
    this.#held ??= this.#use('held').peek();
    return this.#held;
  }

  /** Aborted when the connection has gone: what was begun for it may be given up. */
  get signal(): AbortSignal {
    this.#use('signal');
    this.#abort ??= new AbortController();
    if (this.#isAborted) this.#abort.abort();
    return this.#abort.signal;
  }

  abort(): void {
    this.#isAborted = true;
    this.#abort?.abort();
  }

  over(): void {
    this.#connection = undefined;
    this.#held = undefined;
  }

  #use(what: string): Connection<D> {
    if (this.#connection) return this.#connection;
    throw new HreadError(
      'REQUEST_OVER',
      `${what} belongs to a call of input that is over; take what you need of it before, or make input asynchronous`,
    );
  }
}
