import {StoreError} from '../errors.js';
import type {Live} from '../schema/record.js';
import type {Struct} from '../schema/struct.js';
import type {AnyType} from '../schema/type.js';
import type {Builder} from '../segment/builder.js';
import type {Checker} from '../segment/check.js';
import {type Engine, OWNER} from '../segment/engine.js';
import {CELL} from '../segment/memory.js';

/*
 * Numbered slots for records of one size: the ground of tables, maps, lists and sorted maps.
 *
 *   head, in the root record:
 *     0  freeHead u32 | live u32      first free slot + 1, or 0; slots in use
 *     1  used u32     | number u32    slots ever used (all above are fresh); the number by which refs name this collection
 *     2  stride u32   | capacity u32  cells of a slot; slots there are
 *     3  first u32    | extents u32   slots of the first extent; extents there is room for (1: it never grows)
 *     4  extents times: generations u32 | records u32     first cells of the two arrays; extent k > 0 has first * 2^(k-1) slots
 *   generations: one u32 a slot, odd while it is in use, counted up by every take and every give
 *   records:     stride cells a slot; a free slot's first word is the next free slot + 1
 *
 * Generations lie apart from the records so that a 64-byte record stays a cache line and costs 68 bytes, not 72. Extents
 * never move and are never given back, so a record keeps its cell for life.
 */
const FIXED = 1;
const GROWING = 24;

/** An id is life * 2^26 + slot: 67 million slots, each 134 million lives; a slot that has lived them all is left alone. */
export const SLOT_SPACE = 2 ** 26;
export const LAST_GENERATION = 2 ** 28 - 1;

/** Words of the head that never change: all but free, live, used, capacity and the extents beyond the first. */
export const LASTING = [3, 4, 6, 7, 8, 9] as const;

export function slotsHeadCells(growing: boolean): number {
  return 4 + (growing ? GROWING : FIXED);
}

export function buildSlots(
  builder: Builder,
  head: number,
  stride: number,
  capacity: number,
  growing: boolean,
  what: string,
): void {
  const {u32} = builder.memory;
  u32[head * 2 + 3] = builder.nextNumber();
  u32[head * 2 + 4] = stride;
  u32[head * 2 + 5] = capacity;
  u32[head * 2 + 6] = capacity;
  u32[head * 2 + 7] = growing ? GROWING : FIXED;
  u32[head * 2 + 8] = builder.reserve(Math.ceil(capacity / 2), what, 64);
  u32[head * 2 + 9] = builder.reserve(capacity * stride, what, 64);
}

export class Slots<R extends object = object> {
  readonly number: number;
  readonly stride: number; // cells
  readonly first: number; // slots of extent 0
  readonly extents: number; // there is room for
  /** By which a slot is divided by `first`, if that is a power of two: all that grow have one. */
  private readonly shift: number;
  private readonly generations: number; // word, of extent 0
  private readonly records: number; // cell, of extent 0
  /** Makes the live record of a slot; set by collections whose values are structs. */
  make: ((cell: number, generationWord: number, generation: number) => R) | undefined;

  constructor(
    readonly engine: Engine,
    readonly head: number, // cell
    readonly path: string,
    readonly struct: Struct<Record<string, AnyType>> | undefined,
    /** Where in a slot the struct begins, in cells. */
    private readonly inset: number,
    /** Cells of a slot, as the schema says. */
    stride: number,
  ) {
    const {u32} = engine.memory;
    const word = head * 2;
    this.stride = u32[word + 4]!;
    this.number = u32[word + 3]!;
    this.first = u32[word + 6]!;
    this.extents = u32[word + 7]!;
    this.shift = (this.first & (this.first - 1)) === 0 ? 31 - Math.clz32(this.first) : -1;
    this.generations = u32[word + 8]! * 2;
    this.records = u32[word + 9]!;
    this.assertSane(stride);
    engine.numbered.set(this.number, this);
    if (!engine.readonly) this.recover();
  }

  /** Before anything is looked for here: what the head says can be, and every loop over it ends. */
  private assertSane(stride: number): void {
    const {engine, path, first, capacity, used} = this;
    const {u32} = engine.memory;
    if (this.stride !== stride) engine.corrupt(path, `has slots of ${this.stride} cells, not ${stride}`);
    if (first < 1 || this.number < 1 || this.number > 63)
      engine.corrupt(path, `has a first extent of ${first} slots and number ${this.number}`);
    if (used > capacity || capacity > SLOT_SPACE)
      engine.corrupt(path, `has used ${used} of ${capacity} slots`);
    let k = 0;
    for (; k === 0 || this.firstOf(k) < capacity; k++) {
      const size = k === 0 ? first : this.firstOf(k);
      engine.assertInside(path, u32[this.head * 2 + 8 + k * 2]!, Math.ceil(size / 2));
      engine.assertInside(path, u32[this.head * 2 + 9 + k * 2]!, size * stride);
    }
    if (capacity !== (k === 1 ? first : first * 2 ** (k - 1)))
      engine.corrupt(path, `has a capacity of ${capacity} slots in ${k} extents of ${first} and more`);
  }

