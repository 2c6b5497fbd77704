import assert from 'node:assert/strict';
import {StoreError} from '../errors.js';
import {at} from './header.js';
import {ENTRY_WORDS, logCapacity} from './log-ring.js';
import {CELL, LOGGED, type Memory, type Mode} from './memory.js';

/*
 * The undo log: a ring of what cells held before they were written; log-ring.ts draws an entry.
 *
 *   header.logHead:   entries ever written, modulo 2^32
 *   header.logTail:   head as the last transaction left it; head = tail means: no transaction is under way
 *
 * Order is everything: entry, then head, then the cell itself. A kill leaves all stores up to some instruction and none
 * after it, so the processor needs no fence; the compiler does, and Atomics.store is the only store it never moves.
 * Recovery writes back the cells of the entries from head down to tail, then sets tail to head; a kill inside recovery
 * repeats it. Committed entries stay until the ring comes round: a reader takes back with them what was committed
 * while it was copying. For its sake head never goes back.
 *
 * One transaction can be undone though it fills blocks and slots without an entry: what it fills is nobody's before it.
 * Several cannot: the first may free what the second fills. A reader that is about to copy stores a number of its own to
 * header.copying; the transactions that begin after that save what they use again, or count header.unsaved up when it is
 * too much. Either side stores first and then loads, so the one that was under way is the first that is taken back, or a
 * later one is. The word is cleared when the ring has come round since, for nobody could use a copy that old.
 */
/** Entries are written before they are counted in head; at most so many at a time. */
const BURST = 32;

export interface Savepoint {
  head: number;
  undone: number;
  beforeCommit: number;
}

export class UndoLog {
  private readonly base: number;
  readonly capacity: number;
  private readonly mask: number;
  private head = 0;
  private tail = 0;
  /** The cell logged last: fields that share a cell are usually written together. */
  private last = -1;
  private u32!: Uint32Array;
  /** What the reader who copied last left in header.copying, or 0, and the head when it was first seen. */
  private reader = 0;
  private readerSince = 0;
  /** Entries there are for what this transaction uses again. */
  private spare = 0;
  /** Tells the transactions of this process apart. */
  serial = 0;
  /** Counts what was taken back: what a process has learned of the segment since may be wrong. */
  undos = 0;
  /** Wakes those who watch for commits. */
  bell: (() => void) | undefined;
  private undone: (() => void)[] = [];
  private beforeCommit: (() => void)[] = [];

  constructor(
    private readonly memory: Memory,
    logCell: number,
    logCells: number,
  ) {
    this.base = logCell * 2;
    this.capacity = logCapacity(logCells);
    this.mask = this.capacity - 1;
    memory.onAttach(() => {
      this.undos++; // it may have been let go of
      this.u32 = memory.u32;
    });
  }

  /** Undoes what a dead writer left half done. Returns the number of entries taken back. */
  recover(where: string): number {
    this.reload();
    const count = (this.head - this.tail) >>> 0;
    if (count > this.capacity) logOverfull(where, count, this.capacity);
    const cells = this.memory.byteLength / CELL;
    for (let k = 0; k < count; k++) {
      const cell = this.u32[this.base + ((this.tail + k) & this.mask) * ENTRY_WORDS]!;
      if (cell >= cells)
        throw new StoreError(
          'ERR_CORRUPT',
          `the undo log of ${where} names cell ${cell} of ${cells}; the segment was left untouched.`,
        );
    }
    this.restore(this.tail);
    this.settle();
    if (this.u32[at.joining / 4] !== 0) this.spoil(); // as who died over it was about to
    return count;
  }

  /** Takes head and tail from the segment: another process may have written since. */
  reload(): void {
    this.head = this.memory.atomics.load(this.u32, at.logHead / 4);
    this.tail = this.memory.atomics.load(this.u32, at.logTail / 4);
  }

  /** Whether the transaction that is open has written anything. */
  get changed(): boolean {
    return this.head !== this.tail;
  }

  begin(): Mode {
    const before = this.memory.mode;
    // Spelled out: node:assert costs more than all the rest of a small transaction.
    if (before === LOGGED || this.head !== this.tail) assert.fail('a transaction was begun inside another');
    this.serial++;
    const reader = this.u32[at.copying / 4]!;
    if (reader !== 0 || this.reader !== 0) this.heed(reader);
    this.memory.enter(LOGGED);
    return before;
  }

