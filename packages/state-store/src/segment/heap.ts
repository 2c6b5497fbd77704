import assert from 'node:assert/strict';
import {StoreError} from '../errors.js';
import {at} from './header.js';
import {CELL, LOGGED, type Memory} from './memory.js';
import type {UndoLog} from './undo-log.js';

/*
 * The allocator of everything whose size is not known beforehand.
 *
 *   block:     u32 cells, this one included | u32 USED or FREE      one cell
 *              payload; in a free block its first word is the next free block of the class, or 0
 *   classes:   header.free[i], the first free block with size(i) <= cells < size(i + 1)
 *   heapTop:   blocks lie end to end from the start of the heap to here; above, nothing was ever used; at least a cell
 *              stays free there, for the header of the block around the extents once the segment grows
 *
 * Sizes in cells: 2 3 4 5 6 7 8, then four to a doubling (10 12 14 16 20 24 28 32 ...): at most a quarter is wasted.
 * All metadata is written under the undo log. A block freed in a transaction is handed out again only after it, so the
 * content of a block never needs saving: it cannot be written by the transaction that frees it.
 */
export const USED = 0x44455355; // 'USED'
export const FREE = 0x45455246; // 'FREE'
/** Extents in the middle of the heap: growing the segment left them there, or there was no room for them at its end. */
export const ENCLOSED = 0x534f4c43; // 'CLOS'
export const CLASSES = 120;

/** The smallest size, in cells, of class `i`. */
export function classSize(i: number): number {
  if (i < 7) return i + 2;
  return (5 + ((i - 7) & 3)) * 2 ** (((i - 7) >> 2) + 1);
}

/** The class whose blocks all have at least `cells` cells. */
export function classFor(cells: number): number {
  if (cells <= 8) return Math.max(cells - 2, 0);
  const shift = 29 - Math.clz32(cells - 1); // 9..16 -> 1, 17..32 -> 2, ...
  const quarter = Math.ceil(cells / 2 ** shift) - 5; // 5..8 -> 0..3
  return 7 + (shift - 1) * 4 + quarter;
}

/** The class a free block of `cells` cells belongs to. */
export function classOf(cells: number): number {
  const up = classFor(cells);
  return classSize(up) <= cells ? up : up - 1;
}

/** The segment itself has no room, which a larger one would have. */
export class SegmentFull extends StoreError {
  constructor(
    message: string,
    /** That are missing, in one piece. */
    readonly cells: number,
    /** Given where they must lie between the blocks and the extents: takes them among the blocks, in a transaction. */
    readonly elsewhere?: () => void,
  ) {
    super('ERR_FULL', message);
  }
}

export class Heap {
  constructor(
    private readonly memory: Memory,
    private readonly log: UndoLog,
    private readonly name: string,
    readonly start: number,
  ) {}

  get top(): number {
    return this.memory.u32[at.heapTop / 4]!;
  }

  get limit(): number {
    return this.memory.u32[at.heapLimit / 4]!;
  }

  /**
   * Throws unless `cells` can be taken from the end of the heap; gives the cell at which they would begin. `elsewhere`:
   * what could be done instead.
   */
  beforeLimit(cells: number, elsewhere: () => void): number {
    this.assertBounds();
    const start = Math.floor((this.limit - cells) / 8) * 8; // on a cache line
    if (start <= this.top) this.full(cells * CELL, cells + 7, elsewhere); // up to seven more to be on one
    return start;
  }

  /** One store, under no log: what lies above is taken for good. */
  lowerLimit(to: number): void {
    assert(to >= this.top && to < this.limit);
    this.memory.atomics.store(this.memory.u32, at.heapLimit / 4, to);
  }

  /** Throws unless `enclose` can be done: a store of before may be full to its last cell. */
  assertJoinable(): void {
    if (this.top === this.limit && this.limit < this.memory.byteLength / CELL)
      throw new SegmentFull(
        `store '${this.name}' is full to its last cell and cannot be joined to new room; open it with compact: true and a larger size.`,
        Number.POSITIVE_INFINITY,
      );
  }

  /**
   * Joins what lies between the blocks and `end` to the blocks, so that the heap can go on behind it: the room up to
   * `limit` becomes free blocks, the extents above it one block that is nobody's to free.
   */
  enclose(top: number, limit: number, end: number): void {
    let at = top;
    // The block around the extents needs a header cell, so the last cell before them is its.
    const room = limit - 1 - at;
    for (let rest = end > limit ? room : limit - at; rest >= 2; ) {
      let piece = classSize(classOf(rest));
      if (rest - piece === 1) piece = rest;
      this.list(at, piece);
      at += piece;
      rest -= piece;
    }
    if (at === end) return;
    this.log.save(at);
    this.memory.u32[at * 2] = end - at;
    this.memory.u32[at * 2 + 1] = ENCLOSED;
  }