  /** Those that refs name by `number`. */
  static numbered(engine: Engine, number: number): Slots | undefined {
    const slots = engine.numbered.get(number);
    return slots instanceof Slots ? slots : undefined;
  }

  /** Those that a live record of this store lies in. */
  static of(engine: Engine, record: unknown): Slots | undefined {
    const slots = engine.slotsOf(record);
    return slots instanceof Slots ? slots : undefined;
  }

  get live(): number {
    return this.engine.memory.u32[this.head * 2 + 1]!;
  }
  get used(): number {
    return this.engine.memory.u32[this.head * 2 + 2]!;
  }
  get capacity(): number {
    return this.engine.memory.u32[this.head * 2 + 5]!;
  }

  /** The first cell of a slot. */
  cell(slot: number): number {
    if (slot < this.first) return this.records + slot * this.stride;
    const k = this.extentOf(slot);
    return this.engine.memory.u32[this.head * 2 + 9 + k * 2]! + (slot - this.firstOf(k)) * this.stride;
  }

  /** The word that holds the generation of a slot. */
  word(slot: number): number {
    if (slot < this.first) return this.generations + slot;
    const k = this.extentOf(slot);
    return this.engine.memory.u32[this.head * 2 + 8 + k * 2]! * 2 + slot - this.firstOf(k);
  }

  /** The slot whose generation is `word`. */
  slotAt(word: number): number {
    const near = word - this.generations;
    if (near >= 0 && near < this.first) return near;
    for (let k = 1; this.firstOf(k) < this.capacity; k++) {
      const slot = word - this.engine.memory.u32[this.head * 2 + 8 + k * 2]! * 2;
      if (slot >= 0 && slot < this.firstOf(k)) return this.firstOf(k) + slot;
    }
    return -1;
  }

  slotOf(record: object): number {
    return this.slotAt((record as Live).$g);
  }

  /** True for a live record of this collection. */
  holds(record: object): record is R {
    return (
      (record as Record<symbol, unknown>)[OWNER] === this &&
      this.engine.memory.u32[(record as Live).$g] === (record as Live).$n
    );
  }

  generation(slot: number): number {
    return this.engine.memory.u32[this.word(slot)]!;
  }

  isLive(slot: number): boolean {
    return slot >= 0 && slot < this.used && (this.generation(slot) & 1) === 1;
  }

  /** The slots in use, in their order; some may come and go meanwhile. */
  *liveSlots(): IterableIterator<number> {
    this.engine.assertOpen();
    for (let slot = 0; slot < this.used; slot++) {
      if (!this.isLive(slot)) continue;
      yield slot;
      this.engine.assertOpen();
    }
  }

  /** The live record of a slot in that very life, or undefined. */
  record(slot: number, generation: number): R | undefined {
    if (!(slot >= 0 && slot < this.used) || slot % 1 !== 0 || (generation & 1) === 0) return undefined;
    const word = this.word(slot);
    if (this.engine.memory.u32[word] !== generation) return undefined;
    return this.make!(this.cell(slot) + this.inset, word, generation);
  }

  idOf(slot: number, generation: number): number {
    return (generation >>> 1) * SLOT_SPACE + slot;
  }

  /** The slot of an id if it is live in that life, else -1. */
  slotOfId(id: number): number {
    if (typeof id !== 'number') return -1; // null & 1 is 0, and so are '' and []
    const slot = id & (SLOT_SPACE - 1);
    // Generations are odd in use, and zero where no slot ever was; a number that is no id equals none of them.
    const generation = (id - slot) / (SLOT_SPACE / 2) + 1;
    const {u32} = this.engine.memory;
    if (slot < this.first) return u32[this.generations + slot] === generation ? slot : -1;
    return slot < this.used && u32[this.word(slot)] === generation ? slot : -1;
  }

  /** The transaction that ended a life here last. */
  private gaveIn = 0;

  /** Counts the slots that were taken and given back here. */
  changes = 0;

