import {native} from '@zlr/kernel-shim/internal';
import {HreadError} from '../errors.js';
import type {Channel, ChannelRecord} from './channel.js';
import {type Extents, type FileRange, LARGE, SMALL, Word} from './extents.js';

/** What a channel's output was before a transaction touched it. */
interface Before {
  tail: number;
  length: number;
  hasFile: boolean;
  waiting: number;
}

/**
 * The queues of output. What is put into one is part of the transaction it is put in: it counts when `outEnd` of the
 * record does. Extents and links lie outside of every transaction, so what an undone one has done to them is taken back
 * here (and after a kill, by recovery, which looks no further than `outEnd`).
 */
export class Output<R extends ChannelRecord> {
  readonly #extents: Extents;
  #before = new Map<Channel<R>, Before>();
  #taken: number[] = [];
  #files: number[] = [];

  constructor(extents: Extents) {
    this.#extents = extents;
  }

  /** The transaction holds: the channels whose output it has changed. */
  keep(): readonly Channel<R>[] {
    const channels = [...this.#before.keys()];
    this.#forget();
    return channels;
  }

  /** The transaction was undone. */
  undo(): void {
    const extents = this.#extents;
    for (const [channel, {tail, length, hasFile, waiting}] of this.#before) {
      channel.outTail = tail;
      channel.waiting = waiting;
      if (tail < 0) continue;
      extents.set(tail, Word.next, 0);
      extents.set(tail, Word.length, length);
      if (hasFile) continue;
      extents.setLong(tail, Word.fileLength, 0);
      extents.set(tail, Word.fileFd, -1);
    }
    for (const extent of this.#taken) extents.give(extent);
    for (const fd of this.#files) native().close(fd);
    this.#forget();
  }

  /** Puts bytes behind what is there. All of them, or an error and none. @throws HreadError MEMORY_FULL */
  append(channel: Channel<R>, bytes: Uint8Array, start: number, end: number): void {
    if (start === end) return;
    const extents = this.#extents;
    const {record} = channel;
    const tail = this.#tailOf(channel);
    const used = tail < 0 ? 0 : extents.get(tail, Word.length);
    const room = tail < 0 || extents.fdOf(tail) >= 0 ? 0 : extents.sizeOf(tail) - used;
    const rest = end - start - room;
    const small = rest <= SMALL && tail < 0;
    if (rest > 0) this.#assertRoom(small ? 1 : Math.ceil(rest / LARGE), small);
    this.#remember(channel, tail);
    let at = start;
    if (room > 0) {
      at = Math.min(end, start + room);
      extents.memory.set(bytes.subarray(start, at), extents.offsetOf(tail) + used);
      extents.set(tail, Word.length, used + at - start);
    }
    while (at < end) {
      const extent = this.#add(channel, small, record.outEnd + at - start);
      const to = Math.min(end, at + extents.sizeOf(extent));
      extents.memory.set(bytes.subarray(at, to), extents.offsetOf(extent));
      extents.set(extent, Word.length, to - at);
      at = to;
    }
    record.outEnd = record.outEnd + end - start;
  }

  /** Puts a part of a file behind what is there; its descriptor is the queue's from then on. @throws HreadError MEMORY_FULL */
  appendFile(channel: Channel<R>, range: FileRange): void {
    const extents = this.#extents;
    this.#files.push(range.fd); // whatever becomes of it
    const tail = this.#tailOf(channel);
    const isFree = tail >= 0 && extents.fdOf(tail) < 0;
    if (!isFree) this.#assertRoom(1, true);
    this.#remember(channel, tail);
    const extent = isFree ? tail : this.#add(channel, true, channel.record.outEnd);
    extents.setFile(extent, range);
    channel.record.outEnd = channel.record.outEnd + range.length;
  }

  #tailOf(channel: Channel<R>): number {
    return channel.record.outHead === 0 ? -1 : channel.outTail;
  }

  #assertRoom(count: number, small: boolean): void {
    const {freeLarge} = this.#extents;
    if (freeLarge >= count || (small && this.#extents.freeCount > freeLarge)) return;
    throw new HreadError(
      'MEMORY_FULL',
      `no memory is left for ${count * LARGE} bytes of output; send less at a time, or give the server more`,
    );
  }

  #add(channel: Channel<R>, small: boolean, base: number): number {
    const extents = this.#extents;
    const tail = this.#tailOf(channel);
    const extent = extents.take(small);
    this.#taken.push(extent);
    extents.begin(extent, channel.index, base);
    if (tail < 0) channel.record.outHead = extent + 1;
    else extents.set(tail, Word.next, extent + 1);
    channel.outTail = extent;
    channel.waiting += extents.sizeOf(extent);
    return extent;
  }

  #remember(channel: Channel<R>, tail: number): void {
    if (this.#before.has(channel)) return;
    const extents = this.#extents;
    this.#before.set(channel, {
      tail,
      length: tail < 0 ? 0 : extents.get(tail, Word.length),
      hasFile: tail >= 0 && extents.fdOf(tail) >= 0,
      waiting: channel.waiting,
    });
  }

  #forget(): void {
    this.#before.clear();
    this.#taken = [];
    this.#files = [];
  }
}
