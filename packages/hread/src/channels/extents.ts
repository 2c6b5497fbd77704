import assert from 'node:assert/strict';

/** Holds the first bytes of a unit of input, or a short answer. A page has room for eight. */
export const SMALL = 512;
/** Twice the longest head of a request, see hold.c: what is left over always fits before itself. */
export const LARGE = 32 * 1024;

/** Bytes of an entry: struct zlr_extent, drawn in kernel-shim/include/zlr/channel.h. A test compares the two. */
export const ENTRY = 56;
const WORDS = ENTRY / 4;
/** Words of an entry. Those of 64 bits have the lower half first. */
export const Word = {
  base: 0,
  fileOffset: 2,
  fileLength: 4,
  fileDevice: 6,
  fileInode: 8,
  next: 10,
  owner: 11,
  length: 12,
  fileFd: 13,
} as const;

/** A part of a file that is to be sent. */
export interface FileRange {
  /** Opened with `openBeneath`, or otherwise with O_APPEND; whoever sends it closes it. */
  fd: number;
  offset: number;
  length: number;
  /** Which file it is: st_dev and st_ino. */
  device: number;
  inode: number;
}

export interface Room {
  large: number;
  small: number;
}

/** What the two `t.raw` of a store need for so many extents. */
export const bytesFor = ({large, small}: Room): {pool: number; extents: number} => ({
  pool: large * LARGE + small * SMALL,
  extents: (large + small) * ENTRY,
});

/**
 * The extents of a pool, large ones first, with what stands beside each, and the stacks of those that are free. The
 * stacks are this process' own and shared with native code, which takes extents for input: stack[0] is the count,
 * stack[1..count] are their numbers.
 */
export class Extents {
  readonly memory: Buffer;
  readonly entries: Uint32Array;
  readonly largeCount: number;
  readonly count: number;
  readonly large: Int32Array;
  readonly small: Int32Array;
  /** Large ones that input leaves for output, so that held input is never what keeps an answer from being made. */
  readonly reserve: number;

  constructor(memory: Buffer, entries: Uint8Array) {
    this.memory = memory;
    this.count = entries.length / ENTRY;
    this.largeCount = (memory.length - this.count * SMALL) / (LARGE - SMALL);
    assert(
      Number.isInteger(this.count) && Number.isInteger(this.largeCount) && this.largeCount <= this.count,
      'the pool is a whole number of extents',
    );
    this.entries = new Uint32Array(entries.buffer, entries.byteOffset, this.count * WORDS);
    this.large = new Int32Array(this.largeCount + 1);
    this.small = new Int32Array(this.count - this.largeCount + 1);
    this.reserve = Math.floor(this.largeCount / 4);
  }

  /** As native code takes them: sizes, counts and the reserve. */
  get numbers(): number[] {
    return [LARGE, SMALL, this.largeCount, this.count - this.largeCount, this.reserve];
  }

  /** Declares free all but the given ones. The lowest are taken first, so that few pages are ever touched. */
  free(except: ReadonlySet<number>): void {
    this.large[0] = this.small[0] = 0;
    for (let extent = this.count - 1; extent >= 0; extent--) if (!except.has(extent)) this.give(extent);
  }

  /** Its number, or -1 when none is free. A small one that is not to be had is made up for by a large one. */
  take(small: boolean): number {
    const stack = small && this.small[0]! > 0 ? this.small : this.large;
    const top = stack[0]!;
    if (top === 0) return -1;
    stack[0] = top - 1;
    return stack[top]!;
  }

  give(extent: number): void {
    const stack = extent < this.largeCount ? this.large : this.small;
    const top = stack[0]! + 1;
    assert(top < stack.length, 'no extent is given back twice');
    stack[top] = extent;
    stack[0] = top;
  }

  get freeLarge(): number {
    return this.large[0]!;
  }

  get freeCount(): number {
    return this.large[0]! + this.small[0]!;
  }

  sizeOf(extent: number): number {
    return extent < this.largeCount ? LARGE : SMALL;
  }

  /** Where its first byte lies in the memory. */
  offsetOf(extent: number): number {
    return extent < this.largeCount
      ? extent * LARGE
      : this.largeCount * LARGE + (extent - this.largeCount) * SMALL;
  }

  get(extent: number, word: number): number {
    return this.entries[extent * WORDS + word]!;
  }

  set(extent: number, word: number, value: number): void {
    this.entries[extent * WORDS + word] = value;
  }

  /** A number of 64 bits; the file's device and inode are kept as the doubles that JavaScript has them in. */
  getLong(extent: number, word: number): number {
    const at = extent * WORDS + word;
    return this.entries[at]! + this.entries[at + 1]! * 2 ** 32;
  }

  setLong(extent: number, word: number, value: number): void {
    const at = extent * WORDS + word;
    this.entries[at] = value;
    this.entries[at + 1] = value / 2 ** 32;
  }

  /** Makes the entry of an extent that output is put into. */
  begin(extent: number, owner: number, base: number): void {
    const at = extent * WORDS;
    this.entries.fill(0, at, at + WORDS);
    this.setLong(extent, Word.base, base);
    this.entries[at + Word.owner] = owner + 1;
    this.entries[at + Word.fileFd] = -1;
  }

  fdOf(extent: number): number {
    return this.get(extent, Word.fileFd) | 0;
  }

  setFile(extent: number, {fd, offset, length, device, inode}: FileRange): void {
    this.setLong(extent, Word.fileOffset, offset);
    this.setLong(extent, Word.fileLength, length);
    this.setLong(extent, Word.fileDevice, device);
    this.setLong(extent, Word.fileInode, inode);
    this.set(extent, Word.fileFd, fd);
  }
}