  /** Throws if the user's code, which runs while a value is read, took or gave back slots since. */
  assertUnchanged(since: number): void {
    if (this.changes !== since)
      throw new StoreError(
        'ERR_VALUE',
        `${this.path}: a getter or an iterator of the value that is written changed the collection; read it first, then write.`,
      );
  }

  /** A free slot, the one freed last if any: from now on it is live. Its cells need no saving any more. */
  take(): number {
    const {memory, log} = this.engine;
    const {u32} = memory;
    const word = this.head * 2;
    const free = u32[word]!;
    let slot: number;
    let generationWord: number;
    if (free !== 0) {
      slot = free - 1;
      const cell = this.cell(slot);
      generationWord = this.word(slot);
      log.note(this.head);
      log.note(generationWord >>> 1);
      // The content of a free slot is nobody's; but if this transaction freed it, undoing brings its record back.
      if (this.gaveIn === log.serial) log.saveRange(cell, this.stride);
      else {
        log.note(cell);
        log.publish();
        log.saveReused(cell + 1, this.stride - 1);
      }
      u32[word] = u32[cell * 2]!;
    } else {
      slot = u32[word + 2]!;
      if (slot >= u32[word + 5]!) this.grow();
      generationWord = this.word(slot);
      log.note(this.head);
      log.note(this.head + 1);
      log.note(generationWord >>> 1);
      log.publish();
      u32[word + 2] = slot + 1;
    }
    this.changes++;
    u32[word + 1] = u32[word + 1]! + 1;
    const generation = u32[generationWord]!;
    u32[generationWord] = this.lived === undefined ? generation + 1 : this.nextLife(slot, generation);
    return slot;
  }

  /** Ends the life of a slot. What its record owned was dropped before. */
  give(slot: number): void {
    const {memory, log} = this.engine;
    const {u32} = memory;
    const word = this.head * 2;
    const cell = this.cell(slot);
    const generationWord = this.word(slot);
    log.note(this.head);
    log.note(generationWord >>> 1);
    log.note(cell);
    log.publish();
    const generation = u32[generationWord]!;
    this.engine.memory.invalidate();
    this.gaveIn = log.serial;
    this.changes++;
    u32[generationWord] = generation + 1;
    u32[word + 1] = u32[word + 1]! - 1;
    if (generation >= LAST_GENERATION) return;
    u32[cell * 2] = u32[word]!;
    u32[word] = slot + 1;
  }

  /** A handle made in a transaction that is undone must stay stale when its slot is used again. */
  outlive(slot: number): void {
    const word = this.word(slot);
    const generation = (this.engine.memory.u32[word]! - 1) | 1; // of its life, or its last one if that has ended
    this.engine.log.onUndo(() => {
      const {u32} = this.engine.memory;
      const now = u32[word]!;
      if (now >= generation || generation >= LAST_GENERATION) return;
      // One store, valid at any time: a free slot's generation may grow by 2 whenever it likes.
      if ((now & 1) === 0) u32[word] = generation + 1;
      else {
        this.lived ??= new Map();
        this.lived.set(slot, Math.max(generation, this.lived.get(slot) ?? 0));
      }
    });
  }

  /** Of slots that are back in an earlier life: the last one that was undone, and must not come again. */
  private lived: Map<number, number> | undefined;

  private nextLife(slot: number, generation: number): number {
    const lived = this.lived?.get(slot) ?? 0;
    return lived > generation && lived + 2 <= LAST_GENERATION ? lived + 2 : generation + 1;
  }

  /** Sets a slot of a store that nobody else can see yet; slots come in order. Gives its cell if it is live. */
  adopt(slot: number, generation: number): number | undefined {
    const {u32} = this.engine.memory;
    while (slot >= this.capacity) this.grow();
    const head = this.head * 2;
    u32[this.word(slot)] = generation;
    u32[head + 2] = slot + 1;
    if (generation & 1) {
      u32[head + 1] = u32[head + 1]! + 1;
      return this.cell(slot);
    }
    if (generation <= LAST_GENERATION) {
      u32[this.cell(slot) * 2] = u32[head]!;
      u32[head] = slot + 1;
    }
    return undefined;
  }

