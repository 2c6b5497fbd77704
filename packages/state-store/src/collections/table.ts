import {anything} from '@zlr/kernel-shim/internal';
import {assertFits, StoreError, show} from '../errors.js';
import {closeCollection} from '../schema/closed.js';
import type {Fields, InitOf, Live, PlainOf, RecordOf} from '../schema/record.js';
import {type Compiled, compile, type Extras} from '../schema/record-class.js';
import {Struct} from '../schema/struct.js';
import {strangeness, type TypeDescription} from '../schema/type.js';
import type {Builder} from '../segment/builder.js';
import type {Checker} from '../segment/check.js';
import {type Engine, OWNER} from '../segment/engine.js';
import {CELL, INDIRECT, LOGGED} from '../segment/memory.js';
import {CollectionType} from './collection.js';
import {compileExchange, type Exchange} from './exchange.js';
import {buildSlots, LASTING, SLOT_SPACE, Slots, slotsHeadCells} from './slots.js';

/** What tells a record of a table from the others. */
export interface TableMeta {
  /** Names this record for ever: no other record of the table gets this number. */
  readonly $id: number;
  /** The slot, 0 to capacity-1: small, dense, used again after a remove. */
  readonly $index: number;
}
/** A live record of a table. It throws `ERR_STALE` once it is removed, and never reads another one. */
export type TableRecord<F extends Fields> = RecordOf<F> & TableMeta;

/** A record that moves: next() goes to the following one, from before the first; false: there is none. */
export type Scan<F extends Fields> = TableRecord<F> & {next(): boolean};

/** Where native code finds the records of a table that was declared with a `capacity`. */
export interface TableLayout {
  /** Of the first field of record 0, from the start of the segment. */
  byteOffset: number;
  /** Bytes from one record to the next. */
  stride: number;
  /** Records there is room for. */
  capacity: number;
  /** Of each field within its record. */
  fields: Record<string, {byteOffset: number; byteLength: number}>;
}

/** A record class whose records know their slot: compiled once a collection. */
export function compileFor<F extends Fields>(
  slots: Slots,
  struct: Struct<F>,
  scanned = false,
): Compiled<TableRecord<F>> {
  const extras: Extras = captures => {
    const owner = captures.add(slots);
    return {
      $index: `return ${owner}.slotAt(this.#g);`,
      $id: `return ${owner}.idOf(${owner}.slotAt(this.#g),this.#n);`,
    };
  };
  const compiled = compile(
    struct,
    slots.engine,
    slots.path,
    extras,
    slots.extents,
    [],
    scanned,
  ) as unknown as Compiled<TableRecord<F>>;
  Object.defineProperty(compiled.Record.prototype, OWNER, {value: slots});
  const {Record} = compiled;
  slots.make = (cell, word, generation) => new Record(cell, word, generation);
  return compiled;
}

/**
 * Records of one struct, named by stable ids.
 *
 * @example
 * const conn = store.root.conns.insert({fd: 12, stage: 'sending'});
 * conn.sent += 4096;
 * store.root.conns.get(conn.$id)?.sent; // 4096, also by another process
 * for (const {fd} of store.root.conns) console.log(fd);
 * store.root.conns.remove(conn);
 */
export class Table<F extends Fields> {
  private readonly compiled: Compiled<TableRecord<F>>;
  /** @internal */
  readonly slots: Slots<TableRecord<F>>;

  constructor(
    private readonly engine: Engine,
    head: number,
    private readonly path: string,
    private readonly struct: Struct<F>,
    private readonly fixed: boolean,
  ) {
    this.slots = new Slots(engine, head, path, struct, 0, struct.size / CELL);
    this.compiled = compileFor(this.slots as unknown as Slots, struct, true);
    this.get = this.compiled.getter(
      this.slots.first,
      this.slots.word(0),
      this.slots.cell(0),
      this.slots.stride,
      id => {
        engine.assertOpen();
        if (typeof id !== 'number') return undefined;
        return this.slots.record(id % SLOT_SPACE, Math.floor(id / SLOT_SPACE) * 2 + 1);
      },
    );
    const {slots} = this;
    const {iterate, scan} = this.compiled.walks(
      head * 2,
      slots.first,
      slots.stride,
      slots.word(0),
      slots.cell(0),
    );
    this.iterate = iterate;
    this.scan = scan;
  }

