import {native} from '@zlr/kernel-shim/internal';
import {HreadError} from '../errors.js';
import type {Channel, ChannelRecord} from './channel.js';
import {type Extents, type FileRange, LARGE, SMALL, Word} from './extents.js';
import {Pile} from './pile.js';

/** The bytes [start, end) of a buffer. */
export interface Piece {
  bytes: Uint8Array;
  start: number;
  end: number;
}

/** What a channel's output was before a transaction touched it. */
interface Before<R extends ChannelRecord> {
  channel: Channel<R>;
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
  readonly #before = new Pile<Before<R>>();
  readonly #taken = new Pile<number>();
  readonly #files = new Pile<number>();

  constructor(extents: Extents) {
    this.#extents = extents;
  }

  /** The transaction holds, or what it has done is taken back. */
  forget(): void {
    this.#before.each(untouch);
    this.#before.clear();
    this.#taken.clear();
    this.#files.clear();
  }

  /** The transaction was undone. */
  undo(): void {
    const extents = this.#extents;
    this.#before.each(({channel, tail, length, hasFile, waiting}) => {
      channel.outTail = tail;
      channel.waiting = waiting;
      if (tail < 0) return;
      extents.set(tail, Word.next, 0);
      extents.set(tail, Word.length, length);
      if (hasFile) return;
      extents.setLong(tail, Word.fileLength, 0);
      extents.set(tail, Word.fileFd, -1);
    });
    this.#taken.each(extent => extents.give(extent));
    this.#files.each(fd => native().close(fd));
    this.forget();
  }

  /** Puts bytes behind what is there. All of them, or an error and none. @throws HreadError MEMORY_FULL */
  append(channel: Channel<R>, pieces: readonly Piece[]): void {
    let total = 0;
    for (const {start, end} of pieces) total += end - start;
    if (total === 0) return;
    const extents = this.#extents;
    const tail = this.#tailOf(channel);
    const rest = total - (tail < 0 ? 0 : this.#roomIn(tail));
    const small = rest <= SMALL && tail < 0;
    if (rest > 0) this.#assertRoom(small ? 1 : Math.ceil(rest / LARGE), small);
    this.#remember(channel, tail);
    let into = tail;
    for (const {bytes, start, end} of pieces) {
      for (let at = start; at < end; ) {
        if (into < 0 || this.#roomIn(into) === 0) into = this.#add(channel, small, channel.record.outEnd);
        const used = extents.get(into, Word.length);
        const to = Math.min(end, at + this.#roomIn(into));
        extents.memory.set(bytes.subarray(at, to), extents.offsetOf(into) + used);
        extents.set(into, Word.length, used + to - at);
        channel.record.outEnd = channel.record.outEnd + to - at;
        at = to;
      }
    }
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

  /** Bytes that still fit; none behind a file. */
  #roomIn(extent: number): number {
    const extents = this.#extents;
    return extents.fdOf(extent) >= 0 ? 0 : extents.sizeOf(extent) - extents.get(extent, Word.length);
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
    if (channel.isTouched) return;
    channel.isTouched = true;
    const extents = this.#extents;
    this.#before.push({
      channel,
      tail,
      length: tail < 0 ? 0 : extents.get(tail, Word.length),
      hasFile: tail >= 0 && extents.fdOf(tail) >= 0,
      waiting: channel.waiting,
    });
  }
}

function untouch({channel}: {channel: {isTouched: boolean}}): void {
  channel.isTouched = false;
}