  /** A reader copies, or did. */
  private heed(reader: number): void {
    if (reader !== this.reader) this.readerSince = this.head;
    this.reader = reader;
    const {atomics} = this.memory;
    if (reader !== 0 && (this.head - this.readerSince) >>> 0 > this.capacity)
      if (atomics.compareExchange(this.u32, at.copying / 4, reader, 0) === reader) this.reader = 0;
    this.spare = this.capacity >>> 3;
  }

  /** Of cells that are nobody's now, but may have been somebody's before; must return before they are written. */
  saveReused(cell: number, cells: number): void {
    if (this.reader === 0) return;
    this.spare -= cells;
    if (this.spare >= 0) this.saveRange(cell, cells);
    else this.spoil();
  }

  /** Copies that are being made now cannot be brought to an end of a transaction. */
  spoil(): void {
    this.memory.atomics.store(this.u32, at.unsaved / 4, (this.u32[at.unsaved / 4]! + 1) >>> 0);
  }

  /** Saves one cell. Must return before the cell is written. */
  save(cell: number): void {
    if (cell === this.last) return;
    this.note(cell);
    this.publish();
  }

  /** Saves one cell, but counts only from the next `publish`: several cells, one atomic store. */
  note(cell: number): void {
    const {u32, head} = this;
    if ((head - this.tail) >>> 0 >= this.capacity) this.overflow();
    const e = this.base + (head & this.mask) * ENTRY_WORDS;
    u32[e] = cell;
    u32[e + 1] = u32[cell * 2]!;
    u32[e + 2] = u32[cell * 2 + 1]!;
    this.head = (head + 1) >>> 0;
    this.last = cell;
  }

  /** Pairs with the loads in `recover` and in a reader: who sees the new head sees the entries before it. */
  publish(): void {
    this.memory.atomics.store(this.u32, at.logHead / 4, this.head);
  }

  saveRange(cell: number, cells: number): void {
    for (let i = 0; i < cells; i++) {
      this.note(cell + i);
      if ((i & 15) === 15) this.publish();
    }
    this.publish();
  }

  /**
   * Runs when this point is rolled back by an exception (after a crash there is nobody to tell). Once more when a
   * transaction around it is, for that takes back what the action did.
   */
  onUndo(action: () => void): void {
    this.undone.push(action);
  }

  /** Runs as the last part of the transaction, its stores still logged. */
  onCommit(action: () => void): void {
    this.beforeCommit.push(action);
  }

  /** True when anything was written. */
  commit(after: Mode): boolean {
    for (let i = 0; i < this.beforeCommit.length; i++) this.beforeCommit[i]!();
    if (this.beforeCommit.length > 0) this.beforeCommit = [];
    if (this.undone.length > 0) this.undone = [];
    const changed = this.head !== this.tail;
    if (changed) {
      this.settle();
      // The store before was a locked instruction, so this load cannot have come first; see watch.ts.
      if (this.u32[at.armed / 4] !== 0) this.wake();
    }
    this.last = -1;
    this.memory.enter(after);
    return changed;
  }

  /**
   * What a small transaction does here, as text for generated code, see exchange.ts. `ready`: none is open, and nothing stands
   * in its way; `save3` saves three cells with one atomic store; `commit` ends it. They are what `begin`, `note`, `publish` and
   * `commit` do.
   */
  spelled(): {ready: string; save3(a: string, b: string, c: string): string; commit: string} {
    const entry = (k: number, cell: string) =>
      `{const a=${cell},w=a*2,e=${this.base}+(h+${k}&${this.mask})*${ENTRY_WORDS};U32[e]=a;U32[e+1]=U32[w];U32[e+2]=U32[w+1];}`;
    return {
      ready: `L.head===L.tail&&L.reader===0&&U32[${at.copying / 4}]===0`,
      save3: (a, b, c) =>
        `const h=L.head;${[a, b, c].map((cell, k) => entry(k, cell)).join('')}L.head=h+3>>>0;L.publish();`,
      commit: `if(L.beforeCommit.length>0||L.undone.length>0)L.commit(0);else{L.settle();if(U32[${at.armed / 4}]!==0)L.wake();L.last=-1;M.enter(0);}`,
    };
  }

  private wake(): void {
    this.memory.atomics.store(this.u32, at.armed / 4, 0);
    this.bell?.();
  }

  savepoint(): Savepoint {
    // The next write of any cell must be logged again, else it could not be undone to this point.
    this.last = -1;
    return {head: this.head, undone: this.undone.length, beforeCommit: this.beforeCommit.length};
  }

