import {openModule} from '@zlr/kernel-shim';
import {descriptor, errnoName, integer, native} from '@zlr/kernel-shim/internal';
import {assertFits, HreadError} from './errors.js';
import type {HeldStream} from './held-stream.js';

const POSITION = integer(0, Number.MAX_SAFE_INTEGER);

/** As much as one call reads at most. */
const PART = 65_536;

/** One for all streams of the process; what is held belongs to their files. */
let device: number | undefined;

/**
 * What `HeldStream` is, held by the kernel module (kmod/) instead of a shared segment: it needs no store, and the
 * stream may be a socket, a pipe, a FIFO or a terminal. After a fault the next generation finds all bytes since the delete
 * position. How much may be held is the module's parameter hold_file_max.
 */
export class KernelStream implements Pick<HeldStream, 'hread' | 'held' | 'length'> {
  readonly #fd: number;
  /** What the module holds and this life has read lies from #start to #end; behind it is room for more. */
  #bytes = Buffer.allocUnsafe(4096);
  #start = 0;
  #end = 0;

  /**
   * The file does not wait from here on.
   *
   * @throws HreadError OPTION_INVALID; READ_FAILED; ShimError when the module cannot be used
   */
  constructor(fd: number) {
    assertFits('KernelStream', {fd}, {fd: descriptor});
    device ??= openModule();
    this.#fd = fd;
    const {error, written, read, deleted} = native().moduleStream(device, fd);
    if (error < 0) this.#fail(error);
    if (read > deleted) {
      const message = `hread: what is held of descriptor ${fd} has been read in this life; keep its stream instead`;
      throw new HreadError('READ_FAILED', message);
    }
    // What the former life had read and not deleted.
    while (this.length < written - deleted) this.hread(written - deleted - this.length);
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
    if (dlen > this.length) {
      const message = `hread: cannot delete ${dlen} bytes, only ${this.length} are held`;
      throw new HreadError('HOLD_EXCEEDED', message, 'EINVAL');
    }
    const part = Math.min(rlen, PART);
    this.#makeRoom(part);
    let n = this.#call(part, dlen);
    if (n >= 0) this.#start += dlen;
    if (n < 0 && dlen > 0) {
      // The module does both or nothing. Here the deletion counts by itself, and may make the room that was missing.
      const error = this.#call(0, dlen);
      if (error < 0) this.#fail(error);
      this.#start += dlen;
      if (errnoName(n) === 'ENOBUFS') n = this.#call(part, 0);
    }
    if (n < 0) return errnoName(n) === 'EAGAIN' ? -1 : this.#fail(n);
    this.#end += n;
    return n;
  }

  /** Bytes that are held. */
  get length(): number {
    return this.#end - this.#start;
  }

  /** What is held, valid until the next hread. */
  get held(): Buffer {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** Reads behind what is held. */
  #call(rlen: number, dlen: number): number {
    return native().moduleHread(device!, this.#fd, this.#bytes.subarray(this.#end), rlen, dlen);
  }

  #makeRoom(part: number): void {
    if (this.#bytes.length - this.#end >= part) return;
    const {held} = this;
    const into =
      held.length + part <= this.#bytes.length
        ? this.#bytes
        : Buffer.allocUnsafe(2 ** Math.ceil(Math.log2(held.length + part)));
    held.copy(into); // a move, if it is the same
    this.#bytes = into;
    this.#end = held.length;
    this.#start = 0;
  }

  #fail(error: number): never {
    const name = errnoName(error);
    if (name === 'ENOBUFS')
      throw new HreadError('HOLD_EXCEEDED', 'hread: the hold is full; delete what is processed first', name);
    throw new HreadError('READ_FAILED', `hread: the module refused with ${name}`, name);
  }
}
