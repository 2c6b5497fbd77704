import {type Builder, CollectionType} from './collection.js';
import type {Engine} from './engine.js';
import {StoreError, show} from './errors.js';
import {CELL, LOGGED} from './memory.js';
import {
  type Compiled,
  compile,
  type Fields,
  type InitOf,
  type Live,
  type RecordOf,
  type Struct,
} from './struct.js';
import type {TypeDescription} from './type.js';

/*
 * A table: records of one struct in numbered slots.
 *
 *   head, 4 cells in the root record:
 *     0  freeHead u32 | live u32          first free slot + 1, or 0; number of live records
 *     1  used u32     | capacity u32      slots ever used (all above are fresh); slots there are
 *     2  generations u32 | records u32    first cells of the two arrays
 *     3  stride u32   | number u32        cells of a record; the number by which refs name this table
 *   generations: one u32 a slot, odd while the slot is live, counted up by every insert and every remove
 *   records:     capacity times stride cells; a free slot's first word is the next free slot + 1
 *
 * Generations lie apart from the records so that a 64-byte record stays a cache line and costs 68 bytes, not 72.
 */
const HEAD_CELLS = 4;

/** An id is life * 2^26 + slot: 67 million slots, each 134 million lives; a slot that has lived them all is left alone. */
export const SLOT_SPACE = 2 ** 26;
const LAST_GENERATION = 2 ** 28 - 1;

export interface TableMeta {
  /** Names this record for ever: no other record of the table gets this number. */
  readonly $id: number;
  /** The slot, 0 to capacity-1: small, dense, used again after a remove. */
  readonly $index: number;
}
export type TableRecord<F extends Fields> = RecordOf<F> & TableMeta;

export interface TableLayout {
  /** Of the first field of record 0, from the start of the segment. */
  byteOffset: number;
  /** Bytes from one record to the next. */
  stride: number;
  capacity: number;
  /** Of each field within its record. */
  fields: Record<string, {byteOffset: number; byteLength: number}>;
}

export class Table<F extends Fields> {
  private readonly compiled: Compiled<TableRecord<F>>;
  private readonly generations: number; // word
  private readonly records: number; // cell
  private readonly stride: number; // cells
  readonly capacity: number;

  constructor(
    private readonly engine: Engine,
    private readonly head: number, // cell
    private readonly path: string,
    private readonly struct: Struct<F>,
  ) {
    const {u32} = engine.memory;
    const word = head * 2;
    this.capacity = u32[word + 3]!;
    this.generations = u32[word + 4]! * 2;
    this.records = u32[word + 5]!;
    this.stride = u32[word + 6]!;
    this.compiled = compile(struct, engine, path, () => ({
      $index: `return this.$g-${this.generations};`,
      $id: `return (this.$n>>>1)*${SLOT_SPACE}+(this.$g-${this.generations});`,
    })) as unknown as Compiled<TableRecord<F>>;
  }

  /** Number of live records. */
  get size(): number {
    this.engine.assertOpen();
    return this.engine.memory.u32[this.head * 2 + 1]!;
  }

  /** Adds a record; what `init` leaves out is zero, false, empty or the first name. */
  insert(init: InitOf<F>): TableRecord<F> {
    const {memory, log} = this.engine;
    if (memory.mode === LOGGED) return this.insertLogged(init, true);
    this.engine.assertWritable();
    const before = log.begin();
    try {
      const record = this.insertLogged(init, false);
      log.commit(before);
      return record;
    } catch (error) {
      log.rollback(before);
      throw error;
    }
  }

  /** The record with this id, or undefined when it was removed (or never was). */
  get(id: number): TableRecord<F> | undefined {
    this.engine.assertOpen();
    const slot = id % SLOT_SPACE;
    const generation = Math.floor(id / SLOT_SPACE) * 2 + 1;
    const {u32} = this.engine.memory;
    if (!(slot >= 0 && slot < this.capacity) || u32[this.generations + slot] !== generation) return undefined;
    return this.at(slot, generation);
  }

  /** Removes a record by itself or by its id. False when it was gone already. */
  remove(recordOrId: TableRecord<F> | number): boolean {
    this.engine.assertOpen();
    const record = typeof recordOrId === 'number' ? this.get(recordOrId) : recordOrId;
    if (record === undefined) return false;
    const {$g, $n} = record as unknown as Live;
    const slot = $g - this.generations;
    if (!(slot >= 0 && slot < this.capacity && record instanceof this.compiled.Record))
      throw new StoreError(
        'ERR_VALUE',
        `${this.path}.remove(${show(recordOrId)}): expected a record of this table or its id.`,
      );
    const {memory, log} = this.engine;
    if (memory.u32[$g] !== $n) return false;
    if (memory.mode === LOGGED) {
      this.removeLogged(slot, $n);
      return true;
    }
    this.engine.assertWritable();
    const before = log.begin();
    try {
      this.removeLogged(slot, $n);
      log.commit(before);
    } catch (error) {
      log.rollback(before);
      throw error;
    }
    return true;
  }