  /** Number of live records. */
  get size(): number {
    this.engine.assertOpen();
    return this.slots.live;
  }

  /** Slots there are now; without a declared `capacity` it doubles when they are taken. */
  get capacity(): number {
    this.engine.assertOpen();
    return this.slots.capacity;
  }

  /**
   * Adds a record and gives it, live.
   *
   * @param init - what it leaves out is zero, false, empty, null or the first name of an enum
   * @throws StoreError ERR_VALUE: a value does not fit, or there is no such field; ERR_FULL: the table has its `capacity`, or the store no room
   */
  insert(init: InitOf<F>): TableRecord<F> {
    const {memory} = this.engine;
    if (memory.mode === LOGGED) {
      // Undone on its own if it fails, also when the caller catches the error and goes on.
      const record = this.engine.transact(() => this.insertLogged(init));
      this.slots.outlive(this.slots.slotOf(record));
      return record;
    }
    return this.alone.insert(init);
  }

  /** Made when it is first needed: a store that is only read goes without. */
  private get alone(): Exchange<TableRecord<F>> {
    this.exchange ??= compileExchange(this.engine, this.slots as unknown as Slots, this.compiled, {
      insert: init => this.engine.transact(() => this.insertLogged(init as InitOf<F>)),
      remove: slot => this.engine.transact(() => this.removeLogged(slot)),
      failed: (error, init) => this.engine.again(error, () => this.insertLogged(init as InitOf<F>)),
    });
    return this.exchange;
  }
  private exchange: Exchange<TableRecord<F>> | undefined;

  /** The record with this `$id`, or undefined when it was removed (or never was). */
  readonly get: (id: number) => TableRecord<F> | undefined;

  /**
   * Removes a record by itself or by its `$id`. False when it was gone already.
   *
   * @throws StoreError ERR_VALUE: this is no record of this table
   */
  remove(recordOrId: TableRecord<F> | number): boolean {
    const {memory} = this.engine;
    if (memory.mode === INDIRECT) return this.engine.transact(() => this.remove(recordOrId));
    let slot: number;
    if (typeof recordOrId === 'number') slot = this.slots.slotOfId(recordOrId);
    else {
      if ((recordOrId as unknown as Record<symbol, unknown>)?.[OWNER] !== this.slots)
        throw new StoreError(
          'ERR_VALUE',
          `${this.path}.remove(${show(recordOrId)}): expected a record of this table or its id.`,
        );
      const {$g, $n} = recordOrId as unknown as Live;
      slot = memory.u32[$g] === $n ? this.slots.slotAt($g) : -1;
    }
    if (slot < 0) return false;
    if (memory.mode === LOGGED) this.removeLogged(slot);
    else this.alone.remove(slot);
    return true;
  }

  /** Live records in the order of their slots. Records may be inserted and removed meanwhile. */
  [Symbol.iterator](): IterableIterator<TableRecord<F>> {
    this.engine.assertOpen();
    return this.iterate();
  }
  private readonly iterate: () => IterableIterator<TableRecord<F>>;

  /**
   * The same at the speed of a typed array, for loops over many records: one record that moves. It is a record like any
   * other, but a different one after each next(): keep its `$id`, not it.
   *
   * @example
   * for (const row = table.scan(); row.next(); ) sum += row.hits;
   */
  readonly scan: () => Scan<F>;

  /** The records as plain data, each with its `$id`. */
  toJSON(): (PlainOf<F> & {$id: number})[] {
    return [...this].map(record => ({$id: record.$id, ...record.toJSON()}));
  }

  /**
   * Where native code finds the records.
   *
   * @throws StoreError ERR_OPTIONS: the table was declared without a `capacity`, so its records lie in several places
   */
  layout(): TableLayout {
    if (!this.fixed)
      throw new StoreError(
        'ERR_OPTIONS',
        `${this.path}: the records of a table that grows lie in several places; declare it with {capacity} to give it one.`,
      );
    const fields: TableLayout['fields'] = {};
    for (const {name, offset, type} of this.struct.placed)
      fields[name] = {byteOffset: offset, byteLength: type.size};
    return {
      byteOffset: this.slots.cell(0) * CELL,
      stride: this.slots.stride * CELL,
      capacity: this.slots.capacity,
      fields,
    };
  }

