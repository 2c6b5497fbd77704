import assert from 'node:assert/strict';
import {readBooks, reportServed} from '@zlr/kernel-shim';
import {
  Command,
  Event,
  errnoName,
  integer,
  native,
  port as portNumber,
  type ReactorHandle,
  say,
  text,
} from '@zlr/kernel-shim/internal';
import {Channel, type ChannelRecord, FLOW_WORDS} from '../channels/channel.js';
import {CHANNEL_VERSION, Flag, Kind} from '../channels/channel-record.js';
import {Extents, type FileRange} from '../channels/extents.js';
import {Inheritance, type InheritedListener} from '../channels/inheritance.js';
import {copyHeld, firstSpan, type Span} from '../channels/input.js';
import {Output, type Piece} from '../channels/output.js';
import {Pile} from '../channels/pile.js';
import {assertFits, HreadError} from '../errors.js';
import {Commands} from './commands.js';
import {type Address, openListener, resolveHost} from './listen.js';
import type {ChannelStore, Limits, Protocol} from './protocol.js';
import {type Match, type RecoveryReport, recover} from './recovery.js';

/** A connection that ended its output waits at most so long for the peer's end before it is cut. */
const LINGER_SECONDS = 10;
const SWEEP_SECONDS = 1;

/** What a transaction asks of native code for a channel, when it holds. */
const CONSUMED = 1;
const SEND = 2;

/**
 * Serves channels: one native pass for all that are ready, one entry into JavaScript for the batch, one pass for all
 * that is sent. Input is received straight into shared memory and stays held until it is consumed; output is recorded
 * before its first byte is sent. Both positions come from the kernel, so a process that is killed anywhere loses
 * nothing and repeats nothing.
 *
 * Everybody gets a turn: a channel whose input holds more than one call of `input` consumes is called again when the
 * others have been.
 */
