import assert from 'node:assert/strict';
import {StoreError} from './errors.js';
import {at} from './header.js';
import {CELL, LOGGED, type Memory, type Mode} from './memory.js';

/*
 * The undo log: what the cells of the running transaction held before it.
 *
 *   entry i, 12 bytes:  u32 cell | u32 old low word | u32 old high word
 *   header.logCount:    number of entries; 0 = no transaction
 *
 * Order is everything: entry, then count, then the cell itself. A kill leaves all stores up to some instruction and none
 * after it, so the processor needs no fence; the compiler does, and Atomics.store is the only store it never moves.
 * Recovery writes the old cells back, last entry first, then sets the count to 0; a kill inside recovery repeats it.
 */
const ENTRY_WORDS = 3;

export class UndoLog {
  private readonly base: number;
  private readonly capacity: number;
  private count = 0;
  /** The cell logged last: fields that share a cell are usually written together. */
  private last = -1;
  private u32!: Uint32Array;
  private readonly cells: number;
  /** Tells the transactions of this process apart. */
  serial = 0;
  private undone: (() => void)[] = [];
  private beforeCommit: (() => void)[] = [];

  constructor(
    private readonly memory: Memory,
    logCell: number,
    logCells: number,
  ) {
    this.base = logCell * 2;
    this.capacity = Math.floor((logCells * 2) / ENTRY_WORDS);
    this.cells = memory.byteLength / CELL;
    memory.onAttach(() => {
      this.u32 = memory.u32;
    });
  }

  /** Undoes what a dead writer left half done. Returns the number of cells written back. */
  recover(where: string): number {
    const count = this.memory.atomics.load(this.u32, at.logCount / 4);
    if (count > this.capacity)
      throw new StoreError(
        'ERR_CORRUPT',
        `the undo log of ${where} says ${count} entries but has room for ${this.capacity}; the segment was left untouched.`,
      );
    for (let i = 0; i < count; i++) {
      const cell = this.u32[this.base + i * ENTRY_WORDS]!;
      if (cell >= this.cells)
        throw new StoreError(
          'ERR_CORRUPT',
          `the undo log of ${where} names cell ${cell} of ${this.cells}; the segment was left untouched.`,
        );
    }
    this.count = count;
    this.restore(0);
    return count;
  }

  get open(): boolean {
    return this.memory.mode === LOGGED;
  }

  begin(): Mode {
    const before = this.memory.mode;
    assert(before !== LOGGED && this.count === 0);
    this.serial++;
    this.memory.mode = LOGGED;
    return before;
  }

  /** Saves one cell. Must return before the cell is written. */
  save(cell: number): void {
    if (cell === this.last) return;
    this.note(cell);
    this.publish();
  }

  /** Saves one cell, but counts only from the next `publish`: several cells, one atomic store. */
  note(cell: number): void {
    const {u32, count} = this;
    if (count >= this.capacity) this.overflow();
    const e = this.base + count * ENTRY_WORDS;
    u32[e] = cell;
    u32[e + 1] = u32[cell * 2]!;
    u32[e + 2] = u32[cell * 2 + 1]!;
    this.count = count + 1;
    this.last = cell;
  }

  publish(): void {
    this.memory.atomics.store(this.u32, at.logCount / 4, this.count);
  }

  saveRange(cell: number, cells: number): void {
    for (let i = 0; i < cells; i++) this.note(cell + i);
    this.publish();
  }

  /** Runs when the transaction is rolled back by an exception (after a crash there is nobody to tell). */
  onUndo(action: () => void): void {
    this.undone.push(action);
  }

  /** Runs as the last part of the transaction, its stores still logged. */
  onCommit(action: () => void): void {
    this.beforeCommit.push(action);
  }

  commit(after: Mode): void {
    while (this.beforeCommit.length > 0) this.beforeCommit.shift()!();
    if (this.count > 0) {
      this.memory.atomics.store(this.u32, at.logCount / 4, 0);
      this.count = 0;
    }
    this.last = -1;
    if (this.undone.length > 0) this.undone = [];
    this.memory.mode = after;
  }

  savepoint(): {count: number; undone: number; beforeCommit: number} {
    // The next write of any cell must be logged again, else it could not be undone to this point.
    this.last = -1;
    return {count: this.count, undone: this.undone.length, beforeCommit: this.beforeCommit.length};
  }

  rollbackTo(point: {count: number; undone: number; beforeCommit: number}): void {
    this.restore(point.count);
    this.beforeCommit.length = point.beforeCommit;
    while (this.undone.length > point.undone) this.undone.pop()!();
  }

  rollback(after: Mode): void {
    this.rollbackTo({count: 0, undone: 0, beforeCommit: 0});
    this.memory.mode = after;
  }

  private restore(downTo: number): void {
    const {u32} = this;
    for (let i = this.count - 1; i >= downTo; i--) {
      const e = this.base + i * ENTRY_WORDS;
      const cell = u32[e]!;
      u32[cell * 2] = u32[e + 1]!;
      u32[cell * 2 + 1] = u32[e + 2]!;
    }
    this.count = downTo;
    this.last = -1;
    this.publish();
  }

  private overflow(): never {
    throw new StoreError(
      'ERR_TRANSACTION',
      `a transaction wrote more than ${this.capacity} cells of 8 bytes, the room of its undo log; it was rolled back. Split it, or open the store with a larger logSize.`,
    );
  }
}

/** Runs `fn` as one transaction, joining one that is already open; a throw undoes exactly what `fn` did. */
export function transact<R>(memory: Memory, log: UndoLog, fn: () => R): R {
  if (memory.mode === LOGGED) {
    const point = log.savepoint();
    try {
      return fn();
    } catch (error) {
      log.rollbackTo(point);
      throw error;
    }
  }
  const before = log.begin();
  let result: R;
  try {
    result = fn();
    if (typeof (result as {then?: unknown} | undefined)?.then === 'function')
      throw new StoreError(
        'ERR_TRANSACTION',
        'the function of a transaction returned a promise: a transaction ends when its function returns. Await first, then write inside store.transaction(() => ...).',
      );
    log.commit(before);
  } catch (error) {
    log.rollback(before);
    throw error;
  }
  return result;
}
