import type {TableLayout} from '@zlr/state-store';
import type {Channel, ChannelRecord} from '../channels/channel.js';

/**
 * What a protocol does with its channels. What any of these throws is thrown again as an uncaught exception, behind the
 * batch: a fault of the service, unless somebody listens to those. HreadError MEMORY_FULL of `input` is waited out.
 */
export interface Protocol<R extends ChannelRecord> {
  /** A new connection, in a transaction; once for each, whatever happens. */
  accepted?(channel: Channel<R>): void;
  /** There is held input (some of it may be known from before). */
  input(channel: Channel<R>): void;
  /** All output is in the kernel's hands; after a fault it may be told again. `input` follows when more is held. */
  sent?(channel: Channel<R>): void;
  /** There is room for more output, for a channel that wanted to know. */
  drained?(channel: Channel<R>): void;
  /** Nothing can be sent to it any more; what is held is still offered. */
  failed?(channel: Channel<R>): void;
  /** The peer has sent all it ever will, and all of it has been offered; what is held stays. */
  ended(channel: Channel<R>): void;
  /** No byte came or went for the loop's idle time. */
  idle(channel: Channel<R>): void;
  /** Input is held, and none was consumed for too long: the unit of input does not become whole. */
  overdue(channel: Channel<R>): void;
  /** The connection has gone; its record still stands. */
  closed(channel: Channel<R>): void;
}

/** The table that the channels' records live in. */
export interface ChannelTable<R extends ChannelRecord> extends Iterable<R> {
  readonly size: number;
  insert(init: {
    cookie: bigint;
    fd: number;
    consumed: number;
    outEnd: number;
    version: number;
    kind: number;
  }): R;
  remove(record: R): boolean;
}

/** The table of a server's listening sockets. */
export interface ListenerTable extends Iterable<{readonly cookie: bigint; readonly $id: number}> {
  insert(init: {cookie: bigint}): unknown;
  remove(id: number): boolean;
}

/** What the loop needs of the store that the channels live in: see `channelSchema`. */
export interface ChannelStore<R extends ChannelRecord> {
  readonly memory: Uint8Array;
  transaction<T>(work: () => T): T;
  readonly table: ChannelTable<R>;
  readonly layout: TableLayout;
  readonly listeners: ListenerTable;
  /** The extents, and what stands beside each: two `t.raw` of the store. */
  readonly pool: Buffer;
  readonly extents: Buffer;
}

export interface Limits {
  /** A quiet channel is told after so long. */
  idleSeconds: number;
  /** One whose input does not become whole, after so long. */
  unitSeconds: number;
  /** Bytes of input that one channel may hold, 32 KiB at least. */
  mostHeld: number;
  /** Bytes of memory that one's output may occupy before its input is not read any more. */
  mostOutput: number;
  /** One answer after the other: input is neither read nor offered while output waits. */
  inTurn: boolean;
}