export class ChannelLoop<R extends ChannelRecord> {
  readonly extents: Extents;
  readonly limits: Limits;
  readonly #store: ChannelStore<R>;
  readonly #protocol: Protocol<R>;
  readonly #reactor: ReactorHandle;
  readonly #commands = new Commands();
  readonly #flows: Uint32Array;
  readonly #output: Output<R>;
  readonly #channels: (Channel<R> | undefined)[] = [];
  readonly #sweeper: NodeJS.Timeout;
  #saidCrowded = false;
  /** Channels with input that wait for their turn. */
  #waiting: Channel<R>[] = [];
  /** Channels whose answer found no memory, oldest first. */
  readonly #short = new Set<Channel<R>>();
  /** Channels that ended their output, and when they did (performance.now). */
  readonly #lingering = new Map<Channel<R>, number>();
  /** What the transaction that goes on asks for. */
  readonly #asked = new Pile<Channel<R>>();
  readonly #tell = (channel: Channel<R>): void => {
    if (!channel.closed)
      this.#commands.push(channel.asked >= SEND ? Command.Send : Command.Consumed, channel.index);
    channel.asked = 0;
  };
  #inTransaction = false;
  #matches: Match<R>[] = [];
  #listeners: InheritedListener[] = [];
  #isStarted = false;
  #size = 0;
  #draining: (() => void) | undefined;

  readonly #given: Inheritance | undefined;

  /** @param inheritance - of a rehearsal; that of the process otherwise, which is asked for in `recover` and not before */
  constructor(store: ChannelStore<R>, protocol: Protocol<R>, limits: Limits, inheritance?: Inheritance) {
    this.#store = store;
    this.#given = inheritance;
    this.#protocol = protocol;
    this.limits = limits;
    this.extents = new Extents(store.pool, store.extents);
    this.#output = new Output(this.extents);
    const {byteOffset, stride, capacity} = store.layout;
    this.#flows = new Uint32Array(capacity * FLOW_WORDS);
    const {large, small, entries, numbers} = this.extents;
    const reactor = native().reactorCreate(
      [
        store.memory.subarray(byteOffset, byteOffset + stride * capacity),
        store.pool,
        entries,
        large,
        small,
        this.#flows,
        ...this.#commands.buffers,
      ],
      Uint32Array.of(stride, capacity, ...numbers, limits.mostHeld, limits.mostOutput, limits.inTurn ? 1 : 0),
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
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_SECONDS * 1000);
    this.#sweeper.unref();
  }

  get #inheritance(): Inheritance {
    return this.#given ?? Inheritance.get();
  }

  /** Connections that are open. */
  get size(): number {
    return this.#size;
  }

  get isDraining(): boolean {
    return this.#draining !== undefined;
  }

  *[Symbol.iterator](): IterableIterator<Channel<R>> {
    for (const channel of this.#channels) if (channel && !channel.closed) yield channel;
  }

  // --- beginning ------------------------------------------------------------------------------------------------

  /**
   * Takes over what the former generation left: each socket is matched with its record, and what does not fit is ended.
   * Call it once, before `listen`; they are served when that has resolved.
   */
  recover(): RecoveryReport<R> {
    const {table, listeners} = this.#store;
    const {
      report,
      matches,
      listeners: own,
    } = recover(
      table,
      [...listeners].map(({cookie}) => cookie),
      this.extents,
      this.#inheritance,
    );
    this.#matches = matches;
    this.#listeners = own;
    const kept = new Set(own.map(({cookie}) => cookie));
    this.#store.transaction(() => {
      for (const record of report.dropped) table.remove(record);
      for (const listener of [...listeners]) if (!kept.has(listener.cookie)) listeners.remove(listener.$id);
    });
    for (const match of matches) if (match.record) this.#add(match.record, match).recovered = true;
    for (const line of report.refused) say(`${line}`);
    return report;
  }

  /** Listens, or goes on listening on the socket that the former generation had there. */
  async listen(where: {host: string; port: number}): Promise<Address> {
    assertFits('listen', where, {port: portNumber, host: text});
    const {host, port} = where;
    const address = await resolveHost(host);
    const known = this.#listeners.findIndex(
      listener => listener.address === address && (port === 0 || listener.port === port),
    );
    const listener =
      (known < 0 ? undefined : this.#listeners.splice(known, 1)[0]) ??
      this.#inheritance.listenerAt(address, port) ??
      openListener(address, port);
    const error = native().reactorListen(this.#reactor, listener.fd);
    if (error < 0)
      throw new HreadError('LISTEN_FAILED', `cannot watch the listening socket: ${errnoName(error)}`);
    const cookie = native().cookieOf(listener.fd);
    if (![...this.#store.listeners].some(each => each.cookie === cookie))
      this.#store.listeners.insert({cookie});
    // Behind what awaits this: no input reaches a program that is not ready for it.
    setImmediate(() => this.#start());
    return {address: listener.address, port: listener.port};
  }

  #start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#inheritance.closeTheRest();
    for (const match of this.#matches) this.#resume(match);
    if (this.#matches.length > 0 || this.#listeners.length > 0) reportServed();
    this.#matches = [];
    this.#commands.submit();
    this.#commands.othersWait = this.#waiting.length > 0;
  }

  #resume(match: Match<R>): void {
    const {fd, books} = match.connection;
    const record = match.record ?? this.#insert(books.cookie, fd, books.read, books.written);
    if (!record) {
      native().close(fd); // the table is full of connections that are alive
      return;
    }
    const channel = this.#channels[record.$index] ?? this.#add(record, match);
    const error = native().reactorResume(this.#reactor, channel.index, fd, books.read, books.written);
    if (error < 0)
      throw new HreadError('READ_FAILED', `channel ${fd} cannot be resumed: ${errnoName(error)}`);
    this.#open(channel);
    if (channel.sending) {
      this.#commands.push(Command.Send, channel.index);
      if (this.limits.inTurn) return;
    }
    // Sent whole, but perhaps not seen to be: to hear of it twice must do no harm.
    else if (record.outEnd > 0) this.guard(channel, () => this.#protocol.sent?.(channel));
    if (record.flags & Flag.CloseAfter && !channel.sending) this.#finish(channel);
    else this.#queue(channel);
  }

  // --- what a protocol does -----------------------------------------------------------------------------------------

  /**
   * All that `work` does, also to channels, happens or does not, whatever kills the process; a throw undoes it. In
   * another transaction it joins that one.
   */
  transaction<T>(work: () => T): T {
    if (this.#inTransaction) return this.#store.transaction(work);
    this.#inTransaction = true;
    let result: T;
    try {
      result = this.#store.transaction(work);
    } catch (error) {
      this.#output.undo();
      this.#asked.each(unask);
      this.#asked.clear();
      throw error;
    } finally {
      this.#inTransaction = false;
    }
    this.#output.forget();
    this.#asked.each(this.#tell);
    this.#asked.clear();
    return result;
  }

  /** Where held input lies in `extents.memory`, as far as in one piece; until the next event of this channel. */
  span(channel: Channel<R>): Span {
    return firstSpan(this.extents, channel);
  }

  /** A copy of the first `length` held bytes. */
  copy(channel: Channel<R>, length = channel.held): Buffer {
    return copyHeld(this.extents, channel, length);
  }

  /** Deletes the first `count` held bytes. @throws HreadError OPTION_INVALID, HOLD_EXCEEDED */
  consume(channel: Channel<R>, count: number): void {
    if (channel.closed) return; // its record may be another's by now
    assertHeld(channel, count);
    if (count === 0) return;
    this.#within(() => {
      channel.record.consumed = channel.record.consumed + count;
      this.#ask(channel, CONSUMED);
    });
  }

  /** Sends bytes behind what waits already. For a connection that has gone they are dropped. @throws HreadError MEMORY_FULL */
  send(channel: Channel<R>, bytes: Uint8Array): void {
    this.sendPieces(channel, [{bytes, start: 0, end: bytes.length}]);
  }

  /** The same, of several pieces, one after the other. */
  sendPieces(channel: Channel<R>, pieces: readonly Piece[]): void {
    if (!this.#takesOutput(channel)) return;
    this.#within(() => {
      this.#output.append(channel, pieces);
      this.#ask(channel, SEND);
    });
  }

  /** Sends a part of a file behind what waits already; the loop closes its descriptor. @throws HreadError MEMORY_FULL */
  sendFile(channel: Channel<R>, range: FileRange): void {
    if (!this.#takesOutput(channel) || range.length === 0) {
      native().close(range.fd);
      return;
    }
    this.#within(() => {
      this.#output.appendFile(channel, range);
      this.#ask(channel, SEND);
    });
  }

  /** Ends the connection when all of its output is sent. */
  end(channel: Channel<R>): void {
    if (channel.closed || channel.record.flags & Flag.CloseAfter) return;
    this.#within(() => {
      channel.record.flags |= Flag.CloseAfter;
      this.#ask(channel, SEND);
    });
  }

  /** Cuts the connection. */
  close(channel: Channel<R>): void {
    if (channel.closed) return;
    channel.closed = true;
    this.#commands.push(Command.Close, channel.index);
  }

  /** What was `busy` is done: its input gets another turn, if there is anything new in it. */
  done(channel: Channel<R>, isNew = true): void {
    channel.busy = false;
    if (channel.closed) return;
    if (isNew) this.#queue(channel);
    else this.#tellEnd(channel);
  }

  #takesOutput(channel: Channel<R>): boolean {
    return !channel.closed && !channel.failed && (channel.record.flags & Flag.CloseAfter) === 0;
  }

  /** In the transaction that goes on, or in one of its own. */
  #within(work: () => void): void {
    if (this.#inTransaction) work();
    else this.transaction(work);
  }

  #ask(channel: Channel<R>, what: number): void {
    if (channel.asked === 0) this.#asked.push(channel);
    channel.asked |= what;
  }

  // --- ending -------------------------------------------------------------------------------------------------------

  /**
   * Ends the connection when all of its answers are sent and in-flight requests are done, the listening sockets at
   * once; resolves when none is left. After `seconds` those that remain are cut.
   */
  drain(seconds: number): Promise<void> {
    return new Promise(resolve => {
      this.#start();
      native().reactorUnlisten(this.#reactor);
      const timer = setTimeout(() => {
        for (const channel of this) this.close(channel);
      }, seconds * 1000);
      this.#draining = () => {
        clearTimeout(timer);
        resolve();
      };
      for (const channel of this) if (this.#isAllDone(channel)) this.close(channel);
      if (this.#size === 0) this.#draining();
    });
  }

  /** Lets go of everything. After `drain`. */
  destroy(): void {
    assert(this.#size === 0, 'drain first');
    assert(this.extents.freeCount === this.extents.count, 'each extent was given back');
    this.#end();
  }

  /** As the death of its process would end it: its connections, which are returned, stay open, and their records stand. */
  abandon(): number[] {
    const connections = [...this].map(({record}) => record.fd);
    native().reactorUnlisten(this.#reactor);
    this.#end();
    return connections;
  }

  #end(): void {
    this.#isStarted = true; // what was to begin is over
    clearInterval(this.#sweeper);
    for (const {fd} of this.#listeners) native().close(fd);
    this.#commands.disconnect();
    native().reactorClose(this.#reactor);
  }

  #isAllDone(channel: Channel<R>): boolean {
    if (channel.sending || channel.busy || channel.lingering || channel.held > 0) return false;
    return readBooks(channel.record.fd)?.unread === 0;
  }

  // --- events -------------------------------------------------------------------------------------------------------

  #onEvents(count: number): void {
    const {events} = this.#commands;
    for (let at = 0; at < count * 4; at += 4) {
      const kind = events[at]!;
      const a = events[at + 1]!;
      if (kind === Event.Accepted) {
        this.#accept(a, (BigInt(events[at + 3]!) << 32n) | BigInt(events[at + 2]!));
        continue;
      }
      if (kind === Event.Crowded) {
        this.#sayCrowded(a);
        continue;
      }
      const channel = this.#channels[a]!;
      // A close that was asked for in this batch is still to be carried out.
      if (channel.closed && kind !== Event.Closed) continue;
      this.#onEvent(kind, channel);
    }
    if (this.#commands.isTurn) this.#takeTurns();
    this.#feedShort();
    this.#commands.othersWait = this.#waiting.length > 0;
    this.#commands.refill();
  }

  /** Once in a life: it may be so again and again, for as long as more want to come than may. */
  #sayCrowded(descriptors: number): void {
    if (this.#saidCrowded) return;
    this.#saidCrowded = true;
    say(
      `${descriptors} descriptors are in use, and the rest of the limit (ulimit -n) is kept for what a fault takes: ` +
        'nobody is accepted until there is room',
    );
  }

  #onEvent(kind: number, channel: Channel<R>): void {
    switch (kind) {
      case Event.Input:
        if (!channel.queued) this.#serve(channel);
        break;
      case Event.Sent:
        this.#onSent(channel);
        break;
      case Event.Drained:
        this.guard(channel, () => this.#protocol.drained?.(channel));
        break;
      case Event.Ended:
        channel.peerEnded = true;
        if (channel.lingering) this.close(channel);
        else this.#tellEnd(channel);
        break;
      case Event.Failed:
        channel.failed = true;
        this.guard(channel, () => this.#protocol.failed?.(channel));
        if (channel.lingering) this.close(channel);
        else this.#queue(channel);
        break;
      case Event.Closed:
        this.#onClosed(channel);
        break;
      case Event.Idle:
        if (!channel.lingering && !channel.busy) this.guard(channel, () => this.#protocol.idle(channel));
        break;
      case Event.Overdue:
        if (this.#isOverdue(channel)) this.guard(channel, () => this.#protocol.overdue(channel));
        break;
    }
  }

  /** Each that waits gets one, in the order in which they came. */
  #takeTurns(): void {
    const turn = this.#waiting;
    if (turn.length === 0) return;
    this.#waiting = [];
    for (const channel of turn) {
      channel.queued = false;
      this.#serve(channel);
    }
  }

  #queue(channel: Channel<R>): void {
    if (channel.queued) return;
    channel.queued = true;
    this.#waiting.push(channel);
    this.#commands.othersWait = true;
  }

  /** Offers what is held, and what follows from it. */
  #serve(channel: Channel<R>): void {
    if (channel.closed || channel.busy) return;
    if (channel.lingering) {
      this.consume(channel, channel.held);
      return;
    }
    const {record} = channel;
    if (this.#isOffered(channel)) {
      const before = record.consumed;
      this.guard(channel, () => this.#protocol.input(channel));
      if (channel.closed || channel.busy) return;
      if (record.consumed > before && this.#isOffered(channel)) {
        this.#queue(channel);
        return;
      }
    }
    this.#tellEnd(channel);
  }

  #isOffered(channel: Channel<R>): boolean {
    if (this.#short.has(channel) || channel.held === 0 || channel.record.flags & Flag.CloseAfter)
      return false;
    return !(this.limits.inTurn && channel.sending);
  }

  /** Tells what was put off until the input before it is answered. */
  #tellEnd(channel: Channel<R>): void {
    if (channel.closed || channel.busy || channel.queued || this.#short.has(channel)) return;
    if (channel.failed) this.close(channel);
    else if (channel.peerEnded && !(this.limits.inTurn && channel.sending))
      this.guard(channel, () => this.#protocol.ended(channel));
  }

  /** It is the client that keeps its input from becoming whole, and nobody else. */
  #isOverdue(channel: Channel<R>): boolean {
    return !channel.lingering && !channel.busy && !channel.queued && this.#isOffered(channel);
  }

  /** No error of one channel keeps the rest of the batch from what it must hear; a lack of memory is waited out. */
  guard(channel: Channel<R>, work: () => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof HreadError && error.code === 'MEMORY_FULL') this.#short.add(channel);
      else
        queueMicrotask(() => {
          throw error;
        });
    }
  }

  #feedShort(): void {
    for (const channel of this.#short) {
      if (this.extents.freeLarge === 0) break;
      this.#short.delete(channel);
      this.#serve(channel);
      if (this.#short.has(channel)) break; // it needs more than there is; those behind it wait, too
    }
  }

  #accept(fd: number, cookie: bigint): void {
    const record = this.#insert(cookie, fd, 0, 0);
    assert(record, 'native code accepts only what the table has room for');
    const channel = this.#add(record);
    this.#commands.push(Command.Attach, channel.index, fd);
    this.#open(channel);
  }

  #open(channel: Channel<R>): void {
    if (!this.#protocol.accepted || channel.record.flags & Flag.Opened) return;
    const open = (): void => {
      channel.record.flags |= Flag.Opened;
      this.#protocol.accepted!(channel);
    };
    this.guard(channel, () => this.transaction(open));
  }

  #onSent(channel: Channel<R>): void {
    this.guard(channel, () => this.#protocol.sent?.(channel));
    if (channel.closed) return;
    if (channel.record.flags & Flag.CloseAfter || (this.isDraining && this.#isAllDone(channel))) {
      this.#finish(channel);
      return;
    }
    if (this.limits.inTurn && channel.held > 0) this.#queue(channel);
    else this.#tellEnd(channel);
  }

  /**
   * What the peer sends after a close makes the kernel reset the connection, which may destroy an answer on its way
   * (RFC 9112 section 9.6). So only our side ends, and what still comes is thrown away until the peer ends too.
   */
  #finish(channel: Channel<R>): void {
    if (channel.lingering) return;
    if (channel.peerEnded || channel.failed) {
      this.close(channel);
      return;
    }
    channel.lingering = true;
    this.#lingering.set(channel, performance.now());
    channel.record.consumed = channel.record.consumed + channel.held;
    this.#commands.push(Command.Shutdown, channel.index);
  }

  #onClosed(channel: Channel<R>): void {
    channel.closed = true;
    this.#lingering.delete(channel);
    this.#short.delete(channel);
    this.guard(channel, () => this.#protocol.closed(channel));
    this.#channels[channel.index] = undefined;
    this.#size--;
    this.#store.table.remove(channel.record);
    // Not within the batch: who waits for it lets go of the reactor.
    if (this.#draining && this.#size === 0) setImmediate(this.#draining);
  }

  #sweep(): void {
    const before = performance.now() - LINGER_SECONDS * 1000;
    for (const [channel, since] of this.#lingering) if (since <= before) this.close(channel);
    native().reactorIdle(this.#reactor, this.limits.idleSeconds, this.limits.unitSeconds);
  }

  // --- the rest -----------------------------------------------------------------------------------------------------

  #insert(cookie: bigint, fd: number, read: number, written: number): R | undefined {
    if (this.#store.table.size === this.#store.layout.capacity) return undefined;
    const positions = {consumed: read, outEnd: written};
    return this.#store.table.insert({cookie, fd, ...positions, version: CHANNEL_VERSION, kind: Kind.Tcp});
  }

  #add(record: R, match?: Match<R>): Channel<R> {
    const channel = new Channel(record, this.#flows);
    if (match) channel.begin(match.connection.books, match);
    this.#channels[channel.index] = channel;
    this.#size++;
    return channel;
  }
}

function unask(channel: {asked: number}): void {
  channel.asked = 0;
}

/** @throws HreadError OPTION_INVALID, HOLD_EXCEEDED */
function assertHeld(channel: Channel<ChannelRecord>, count: number): void {
  const {held} = channel;
  if (!(count >= 0) || !Number.isInteger(count)) assertFits('consume', {count}, {count: integer(0, held)});
  if (count > held)
    throw new HreadError('HOLD_EXCEEDED', `cannot consume ${count} bytes, only ${held} are held`);
}
