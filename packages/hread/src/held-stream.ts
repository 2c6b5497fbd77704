import {errnoName, type HeldHandle, native} from '@zlr/kernel-shim/internal';
import type {TableLayout} from '@zlr/state-store';
import type {ChannelRecord} from './channels/channel.js';
import type {Slots} from './channels/slots.js';
import {HreadError} from './errors.js';

/**
 * Data-holding read of one socket (thesis, `hread(fd, buf, rlen, dlen)`), for code that has a loop of its own. What
 * is read stays in the shared segment until it is deleted; after a fault, reading goes on behind what was read and
 * the bytes since the delete position are all there.
 */
export class HeldStream {
  readonly #handle: HeldHandle;
  readonly #record: ChannelRecord;
  readonly #slots: Slots;
  #read: number;

  /**
   * @param read position that the kernel's books tell for the socket (0 for a fresh one)
   */
  constructor(
    store: {memory: Uint8Array; layout: TableLayout},
    slots: Slots,
    record: ChannelRecord,
    fd: number,
    read: number,
  ) {
    const {byteOffset, stride} = store.layout;
    const start = byteOffset + record.$index * stride;
    const bytes = store.memory.subarray(start, start + stride);
    this.#handle = native().heldOpen(bytes, slots.memory, slots.size, slots.stack, fd, read);
    this.#record = record;
    this.#slots = slots;
    this.#read = read;
  }

  /**
   * Deletes the first `dlen` held bytes, then reads at most `rlen` more without waiting.
   *
   * @returns bytes read; 0: the peer has ended; -1: there is nothing to read now
   * @throws HreadError HOLD_EXCEEDED when more is to be deleted than is held, or nothing more can be held until
   *         something is deleted; READ_FAILED
   */
  hread(rlen: number, dlen = 0): number {
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

  /** What is held: a view of the shared segment, valid until the next hread. */
  get held(): Buffer {
    const {holdSlot, holdBase, consumed} = this.#record;
    if (holdSlot === 0) return this.#slots.memory.subarray(0, 0);
    const slot = (holdSlot - 1) * this.#slots.size;
    return this.#slots.memory.subarray(slot + consumed - holdBase, slot + this.#read - holdBase);
  }
}