  /** `cells` visits the fields of one live slot. */
  verify(checker: Checker, cells: (cell: number, slot: number) => void): void {
    const {u32} = checker.engine.memory;
    const {path, used, capacity} = this;
    if (used > capacity) {
      checker.problem(path, `${used} slots used of ${capacity}`);
      return;
    }
    for (let k = 1; this.firstOf(k) < capacity; k++)
      checker.extent(u32[this.head * 2 + 8 + k * 2]!, this.extentCells(k), `${path}, extent ${k}`);
    let live = 0;
    let retired = 0;
    for (let slot = 0; slot < used; slot++) {
      const generation = this.generation(slot);
      if (generation > LAST_GENERATION + 1)
        checker.problem(path, `slot ${slot} is in life ${generation}, which none reaches`);
      else if (generation > LAST_GENERATION) retired++;
      if (generation & 1) {
        live++;
        cells(this.cell(slot), slot);
      }
    }
    for (let slot = used; slot < capacity; slot++)
      if (this.generation(slot) & 1) checker.problem(path, `slot ${slot} is in use, above all ${used} used`);
    if (live !== this.live) checker.problem(path, `${live} live slots, its head says ${this.live}`);
    let free = 0;
    for (let next = u32[this.head * 2]!; next !== 0; next = u32[this.cell(next - 1) * 2]!) {
      if (next > used || this.isLive(next - 1) || ++free > used) {
        checker.problem(path, `its free list names slot ${next - 1}, which is not free, or runs in a circle`);
        return;
      }
    }
    if (free + live + retired !== used)
      checker.problem(path, `${used} slots used, but ${live} live, ${free} free and ${retired} retired`);
  }

  private firstOf(k: number): number {
    return k === 0 ? 0 : this.first << (k - 1);
  }

  private extentOf(slot: number): number {
    return 32 - Math.clz32(this.shift >= 0 ? slot >>> this.shift : Math.floor(slot / this.first));
  }

  /** Cells of extent k: its generations, then its records. */
  private extentCells(k: number): number {
    return this.generationCells(k) + this.firstOf(k) * this.stride;
  }
  private generationCells(k: number): number {
    return Math.ceil(this.firstOf(k) / 2 / 8) * 8;
  }

  /**
   * Doubles the slots by one more extent. Not part of the transaction: handles made in one that is undone point into the
   * extent, and only if it stays can they be told to be stale. Three stores, each harmless if it is the last:
   *   1. where the extent will be, in the head; nobody looks beyond the capacity
   *   2. the limit of the heap: the extent is taken
   *   3. the capacity
   */
  private grow(): void {
    const {memory, heap} = this.engine;
    const {capacity} = this;
    const k = this.extentOf(capacity);
    if (k >= memory.u32[this.head * 2 + 7]!)
      throw new StoreError(
        'ERR_FULL',
        `${this.path} is full: all ${capacity} records are in use; remove some, or declare it with a larger capacity.`,
      );
    if (capacity * 2 > SLOT_SPACE)
      throw new StoreError(
        'ERR_FULL',
        `${this.path} is full: a collection has at most ${SLOT_SPACE} records.`,
      );
    const start = heap.beforeLimit(this.extentCells(k), () => this.growAmongBlocks());
    memory.u32.fill(0, start * 2, (start + this.generationCells(k)) * 2);
    const records = start + this.generationCells(k);
    memory.atomics.store(memory.u64, this.head + 4 + k, BigInt(start) | (BigInt(records) << 32n));
    heap.lowerLimit(start);
    memory.atomics.store(memory.u32, this.head * 2 + 5, capacity * 2);
  }

  /**
   * The same by an extent within a block that nobody frees, for where there is no room behind the blocks but enough among
   * them. All of it is logged: a transaction of its own, between two tries of the one that needs it.
   */
  private growAmongBlocks(): void {
    const {memory, log, heap} = this.engine;
    const {u32} = memory;
    const {capacity} = this;
    const k = this.extentOf(capacity);
    const start = Math.ceil(heap.allocForGood((this.extentCells(k) + 7) * CELL) / 8) * 8; // on a cache line
    u32.fill(0, start * 2, (start + this.generationCells(k)) * 2);
    log.save(this.head + 4 + k);
    u32[(this.head + 4 + k) * 2] = start;
    u32[(this.head + 4 + k) * 2 + 1] = start + this.generationCells(k);
    log.save(this.head + 2);
    u32[this.head * 2 + 5] = capacity * 2;
  }

  /** Finishes or forgets a growth that a crash cut short. */
  recover(): void {
    const {memory, heap} = this.engine;
    const k = this.extentOf(this.capacity);
    if (k >= memory.u32[this.head * 2 + 7]!) return;
    const start = memory.u32[(this.head + 4 + k) * 2]!;
    if (start === 0) return;
    // What lies beyond the segment is no growth, but damage.
    const inside = start + this.extentCells(k) <= memory.byteLength / CELL;
    if (start >= heap.limit && inside) memory.atomics.store(memory.u32, this.head * 2 + 5, this.capacity * 2);
    else memory.atomics.store(memory.u64, this.head + 4 + k, 0n);
  }
}
