import {descriptor, errnoName, type HeldHandle, integer, native} from '@zlr/kernel-shim/internal';
import type {TableLayout} from '@zlr/state-store';
import {type ChannelRecord, FLOW_WORDS} from './channels/channel.js';
import {type Extents, LARGE, Word} from './channels/extents.js';
import {assertFits, HreadError} from './errors.js';

const POSITION = integer(0, Number.MAX_SAFE_INTEGER);

/**
 * Data-holding read of one socket (thesis, `hread(fd, buf, rlen, dlen)`), for code that has a loop of its own. What
 * is read stays in the shared segment until it is deleted; after a fault, reading goes on behind what was read and
 * the bytes since the delete position are all there.
 */
export class HeldStream {
  readonly #handle: HeldHandle;
  readonly #record: ChannelRecord;
  readonly #extents: Extents;
  #read: number;

  /**
   * @param read position that the kernel's books tell for the socket (0 for a fresh one)
   * @param most bytes that may be held, 32 KiB at least
   */
  constructor(
    store: {memory: Uint8Array; layout: TableLayout},
    extents: Extents,
    record: ChannelRecord,
    fd: number,
    read: number,
    most = LARGE,
  ) {
    assertFits(
      'HeldStream',
      {fd, read, most},
      {fd: descriptor, read: POSITION, most: integer(LARGE, 2 ** 31)},
    );
    const {byteOffset, stride} = store.layout;
    const start = byteOffset + record.$index * stride;
    const {memory, entries, large, small, numbers} = extents;
    this.#handle = native().heldOpen(
      [
        store.memory.subarray(start, start + stride),
        memory,
        entries,
        large,
        small,
        new Uint32Array(FLOW_WORDS),
      ],
      Uint32Array.from(numbers),
      record.$index + 1,
      most,
      fd,
      read,
    );
    this.#record = record;
    this.#extents = extents;
    this.#read = read;
  }

  /**
   * Deletes the first `dlen` held bytes, then reads at most `rlen` more without waiting.
   *
   * @returns bytes read; 0: the peer has ended; -1: there is nothing to read now
   * @throws HreadError OPTION_INVALID; HOLD_EXCEEDED when more is to be deleted than is held, or nothing more can be held until
   *         something is deleted; READ_FAILED
   */
  hread(rlen: number, dlen = 0): number {
    if (!POSITION.fits(rlen) || !POSITION.fits(dlen))
      assertFits('hread', {rlen, dlen}, {rlen: POSITION, dlen: POSITION});
    const n = native().hread(this.#handle, rlen, dlen);
    if (n >= 0) {
      this.#read += n;
      return n;
    }
    const name = errnoName(n);
    if (name === 'EAGAIN') return -1;
    if (name === 'EINVAL') {
      const held = this.#read - this.#record.consumed;
      throw new HreadError(
        'HOLD_EXCEEDED',
        `hread: cannot delete ${dlen} bytes, only ${held} are held`,
        name,
      );
    }
    if (name === 'ENOBUFS') {
      throw new HreadError('HOLD_EXCEEDED', 'hread: the hold is full; delete what is processed first', name);
    }
    throw new HreadError('READ_FAILED', `hread: recv failed with ${name}`, name);
  }

  /** Bytes that are held. */
  get length(): number {
    return this.#read - this.#record.consumed;
  }

  /** What is held, as far as it lies in one piece (32 KiB always do): a view of the shared segment, valid until the next hread. */
  get held(): Buffer {
    const {holdHead, consumed} = this.#record;
    const {memory} = this.#extents;
    if (holdHead === 0) return memory.subarray(0, 0);
    const into = consumed - this.#extents.getLong(holdHead - 1, Word.base);
    const start = this.#extents.offsetOf(holdHead - 1) + into;
    return memory.subarray(start, start + Math.min(this.length, this.#extents.sizeOf(holdHead - 1) - into));
  }
}
