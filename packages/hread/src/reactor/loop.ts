import assert from 'node:assert/strict';
import {getreginfo, readBooks, reportServed} from '@zlr/kernel-shim';
import {
  Command,
  Event,
  errnoName,
  integer,
  native,
  port as portNumber,
  type ReactorHandle,
  text,
} from '@zlr/kernel-shim/internal';
import type {TableLayout} from '@zlr/state-store';
import {type Answer, Channel, type ChannelRecord} from '../channels/channel.js';
import {CLOSE_AFTER} from '../channels/channel-record.js';
import {Slots} from '../channels/slots.js';
import {assertFits, HreadError} from '../errors.js';
import {Commands} from './commands.js';
import {type Address, type ListeningSocket, openListener, resolveHost} from './listen.js';
import {matchChannels, type RecoveryReport} from './recovery.js';

/**
 * What a protocol does with its channels. A throw from any of these is a fault of the service: it ends the process, and
 * the next generation goes on from what was recorded.
 */
export interface Protocol<R extends ChannelRecord> {
  /** There is held input (some of it may be known from before), and no answer on its way. */
  input(channel: Channel<R>): void;
  /** The answer is in the kernel's hands; after a fault it may be told again. `input` follows when more is held. */
  sent(channel: Channel<R>): void;
  /** The peer has sent all it ever will; what is held stays. */
  ended(channel: Channel<R>): void;
  /** No byte came or went for the loop's idle time. */
  idle(channel: Channel<R>): void;
  /** The connection has gone; its record still stands. */
  closed(channel: Channel<R>): void;
}

/** The table that the channels' records live in. */
export interface ChannelTable<R extends ChannelRecord> extends Iterable<R> {
  readonly size: number;
  insert(init: {cookie: bigint; fd: number; consumed: number; outBase: number; fileFd: number}): R;
  remove(record: R): boolean;
}

/** What the loop needs of the store that the channels live in. */
export interface ChannelStore<R extends ChannelRecord> {
  readonly memory: Uint8Array;
  transaction<T>(work: () => T): T;
  readonly table: ChannelTable<R>;
  readonly layout: TableLayout;
  /** The memory of the holds: a `t.raw` of the store. */
  readonly slots: Buffer;
}

/** Enough for the longest head of a request twice over, see hold.c: what is left over always fits before itself. */
export const SLOT_SIZE = 32 * 1024;

/** @throws HreadError OPTION_INVALID, HOLD_EXCEEDED */
function assertHeld(channel: Channel<ChannelRecord>, count: number): void {
  if (!(count >= 0) || !Number.isInteger(count))
    assertFits('consume', {count}, {count: integer(0, channel.held)});
  if (count > channel.held)
    throw new HreadError('HOLD_EXCEEDED', `cannot consume ${count} bytes, only ${channel.held} are held`);
}

/** A connection that ended its output waits at most so long for the peer's end before it is cut. */
const LINGER_SECONDS = 10;

/**
 * Serves channels: one native pass for all that are ready, one entry into JavaScript for the batch, one pass for all
 * that is sent. Input is received straight into shared memory and stays held until it is consumed; an answer is
 * recorded before its first byte is sent. Both positions come from the kernel, so a process that is killed anywhere
 * loses nothing and repeats nothing.
 */
export class ChannelLoop<R extends ChannelRecord> {
  readonly slots: Slots;
  readonly #store: ChannelStore<R>;
  readonly #protocol: Protocol<R>;
  readonly #reactor: ReactorHandle;
  readonly #commands = new Commands();
  readonly #channels: (Channel<R> | undefined)[] = [];
  readonly #recoveredListeners: ListeningSocket[] = [];
  readonly #idleTimer: NodeJS.Timeout;
  /** Channels whose answer waits for a slot. */
  readonly #waiting = new Set<Channel<R>>();
  /** Of these, the ones whose peer ended meanwhile: the protocol hears of it behind its input. */
  readonly #endedWaiting = new Set<Channel<R>>();
  /** Channels that ended their output, and when they did (performance.now). */
  readonly #lingering = new Map<Channel<R>, number>();
  #size = 0;
  #draining: (() => void) | undefined;