  /** @internal Writes the fields of an empty record. */
  fill(slot: number, init: object): void {
    const cell = this.slots.cell(slot);
    this.engine.log.saveRange(cell, this.slots.stride);
    this.compiled.init(cell, init);
  }

  /** @internal */
  verify(checker: Checker): void {
    this.slots.verify(checker, (_cell, slot) => this.verifySlot(checker, slot));
  }
  /** @internal */
  verifySlot(checker: Checker, slot: number): void {
    this.struct.verify(checker, this.slots.cell(slot), 0, `${this.path}[${slot}]`);
  }
  /** @internal */
  verifyOrder(): void {}
  /** @internal */
  misfits(): [] {
    return [];
  }
  /** @internal */
  relink(): void {}

  /** @internal */
  get valueType(): Struct<F> {
    return this.struct;
  }
  /** @internal */
  valueAt(slot: number): TableRecord<F> {
    return this.slots.make!(this.slots.cell(slot), this.slots.word(slot), this.slots.generation(slot));
  }
  /** @internal */
  removeSlot(slot: number): void {
    this.removeLogged(slot);
  }

  private insertLogged(init: InitOf<F>): TableRecord<F> {
    if (typeof init !== 'object' || init === null)
      throw new StoreError(
        'ERR_VALUE',
        `${this.path}.insert(${show(init)}): expected an object with fields of ${this.struct.name}.`,
      );
    const {slots} = this;
    const slot = slots.take();
    const cell = slots.cell(slot);
    const {changes} = slots;
    try {
      this.compiled.init(cell, init);
      slots.assertUnchanged(changes);
    } catch (error) {
      slots.outlive(slot); // a getter of `init` may have looked at it
      throw error;
    }
    return new this.compiled.Record(cell, slots.word(slot), slots.generation(slot));
  }

  private removeLogged(slot: number): void {
    this.compiled.drop(this.slots.cell(slot));
    this.slots.give(slot);
  }
}

closeCollection(Table.prototype);

/** Of `t.table`. */
export interface TableOptions {
  /** Records, 1 to 2^26, all their room reserved in one piece when the store is made. A table without it grows as long as the store has room. */
  capacity?: number;
}

const FIRST_EXTENT = 64;

/** Its records in slots: one piece with a `capacity`, several that double without. */
export class TableType<F extends Fields> extends CollectionType<Table<F>> {
  override readonly kind = 'table';
  override readonly lasting = LASTING;
  override readonly size: number;
  private readonly capacity: number | undefined;
  constructor(
    readonly struct: Struct<F>,
    options: TableOptions,
  ) {
    super();
    if (!(struct instanceof Struct))
      throw new StoreError('ERR_SCHEMA', `t.table: expected a struct: t.table(Conn)${strangeness(struct)}.`);
    assertFits(`t.table(${struct.name})`, options, {capacity: anything}, 'ERR_SCHEMA');
    const {capacity} = options;
    if (capacity !== undefined && (!Number.isSafeInteger(capacity) || capacity < 1 || capacity > SLOT_SPACE))
      throw new StoreError(
        'ERR_SCHEMA',
        `t.table(${struct.name}, {capacity: ${show(capacity)}}): expected an integer from 1 to ${SLOT_SPACE}.`,
      );
    this.capacity = capacity;
    this.size = slotsHeadCells(capacity === undefined) * CELL;
  }
  override describe(): TypeDescription {
    return {
      kind: 'table',
      size: this.size,
      ...(this.capacity === undefined ? {} : {length: this.capacity}),
      of: [this.struct.describe()],
    };
  }
  override build(builder: Builder, head: number): void {
    const {capacity} = this;
    buildSlots(
      builder,
      head,
      this.struct.size / CELL,
      capacity ?? FIRST_EXTENT,
      capacity === undefined,
      `t.table(${this.struct.name}, {capacity: ${capacity}})`,
    );
  }
  override open(engine: Engine, head: number, path: string): Table<F> {
    return new Table(engine, head, path, this.struct, this.capacity !== undefined);
  }
}