  /** The first payload cell of a block for `bytes` bytes. Its content is whatever was there. */
  alloc(bytes: number): number {
    const {memory, log} = this;
    assert(memory.mode === LOGGED);
    const {u32} = memory;
    const wanted = classFor(1 + Math.ceil(bytes / CELL));
    const cells = classSize(wanted);
    const head = at.free / 4 + wanted;
    const block = u32[head]!;
    if (block !== 0) {
      this.pop(head, block);
      log.saveReused(block + 1, u32[block * 2]! - 1);
      return block + 1;
    }
    const top = u32[at.heapTop / 4]!;
    // The cell below the limit stays free: growing needs it for a header around the extents.
    const {limit} = this;
    if (top + cells < limit) {
      if (top < this.start || limit * 2 > u32.length) this.assertBounds();
      log.save(at.heapTop >> 3);
      u32[at.heapTop / 4] = top + cells;
      u32[top * 2] = cells; // above the old top: nobody looks there if this is undone
      u32[top * 2 + 1] = USED;
      return top + 1;
    }
    return this.split(wanted, cells, bytes);
  }

  /** The same for what is never given back: the block is nobody's to free. */
  allocForGood(bytes: number): number {
    const payload = this.alloc(bytes);
    this.log.save(payload - 1);
    this.memory.u32[(payload - 1) * 2 + 1] = ENCLOSED;
    return payload;
  }

  /** Gives a block back at the end of the transaction. `payload` 0 is no block. */
  free(payload: number): void {
    if (payload !== 0) this.log.onCommit(() => this.push(payload - 1));
  }

  /** Bytes the block at `payload` has room for; throws when there is no such block. */
  room(payload: number): number {
    const {u32} = this.memory;
    const block = payload - 1;
    const {top} = this;
    if (!(block >= this.start && block < top) || u32[block * 2 + 1] !== USED || block + u32[block * 2]! > top)
      this.corrupt(`cell ${payload} is named as a block, but there is none`);
    return (u32[block * 2]! - 1) * CELL;
  }

  /** Of where blocks may be made: what was damaged would have them made where nothing is, or something else. */
  private assertBounds(): void {
    const {start, top, limit} = this;
    if (top < start || top > limit || limit > this.memory.u32.length / 2)
      this.corrupt(`its heap begins at cell ${start} and says that it is used to ${top} of ${limit}`);
  }

  private corrupt(what: string): never {
    throw new StoreError('ERR_CORRUPT', `store '${this.name}': ${what}; run check().`);
  }

  private pop(head: number, block: number): void {
    const {log} = this;
    const {u32} = this.memory;
    if (u32[block * 2 + 1] !== FREE)
      this.corrupt(`the free list names cell ${block}, which is not a free block`);
    log.note(head >> 1);
    log.note(block);
    log.note(block + 1);
    log.publish();
    u32[head] = u32[block * 2 + 2]!;
    u32[block * 2 + 1] = USED;
  }

  private push(block: number): void {
    this.room(block + 1);
    this.list(block, this.memory.u32[block * 2]!);
  }

  /** Counts the blocks that were put into lists here. */
  listed = 0;

  /** Makes these cells a free block. Part of a transaction. */
  list(block: number, cells: number): void {
    this.listed++;
    const {log} = this;
    const {u32} = this.memory;
    const head = at.free / 4 + classOf(cells);
    log.note(head >> 1);
    log.note(block);
    log.note(block + 1);
    log.publish();
    u32[block * 2] = cells;
    u32[block * 2 + 1] = FREE;
    u32[block * 2 + 2] = u32[head]!;
    u32[head] = block;
  }

  /** The heap has no fresh room: cut a larger free block in two. What is left over becomes blocks of whole classes. */
  private split(wanted: number, cells: number, bytes: number): number {
    const {log} = this;
    const {u32} = this.memory;
    for (let i = wanted + 1; i < CLASSES; i++) {
      const head = at.free / 4 + i;
      const block = u32[head]!;
      if (block === 0) continue;
      this.pop(head, block);
      let rest = u32[block * 2]! - cells;
      log.saveReused(block + 1, Math.min(cells, u32[block * 2]!) - 1);
      if (rest < 2) return block + 1;
      log.save(block);
      u32[block * 2] = cells;
      let next = block + cells;
      while (rest >= 2) {
        let piece = Math.min(classSize(classOf(rest)), rest);
        if (rest - piece === 1) piece = rest; // no block is one cell
        this.list(next, piece);
        next += piece;
        rest -= piece;
      }
      return block + 1;
    }
    return this.full(bytes, cells);
  }

  private full(bytes: number, cells: number, elsewhere?: () => void): never {
    throw new SegmentFull(
      `store '${this.name}' is full: no room for ${bytes} more bytes. Remove something, or open it with a larger size or maxSize.`,
      cells,
      elsewhere,
    );
  }
}