  /**
   * @param idleSeconds after which `protocol.idle` is called for a quiet channel
   */
  constructor(store: ChannelStore<R>, protocol: Protocol<R>, idleSeconds: number) {
    this.#store = store;
    this.#protocol = protocol;
    this.slots = new Slots(store.slots, SLOT_SIZE);
    const {byteOffset, stride, capacity} = store.layout;
    const reactor = native().reactorCreate(
      store.memory.subarray(byteOffset, byteOffset + stride * capacity),
      stride,
      capacity,
      store.slots,
      SLOT_SIZE,
      this.slots.stack,
      this.#commands.buffers,
      count => this.#onEvents(count),
    );
    if (typeof reactor === 'number') {
      throw new HreadError(
        'READ_FAILED',
        `epoll cannot be set up: ${errnoName(reactor)}`,
        errnoName(reactor),
      );
    }
    this.#reactor = reactor;
    this.#commands.connect(reactor);
    const seconds = Math.min(idleSeconds, LINGER_SECONDS);
    this.#idleTimer = setInterval(() => this.#sweep(idleSeconds), (seconds * 1000) / 2);
    this.#idleTimer.unref();
  }

  /** Connections that are open. */
  get size(): number {
    return this.#size;
  }

  get isDraining(): boolean {
    return this.#draining !== undefined;
  }

  // --- beginning ------------------------------------------------------------------------------------------------

  /**
   * Takes over what the former generation left: each socket is matched with its record, each answer goes on at its
   * next byte, each held input is served. Call it once, before `listen`.
   */
  recover(): RecoveryReport {
    const info = getreginfo();
    const {report, matches, usedSlots, usedFiles} = matchChannels(this.#store.table, info?.channels ?? []);
    this.slots.free(usedSlots);
    const files = new Map<number, number>();
    for (const {fd, was} of info?.files ?? []) {
      if (usedFiles.has(was)) files.set(was, fd);
      else native().close(fd);
    }
    for (const listener of report.listeners) this.#recoveredListeners.push(listener);
    this.#store.transaction(() => {
      for (const record of report.dropped) this.#store.table.remove(record);
      // What is called otherwise in this process: once, and for all together.
      for (const {fd, record} of matches) {
        if (!record) continue;
        if (record.fd !== fd) record.fd = fd;
        const file = files.get(record.fileFd);
        if (file !== undefined && file !== record.fileFd) record.fileFd = file;
      }
    });

    for (const {fd, books, record: known} of matches) {
      const record = known ?? this.#insert(books.cookie, fd, books.read, books.written);
      if (!record) {
        native().close(fd); // the table is full of connections that are alive
        continue;
      }
      const channel = this.#add(record);
      const error = native().reactorResume(this.#reactor, channel.index, fd, books.read, books.written);
      if (error < 0)
        throw new HreadError('READ_FAILED', `channel ${fd} cannot be resumed: ${errnoName(error)}`);
      this.#resume(channel, books.read, books.written);
    }
    this.#commands.submit();
    if (matches.length > 0 || report.listeners.length > 0) reportServed();
    return report;
  }

