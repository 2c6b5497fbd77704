import {types} from 'node:util';
import type {Channel} from '../channels/channel.js';
import {Flag} from '../channels/channel-record.js';
import {HreadError} from '../errors.js';
import type {ChannelLoop} from '../reactor/loop.js';
import type {Connection, OwnRecord} from './connection.js';
import {Unit} from './unit.js';

export interface Handlers<D> {
  input(connection: Connection<D>, unit: Unit<D>): unknown;
  poison?(connection: Connection<D>, unit: Buffer, error: unknown): void;
  throws: 'poison' | 'fault';
  /** What is kept of a unit that could not be processed. */
  keep(connection: Connection<D>, record: OwnRecord<D>, unit: Buffer, error: unknown): void;
}

/** A unit that was there at so many faults is tried again alone. */
const SUSPECT_FAULTS = 2;
/** A try that lasts so long and ends nothing acquits: the others have waited enough. */
const ALONE_MS = 2000;

type Own<D> = Channel<OwnRecord<D>>;

/**
 * Runs `input`, and finds out whose input cannot be processed. A throw concerns its connection: it is tried once more,
 * then it is poison. A crash of the process leaves in the records who was being worked on: one that was there at two
 * crashes is a suspect; suspects are tried again one at a time, with nobody else at work, so that an innocent is never
 * blamed; and one that crashes alone is poison.
 */
export class Worker<D> {
  readonly #loop: ChannelLoop<OwnRecord<D>>;
  readonly #handlers: Handlers<D>;
  readonly #isAsync: boolean;
  readonly #connectionOf: (channel: Own<D>) => Connection<D>;
  readonly #suspects = new Set<Own<D>>();
  readonly #poisoned = new Set<Own<D>>();
  /** What waits until no suspect is left. */
  readonly #parked = new Set<Own<D>>();
  readonly #threw = new Set<Own<D>>();
  readonly #units = new Map<Own<D>, Unit<D>>();

  constructor(
    loop: ChannelLoop<OwnRecord<D>>,
    handlers: Handlers<D>,
    connectionOf: (channel: Own<D>) => Connection<D>,
  ) {
    this.#loop = loop;
    this.#handlers = handlers;
    this.#isAsync = types.isAsyncFunction(handlers.input);
    this.#connectionOf = connectionOf;
  }

  /** Of a connection that was there before: was it being worked on? */
  recover(channel: Own<D>): void {
    const {record} = channel;
    if (record.flags & Flag.Working && channel.held > 0) {
      record.faults = Math.min(record.faults + 1, 255);
      if (record.flags & Flag.Alone) this.#poisoned.add(channel);
      else if (record.faults >= SUSPECT_FAULTS) this.#suspects.add(channel);
    }
    // Cleared last: a kill in between counts again, and that is one of ours.
    record.flags &= ~(Flag.Working | Flag.Alone);
  }

  input(channel: Own<D>): void {
    if (this.#poisoned.delete(channel)) {
      this.#poison(channel, new HreadError('POISON', 'its processing ended the process, more than once'));
      return;
    }
    const [suspect] = this.#suspects;
    if (suspect === undefined || suspect === channel) this.#run(channel, suspect === channel);
    else this.#park(channel);
  }

  /** It has gone. */
  forget(channel: Own<D>): void {
    this.#units.get(channel)?.abort();
    for (const set of [this.#poisoned, this.#parked, this.#threw]) set.delete(channel);
    this.#acquit(channel);
  }

  /** Nothing can be sent to it any more. */
  abort(channel: Own<D>): void {
    this.#units.get(channel)?.abort();
  }

  #park(channel: Own<D>): void {
    channel.busy = true; // no event of it until it is let go
    this.#parked.add(channel);
  }

  #unpark(): void {
    const parked = [...this.#parked];
    this.#parked.clear();
    for (const channel of parked) this.#loop.done(channel);
  }

  #run(channel: Own<D>, isAlone: boolean): void {
    const {record} = channel;
    const connection = this.#connectionOf(channel);
    const unit = new Unit(connection, channel.failed);
    record.flags |= isAlone ? Flag.Working | Flag.Alone : Flag.Working;
    const {consumed} = record;
    const {read} = channel;
    let result: unknown;
    try {
      const call = (): unknown => this.#handlers.input(connection, unit);
      result = this.#isAsync ? call() : this.#loop.transaction(call);
    } catch (error) {
      this.#over(channel, unit, isAlone);
      this.#failed(channel, error);
      return;
    }
    if (typeof (result as PromiseLike<unknown> | undefined)?.then !== 'function') {
      this.#threw.delete(channel);
      this.#over(channel, unit, isAlone);
      return;
    }
    channel.busy = true;
    this.#units.set(channel, unit);
    if (isAlone) setTimeout(() => this.#acquit(channel), ALONE_MS).unref();
    const settle = (): boolean => {
      this.#units.delete(channel);
      this.#over(channel, unit, isAlone);
      return !channel.closed;
    };
    (result as PromiseLike<unknown>).then(
      () => {
        if (!settle()) return;
        this.#threw.delete(channel);
        // Called again when there is something new to see.
        const isNew = record.consumed > consumed || channel.read > read;
        this.#loop.done(channel, isNew);
      },
      (error: unknown) => {
        if (!settle()) return;
        channel.busy = false;
        this.#loop.guard(channel, () => this.#failed(channel, error));
      },
    );
  }

  #over(channel: Own<D>, unit: Unit<D>, isAlone: boolean): void {
    unit.over();
    if (!channel.closed) {
      channel.record.flags &= ~(Flag.Working | Flag.Alone);
      if (channel.record.faults > 0) channel.record.faults = 0;
    }
    if (isAlone) this.#acquit(channel);
  }

  /** It is no suspect any more: the next one is tried, or, where there is none, all go on. */
  #acquit(channel: Own<D>): void {
    if (!this.#suspects.delete(channel)) return;
    if (!channel.closed) channel.record.flags &= ~Flag.Alone;
    const [suspect] = this.#suspects;
    if (suspect === undefined) this.#unpark();
    else if (this.#parked.delete(suspect)) this.#loop.done(suspect);
  }

  #failed(channel: Own<D>, error: unknown): void {
    if (this.#handlers.throws === 'fault') throw error;
    // It is not to blame, and waits until there is some.
    if (error instanceof HreadError && error.code === 'MEMORY_FULL') throw error;
    if (channel.closed) return;
    if (!this.#threw.has(channel)) {
      this.#threw.add(channel);
      this.#loop.done(channel);
      return;
    }
    this.#threw.delete(channel);
    this.#poison(channel, error);
  }

  #poison(channel: Own<D>, error: unknown): void {
    const connection = this.#connectionOf(channel);
    const unit = connection.peek();
    this.#handlers.keep(connection, channel.record, unit, error);
    const {poison} = this.#handlers;
    const {consumed} = channel.record;
    connection.why = 'poison';
    try {
      if (poison) this.#loop.transaction(() => poison(connection, unit, error));
    } catch (second) {
      connection.destroy();
      throw second;
    }
    if (connection.isEnding) return;
    if (channel.record.consumed > consumed) connection.why = undefined;
    else connection.destroy();
  }
}