  /** Live records in the order of their slots. Records may be inserted and removed meanwhile. */
  *[Symbol.iterator](): IterableIterator<TableRecord<F>> {
    this.engine.assertOpen();
    const {memory} = this.engine;
    for (let slot = 0; slot < memory.u32[this.head * 2 + 2]!; slot++) {
      const generation = memory.u32[this.generations + slot]!;
      if (generation & 1) yield this.at(slot, generation);
    }
  }

  /** Where native code finds the records. */
  layout(): TableLayout {
    const fields: TableLayout['fields'] = {};
    for (const {name, offset, type} of this.struct.placed)
      fields[name] = {byteOffset: offset, byteLength: type.size};
    return {byteOffset: this.records * CELL, stride: this.stride * CELL, capacity: this.capacity, fields};
  }

  private at(slot: number, generation: number): TableRecord<F> {
    return new this.compiled.Record(this.records + slot * this.stride, this.generations + slot, generation);
  }

  private insertLogged(init: InitOf<F>, outer: boolean): TableRecord<F> {
    if (typeof init !== 'object' || init === null)
      throw new StoreError(
        'ERR_VALUE',
        `${this.path}.insert(${show(init)}): expected an object with fields of ${this.struct.name}.`,
      );
    const {memory, log} = this.engine;
    const {u32} = memory;
    const word = this.head * 2;
    const free = u32[word]!;
    let slot: number;
    log.note(this.head);
    if (free !== 0) {
      slot = free - 1;
      const cell = this.records + slot * this.stride;
      log.note(cell);
      log.note((this.generations + slot) >>> 1);
      log.publish();
      u32[word] = u32[cell * 2]!;
    } else {
      slot = u32[word + 2]!;
      if (slot >= this.capacity) {
        log.publish();
        throw new StoreError(
          'ERR_FULL',
          `${this.path} is full: all ${this.capacity} records are in use; remove some, or declare t.table(${this.struct.name}, {capacity}) larger.`,
        );
      }
      log.note(this.head + 1);
      log.note((this.generations + slot) >>> 1);
      log.publish();
      u32[word + 2] = slot + 1;
    }
    u32[word + 1] = u32[word + 1]! + 1;
    const generationWord = this.generations + slot;
    const generation = u32[generationWord]! + 1;
    u32[generationWord] = generation;
    // A handle made in a transaction that is undone must stay stale when the slot is used again.
    if (outer) log.onUndo(() => this.outlive(generationWord, generation));
    const cell = this.records + slot * this.stride;
    this.compiled.init(cell, init);
    return new this.compiled.Record(cell, generationWord, generation);
  }

  private removeLogged(slot: number, generation: number): void {
    const {memory, log} = this.engine;
    const {u32} = memory;
    const word = this.head * 2;
    const cell = this.records + slot * this.stride;
    const generationWord = this.generations + slot;
    this.compiled.drop(cell);
    log.note(this.head);
    log.note(generationWord >>> 1);
    log.note(cell);
    log.publish();
    u32[generationWord] = generation + 1;
    u32[word + 1] = u32[word + 1]! - 1;
    if (generation >= LAST_GENERATION) return;
    u32[cell * 2] = u32[word]!;
    u32[word] = slot + 1;
  }

  /** One store, valid at any time: a free slot's generation may grow by 2 whenever it likes. */
  private outlive(generationWord: number, generation: number): void {
    const {u32} = this.engine.memory;
    if (u32[generationWord] === generation - 1) u32[generationWord] = generation + 1;
  }
}

export interface TableOptions {
  /** Slots; all of them are reserved when the store is made. */
  capacity: number;
}

export class TableType<F extends Fields> extends CollectionType<Table<F>> {
  override readonly kind = 'table';
  override readonly size = HEAD_CELLS * CELL;
  private readonly capacity: number;
  constructor(
    readonly struct: Struct<F>,
    {capacity}: TableOptions,
  ) {
    super();
    if (!Number.isSafeInteger(capacity) || capacity < 1 || capacity > SLOT_SPACE)
      throw new StoreError(
        'ERR_SCHEMA',
        `t.table(${struct.name}, {capacity: ${show(capacity)}}): expected an integer from 1 to ${SLOT_SPACE}.`,
      );
    this.capacity = capacity;
  }
  override describe(): TypeDescription {
    return {kind: 'table', size: this.size, length: this.capacity, of: [this.struct.describe()]};
  }
  override build(builder: Builder, head: number): void {
    const {u32} = builder.engine.memory;
    const stride = this.struct.size / CELL;
    const what = `t.table(${this.struct.name}, {capacity: ${this.capacity}})`;
    u32[head * 2 + 3] = this.capacity;
    u32[head * 2 + 4] = builder.reserve(Math.ceil(this.capacity / 2), what, 64);
    u32[head * 2 + 5] = builder.reserve(this.capacity * stride, what, 64);
    u32[head * 2 + 6] = stride;
    u32[head * 2 + 7] = builder.nextNumber();
  }
  override open(engine: Engine, head: number, path: string): Table<F> {
    return new Table(engine, head, path, this.struct);
  }
}