  /** Takes back what was done since. Its entries stay in the log: undoing them once more changes nothing. */
  rollbackTo(point: Savepoint): void {
    this.undos++;
    this.restore(point.head);
    this.beforeCommit.length = point.beforeCommit;
    for (let i = this.undone.length; i-- > point.undone; ) this.undone[i]!();
    this.memory.invalidate(); // of records that were made since
  }

  rollback(after: Mode): void {
    this.publish(); // an entry that was noted, but not published, is restored harmlessly
    this.rollbackTo({head: this.tail, undone: 0, beforeCommit: 0});
    this.undone = [];
    this.settle();
    this.memory.enter(after);
  }

  /** One store: from here on, the transaction is done, or never was. */
  private settle(): void {
    this.memory.atomics.store(this.u32, at.logTail / 4, this.head);
    this.tail = this.head;
  }

  private restore(downTo: number): void {
    const {u32} = this;
    for (let k = this.head; k !== downTo; ) {
      k = (k - 1) >>> 0;
      const e = this.base + (k & this.mask) * ENTRY_WORDS;
      const cell = u32[e]!;
      u32[cell * 2] = u32[e + 1]!;
      u32[cell * 2 + 1] = u32[e + 2]!;
    }
    this.last = -1;
  }

  private overflow(): never {
    // What was noted last may not count yet, but the caller may catch this and commit: the tail must not pass the head.
    this.publish();
    throw new StoreError(
      'ERR_TRANSACTION',
      `a transaction wrote more than ${this.capacity} cells of 8 bytes, the room of its undo log; it was rolled back. Split it, or make the store with a larger logSize.`,
    );
  }
}

export function logOverfull(where: string, count: number, capacity: number): never {
  throw new StoreError(
    'ERR_CORRUPT',
    `the undo log of ${where} says ${count} entries but has room for ${capacity}; the segment was left untouched.`,
  );
}

/** How many entries a log says it has that it has no room for: at no instant of a writer's, so it is damaged. */
export function entriesTooMany(memory: Memory, logCells: number): number | undefined {
  const load = (offset: number) => memory.atomics.load(memory.u32, offset / 4);
  const head = load(at.logHead);
  const count = (head - load(at.logTail)) >>> 0;
  // While the head stays, the tail is not beyond it.
  return load(at.logHead) === head && count > logCapacity(logCells) ? count : undefined;
}

/**
 * Copies a segment that others write, as it was at the end of some transaction. Never makes a writer wait. Undefined when
 * the copy cannot be brought to such an end: the log came round meanwhile, something was used again unsaved, or a
 * collection grew, which no log tells.
 *
 * @param who - 'alone': nobody else writes; 'beside': others may; 'unseen': others may, and this one cannot tell them that it
 *   copies, so that it may be brought back by one transaction only
 */
export function copyConsistently(
  memory: Memory,
  logCell: number,
  logCells: number,
  who: 'alone' | 'beside' | 'unseen',
): Uint8Array | undefined {
  const capacity = logCapacity(logCells);
  const base = logCell * 2;
  const load = (offset: number) => memory.atomics.load(memory.u32, offset / 4);
  if (who === 'beside')
    memory.atomics.store(memory.u32, at.copying / 4, 1 + Math.floor(Math.random() * (2 ** 32 - 1)));
  const [unsaved, limit] = [load(at.unsaved), load(at.heapLimit)];
  const tail = load(at.logTail);
  const before = load(at.logHead);
  const copy = memory.u8.slice();
  // Whatever was written while the copy was made was logged before: the head that is read now counts it.
  const head = load(at.logHead);
  const entries = memory.u32.slice(base, base + capacity * ENTRY_WORDS);
  if (who !== 'alone' && (load(at.logHead) - tail) >>> 0 > capacity - BURST) return undefined;
  if (who === 'unseen' && (head !== before || load(at.logTail) !== tail)) return undefined;
  if (load(at.unsaved) !== unsaved || load(at.heapLimit) !== limit) return undefined;
  const words = new Uint32Array(copy.buffer);
  for (let k = head; k !== tail; ) {
    k = (k - 1) >>> 0;
    const e = (k & (capacity - 1)) * ENTRY_WORDS;
    const cell = entries[e]!;
    words[cell * 2] = entries[e + 1]!;
    words[cell * 2 + 1] = entries[e + 2]!;
  }
  words[at.logHead / 4] = tail;
  words[at.logTail / 4] = tail;
  return copy;
}