  #resume(channel: Channel<R>, read: number, written: number): void {
    const {record} = channel;
    const slot = (record.holdSlot - 1) * SLOT_SIZE;
    if (record.holdSlot !== 0) {
      channel.start = slot + record.consumed - record.holdBase;
      channel.end = slot + read - record.holdBase;
    }
    if (written < record.outBase + record.outLength + record.fileLength) {
      channel.outSlot = record.outSlot - 1;
      channel.fileFd = record.fileFd;
      this.#send(channel);
      return;
    }
    // Sent whole, but perhaps not seen to be: to hear of it twice must do no harm.
    if (record.outLength + record.fileLength > 0) this.#protocol.sent(channel);
    if (record.flags & CLOSE_AFTER) this.#finish(channel);
    else if (channel.held > 0) this.#protocol.input(channel);
  }

  /** Listens, or goes on listening on the socket that the former generation had there. */
  async listen(where: {host: string; port: number}): Promise<Address> {
    assertFits('listen', where, {port: portNumber, host: text});
    const {host, port} = where;
    const address = await resolveHost(host);
    const known = this.#recoveredListeners.findIndex(
      listener => listener.address === address && (port === 0 || listener.port === port),
    );
    const listener = known < 0 ? openListener(address, port) : this.#recoveredListeners.splice(known, 1)[0]!;
    const error = native().reactorListen(this.#reactor, listener.fd);
    if (error < 0)
      throw new HreadError('LISTEN_FAILED', `cannot watch the listening socket: ${errnoName(error)}`);
    return {address: listener.address, port: listener.port};
  }

  // --- what a protocol does -----------------------------------------------------------------------------------------

  /** A free slot for an answer, or -1: then leave the input held; `input` is called again when there is one. */
  takeSlot(channel: Channel<R>): number {
    const slot = this.slots.take();
    if (slot < 0) this.#waiting.add(channel);
    return slot;
  }

  /**
   * Consumes the first `consumed` held bytes and sends an answer to them, as one: whatever kills the process, either
   * both or neither has happened. May be called inside a transaction of the store, and then belongs to it.
   * An answer to a connection that has gone is dropped.
   */
  answer(channel: Channel<R>, consumed: number, answer: Answer): void {
    if (channel.sending)
      throw new HreadError('REPLY_TWICE', 'one answer at a time: the one before is on its way');
    channel.outSlot = answer.slot;
    channel.fileFd = answer.fileFd;
    if (channel.closed) {
      this.#releaseOutput(channel);
      setImmediate(() => this.#feedWaiting()); // no event may ever tell of this slot
      return;
    }
    assertHeld(channel, consumed);
    const {record} = channel;
    this.#store.transaction(() => {
      // The former answer is sent whole (that is when the next may come), so its end is where this one begins.
      record.outBase = record.outBase + record.outLength + record.fileLength;
      record.outSlot = answer.slot + 1;
      record.outLength = answer.length;
      record.fileFd = answer.fileFd;
      record.fileOffset = answer.fileOffset;
      record.fileLength = answer.fileLength;
      record.flags = answer.close ? CLOSE_AFTER : 0;
      record.consumed = record.consumed + consumed;
    });
    channel.start += consumed;
    this.#send(channel);
  }

  /** Deletes the first `count` held bytes without an answer. */
  consume(channel: Channel<R>, count: number): void {
    if (channel.closed) return; // its record may be another's by now
    assertHeld(channel, count);
    channel.record.consumed = channel.record.consumed + count;
    channel.start += count;
    this.#commands.push(Command.Consumed, channel.index);
  }

  /** Cuts the connection. */
  close(channel: Channel<R>): void {
    if (channel.closed) return;
    channel.closed = true;
    this.#commands.push(Command.Close, channel.index);
  }

  /**
   * Ends the connection when all of its answers are sent and in-flight requests are done, the listening sockets at
   * once; resolves when none is left. After `seconds` those that remain are cut.
   */
  drain(seconds: number): Promise<void> {
    return new Promise(resolve => {
      native().reactorUnlisten(this.#reactor);
      const timer = setTimeout(() => {
        for (const channel of this.#channels) if (channel) this.close(channel);
      }, seconds * 1000);
      this.#draining = () => {
        clearTimeout(timer);
        resolve();
      };
      for (const channel of this.#channels) {
        if (channel && !channel.sending && this.#isAllRead(channel)) this.close(channel);
      }
      if (this.#size === 0) this.#draining();
    });
  }

  /** Lets go of everything. After `drain`. */
  destroy(): void {
    assert(this.#size === 0, 'drain first');
    assert(this.slots.freeCount === this.slots.count, 'each slot was given back');
    clearInterval(this.#idleTimer);
    for (const {fd} of this.#recoveredListeners) native().close(fd);
    native().reactorClose(this.#reactor);
  }

  // --- events -------------------------------------------------------------------------------------------------------

  #onEvents(count: number): void {
    const {events} = this.#commands;
    for (let at = 0; at < count * 4; at += 4) {
      const kind = events[at]!;
      const a = events[at + 1]!;
      const b = events[at + 2]!;
      const c = events[at + 3]!;
      if (kind === Event.Accepted) {
        this.#accept(a, (BigInt(c) << 32n) | BigInt(b));
        continue;
      }
      const channel = this.#channels[a]!;
      // A close that was not asked for in this batch is still to be carried out.
      if (channel.closed && kind !== Event.Closed) continue;
      switch (kind) {
        case Event.Input:
          channel.start = b;
          channel.end = c;
          this.#onInput(channel);
          break;
        case Event.Sent:
          channel.start = b;
          channel.end = c;
          this.#onSent(channel);
          break;
        case Event.Ended:
          channel.start = b;
          channel.end = c;
          channel.peerEnded = true;
          if (channel.lingering) this.close(channel);
          else if (this.#waiting.has(channel)) this.#endedWaiting.add(channel);
          else this.#protocol.ended(channel);
          break;
        case Event.Failed:
          this.close(channel);
          break;
        case Event.Closed:
          this.#onClosed(channel);
          break;
        case Event.Idle:
          channel.start = b;
          channel.end = c;
          if (!channel.lingering) this.#protocol.idle(channel);
          break;
      }
    }
    this.#feedWaiting();
    this.#commands.refill();
  }

  #feedWaiting(): void {
    for (const channel of this.#waiting) {
      if (this.slots.freeCount === 0) break;
      this.#waiting.delete(channel);
      if (channel.closed) continue;
      this.#protocol.input(channel);
      this.#tellEnd(channel);
    }
  }

  /** Tells what was put off until the input before it is answered. */
  #tellEnd(channel: Channel<R>): void {
    if (channel.sending || channel.closed || this.#waiting.has(channel)) return;
    if (this.#endedWaiting.delete(channel)) this.#protocol.ended(channel);
  }

  #accept(fd: number, cookie: bigint): void {
    const record = this.#insert(cookie, fd, 0, 0);
    assert(record, 'native code accepts only what the table has room for');
    const {index} = this.#add(record);
    this.#commands.push(Command.Attach, index, fd);
  }

  #onInput(channel: Channel<R>): void {
    if (channel.lingering) this.consume(channel, channel.held);
    else this.#protocol.input(channel);
  }

  #onSent(channel: Channel<R>): void {
    channel.sending = false;
    this.#releaseOutput(channel);
    this.#protocol.sent(channel);
    if (channel.record.flags & CLOSE_AFTER || (this.isDraining && this.#isAllRead(channel))) {
      this.#finish(channel);
      return;
    }
    if (channel.held > 0) this.#protocol.input(channel);
    this.#tellEnd(channel);
  }

  #isAllRead(channel: Channel<R>): boolean {
    return channel.held === 0 && readBooks(channel.record.fd)?.unread === 0;
  }

  /**
   * What the peer sends after a close makes the kernel reset the connection, which may destroy an answer on its way
   * (RFC 9112 section 9.6). So only our side ends, and what still comes is thrown away until the peer ends too.
   */
  #finish(channel: Channel<R>): void {
    if (channel.peerEnded) {
      this.close(channel);
      return;
    }
    channel.lingering = true;
    this.#lingering.set(channel, performance.now());
    channel.record.consumed = channel.record.consumed + channel.held;
    channel.start = channel.end;
    this.#commands.push(Command.Shutdown, channel.index);
  }

  #onClosed(channel: Channel<R>): void {
    channel.closed = true;
    this.#releaseOutput(channel);
    this.#lingering.delete(channel);
    this.#waiting.delete(channel);
    this.#endedWaiting.delete(channel);
    this.#protocol.closed(channel);
    this.#channels[channel.index] = undefined;
    this.#size--;
    this.#store.table.remove(channel.record);
    // Not within the batch: who waits for it lets go of the reactor.
    if (this.#draining && this.#size === 0) setImmediate(this.#draining);
  }

  #sweep(idleSeconds: number): void {
    const before = performance.now() - LINGER_SECONDS * 1000;
    for (const [channel, since] of this.#lingering) if (since <= before) this.close(channel);
    native().reactorIdle(this.#reactor, idleSeconds);
  }

  // --- the rest -----------------------------------------------------------------------------------------------------

  #insert(cookie: bigint, fd: number, read: number, written: number): R | undefined {
    if (this.#store.table.size === this.#store.layout.capacity) return undefined;
    return this.#store.table.insert({cookie, fd, consumed: read, outBase: written, fileFd: -1});
  }

  #add(record: R): Channel<R> {
    const channel = new Channel(record);
    this.#channels[channel.index] = channel;
    this.#size++;
    return channel;
  }

  #send(channel: Channel<R>): void {
    channel.sending = true;
    this.#commands.push(Command.Send, channel.index);
  }

  #releaseOutput(channel: Channel<R>): void {
    if (channel.outSlot >= 0) this.slots.give(channel.outSlot);
    if (channel.fileFd >= 0) native().close(channel.fileFd);
    channel.outSlot = channel.fileFd = -1;
  }
}
