import {StoreError} from '../errors.js';
import {at} from './header.js';
import {CLASSES, classFor, classSize, FREE, type Heap, type SegmentFull} from './heap.js';
import {CELL, DIRECT, type Memory} from './memory.js';
import type {UndoLog} from './undo-log.js';

/*
 * Free blocks that lie side by side are joined when there is no room for something, and at no other time. The lists are
 * emptied at once and filled again from below, in as many transactions as the log needs; header.joining says how far that
 * came, 0 that it is done. A kill in between leaves a good heap, of which some free blocks are in no list: nobody is given
 * them until the next joining, which begins anew.
 */

/** Free room as joining would leave it, in cells. */
interface Room {
  longest: number;
  /** Between the blocks and the extents, where collections grow. */
  atEnd: number;
  all: number;
  /** Neighbours there are to join, or blocks that no list has. */
  joints: number;
}

/** A larger segment costs memory, joining costs time: rather join when so much of the heap is free. */
const WORTH_JOINING = 1 / 4;

export class Joiner {
  constructor(
    private readonly memory: Memory,
    private readonly log: UndoLog,
    private readonly heap: Heap,
    private readonly name: string,
  ) {}

  /** After a transaction was undone for want of room: true if there is enough now, so that it may try again. */
  makeRoom({cells, elsewhere}: SegmentFull, orGrow: boolean): boolean {
    const {heap, memory} = this;
    const room = this.known() ?? this.look();
    this.room = room;
    this.listed = heap.listed;
    const size = memory.u32[at.heap / 4 + 1]! - heap.start;
    if (orGrow && room.all < size * WORTH_JOINING) return false;
    const among = elsewhere !== undefined && room.atEnd < cells;
    // A block is as large as its class, and has a header.
    if (room.longest < (among ? classSize(classFor(cells + 1)) : cells)) return false;
    this.room = undefined; // it will not be as it was seen
    if (room.joints > 0) this.join();
    else if (!among) return false;
    if (among) this.transact(elsewhere);
    return true;
  }

  /** What was seen the last time, so that a store that stays full does not look again and again. */
  private room: Room | undefined;
  private listed = 0;

  /** Beside other writers it says nothing. */
  private known(): Room | undefined {
    return this.memory.mode === DIRECT && this.listed === this.heap.listed ? this.room : undefined;
  }

  private look(): Room {
    const {u32} = this.memory;
    const {start, top, limit} = this.heap;
    let [all, longest, run, joints] = [0, 0, 0, u32[at.joining / 4] === 0 ? 0 : 1];
    for (let block = start; block < top; ) {
      const cells = u32[block * 2]!;
      if (cells === 0)
        throw new StoreError(
          'ERR_CORRUPT',
          `store '${this.name}': the block at cell ${block} has no size; run check().`,
        );
      if (u32[block * 2 + 1] === FREE) {
        if (run > 0) joints++;
        run += cells;
        all += cells;
        if (run > longest) longest = run;
      } else run = 0;
      block += cells;
    }
    if (run > 0) joints++;
    const fresh = limit - top - 1;
    return {longest: Math.max(longest, run + fresh), atEnd: run + fresh, all: all + fresh, joints};
  }

  private join(): void {
    const {memory, log, heap} = this;
    const {u32} = memory;
    this.transact(() => {
      log.saveRange(at.free / CELL, CLASSES / 2);
      u32.fill(0, at.free / 4, at.free / 4 + CLASSES);
      this.mark(heap.start);
    });
    for (let next = heap.start; next < heap.top; )
      this.transact(() => {
        next = this.joinFrom(next);
        this.mark(next);
      });
    // What lies above the top now is written without an entry: a copy from before cannot be taken back beyond this.
    log.spoil();
    this.transact(() => this.mark(0));
  }

  /** Joins and lists blocks from this one on, as many as the log has room for. Gives the cell to go on at. */
  private joinFrom(from: number): number {
    const {log, heap} = this;
    const {u32} = this.memory;
    const {top} = heap;
    let block = from;
    for (let left = log.capacity - 2; left >= 3 && block < top; ) {
      let end = block + u32[block * 2]!;
      if (u32[block * 2 + 1] === FREE) {
        while (end < top && u32[end * 2 + 1] === FREE) end += u32[end * 2]!;
        if (end === top) {
          log.save(at.heapTop >> 3);
          u32[at.heapTop / 4] = block;
          return block;
        }
        heap.list(block, end - block);
        left -= 3;
      }
      block = end;
    }
    return block;
  }

  private mark(cell: number): void {
    this.log.save(at.joining >> 3);
    this.memory.u32[at.joining / 4] = cell;
  }

  private transact(fn: () => void): void {
    const before = this.log.begin();
    try {
      fn();
      this.log.commit(before);
    } catch (error) {
      this.log.rollback(before);
      throw error;
    }
  }
}
