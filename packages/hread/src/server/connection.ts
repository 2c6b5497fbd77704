import {closeSync, constants, fstatSync, openSync} from 'node:fs';
import {types} from 'node:util';
import {integer, optional, systemText} from '@zlr/kernel-shim/internal';
import type {Channel, ChannelRecord} from '../channels/channel.js';
import {Flag} from '../channels/channel-record.js';
import {assertFits, HreadError} from '../errors.js';
import type {ChannelLoop} from '../reactor/loop.js';

/** Why a connection has gone. */
export type ClosedWhy =
  /** One of both sides ended it, in good order. */
  | 'ended'
  /** It broke, or the peer reset it. */
  | 'failed'
  /** No byte for `idleSeconds`. */
  | 'idle'
  /** Its input did not become whole within `unitSeconds`, or in the memory that one may have. */
  | 'overdue'
  /** It read so slowly that its output grew beyond `outputBytes`. */
  | 'slow'
  /** Its input could not be processed. */
  | 'poison'
  /** `destroy()`, or the end of the server. */
  | 'destroyed';

export type OwnRecord<D> = ChannelRecord & {faults: number; own?: D};

/**
 * One client. Everything that is done here inside a transaction (`input` that is not asynchronous, `commit`) happens
 * with it or not at all; outside of one it is a transaction by itself.
 */
export class Connection<D = unknown> {
  /** Names it for ever, also in the generations to come. */
  readonly id: number;
  /** It was there before this process. */
  readonly recovered: boolean;
  why: ClosedWhy | undefined;
  readonly #loop: ChannelLoop<OwnRecord<D>>;
  readonly #channel: Channel<OwnRecord<D>>;
  readonly #outputBytes: number;
  #drained: {promise: Promise<void>; resolve: () => void} | undefined;

  constructor(loop: ChannelLoop<OwnRecord<D>>, channel: Channel<OwnRecord<D>>, outputBytes: number) {
    this.#loop = loop;
    this.#channel = channel;
    this.#outputBytes = outputBytes;
    this.id = channel.id;
    this.recovered = channel.recovered;
  }

  /** Your fields, live: what `connection` of the options declares. They go with the connection. */
  get data(): D {
    return this.#channel.record.own!;
  }

  get closed(): boolean {
    return this.#channel.closed;
  }

  /** Bytes that are held and not consumed. */
  get heldBytes(): number {
    return this.closed ? 0 : this.#channel.held;
  }

  /** A copy of the first `length` held bytes, of all without it. */
  peek(length = this.heldBytes): Buffer {
    const {heldBytes} = this;
    assertFits('peek', {length}, {length: integer(0, Number.MAX_SAFE_INTEGER)});
    if (heldBytes === 0 || length === 0) return Buffer.alloc(0);
    return this.#loop.copy(this.#channel, Math.min(length, heldBytes));
  }

  /** Deletes the first `count` held bytes. @throws HreadError HOLD_EXCEEDED, CONNECTION_CLOSED */
  consume(count: number): this {
    this.#assertOpen('consume');
    this.#loop.consume(this.#channel, count);
    return this;
  }

  /**
   * Consumes the first `count` held bytes and does what `work` does to states and connections: all of it or nothing.
   *
   * @throws HreadError HOLD_EXCEEDED, CONNECTION_CLOSED, MEMORY_FULL; whatever `work` throws, which undoes all
   */
  commit<T = void>(count: number, work?: () => T): T {
    this.#assertOpen('commit');
    return this.#loop.transaction(() => {
      this.#loop.consume(this.#channel, count);
      return work?.() as T;
    });
  }

  /**
   * Sends a string (UTF-8) or bytes, of any size. What is sent to a connection that has gone is dropped.
   *
   * @throws HreadError OPTION_INVALID, MEMORY_FULL
   */
  send(data: string | Uint8Array): this {
    if (typeof data !== 'string' && !types.isUint8Array(data))
      assertFits('send', {data}, {data: {what: 'a string or bytes', fits: () => false}});
    if (this.closed || this.why === 'slow') return this;
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    if (this.#channel.waiting + bytes.length > this.#outputBytes) this.#cut('slow');
    else this.#loop.send(this.#channel, bytes);
    return this;
  }

  /** Sends a file, or the bytes [start, end) of it; it is opened now, and read when the client takes it. */
  sendFile(path: string, range: {start?: number; end?: number} = {}): this {
    const position = optional(integer(0, Number.MAX_SAFE_INTEGER));
    assertFits('sendFile', {path, ...range}, {path: systemText, start: position, end: position});
    // O_APPEND: so it is known to be kept for the next generation.
    const fd = openSync(path, constants.O_RDONLY | constants.O_APPEND | constants.O_NONBLOCK);
    const {dev: device, ino: inode, size} = fstatSync(fd);
    const {start = 0, end = size} = range;
    if (start > end || end > size) {
      closeSync(fd);
      throw new HreadError('OPTION_INVALID', `sendFile: '${path}' has ${size} bytes, not [${start}, ${end})`);
    }
    this.#loop.sendFile(this.#channel, {fd, offset: start, length: end - start, device, inode});
    return this;
  }

  /** Ends it when all that was sent is out. */
  end(): this {
    this.#loop.end(this.#channel);
    return this;
  }

  /** Cuts it at once. */
  destroy(): void {
    this.why ??= 'destroyed';
    this.#loop.close(this.#channel);
    this.#wake();
  }

  /** There is room for more output. It is no limit: `outputBytes` is. */
  get writable(): boolean {
    return !this.closed && this.#channel.waiting <= this.#loop.limits.mostOutput;
  }

  /** Resolves when there is room for more output, or the connection has gone. */
  drained(): Promise<void> {
    if (this.writable || this.closed) return Promise.resolve();
    if (!this.#drained) {
      let resolve!: () => void;
      const promise = new Promise<void>(done => {
        resolve = done;
      });
      this.#drained = {promise, resolve};
      this.#channel.wantsRoom = true;
    }
    return this.#drained.promise;
  }

  /** Of the server: it is drained, or gone. */
  wake(): void {
    this.#wake();
  }

  get isEnding(): boolean {
    return this.closed || (this.#channel.record.flags & Flag.CloseAfter) !== 0;
  }

  #wake(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  /** Behind the transaction that goes on: it is no part of it. */
  #cut(why: ClosedWhy): void {
    this.why = why;
    setImmediate(() => this.destroy());
  }

  #assertOpen(what: string): void {
    if (this.closed)
      throw new HreadError(
        'CONNECTION_CLOSED',
        `${what}: connection ${this.id} has gone, and its input with it`,
      );
  }
}
