import {StoreError, show} from '../errors.js';
import {closeCollection} from '../schema/closed.js';
import {cellsOf, compileRow, type Row, rowCells, strideOf} from '../schema/element.js';
import type {Type, TypeDescription} from '../schema/type.js';
import type {Builder} from '../segment/builder.js';
import type {Checker} from '../segment/check.js';
import type {Engine} from '../segment/engine.js';
import {CELL, INDIRECT} from '../segment/memory.js';
import {assertValueType, CollectionType, type Rowed} from './collection.js';

/*
 * A vector: values in a row in one heap block, which doubles when it is full.
 *
 *   head:  0  data u32 | capacity u32     first payload cell or 0; values there is room for
 *          1  length u32 | life u32       counted up whenever values go or move: live records of structs are stale then
 */
const HEAD_CELLS = 2;
const FIRST_BYTES = 56;

/**
 * Values of one type in a row. Room doubles when it is full. A live record of a struct is stale once values are popped or
 * move to a larger place.
 *
 * @typeParam I - what values are written as
 */
export class Vector<V, I = V> implements Rowed {
  /** @internal */
  readonly headCells = HEAD_CELLS;
  private readonly row: Row<V>;
  private readonly word: number;
  constructor(
    /** @internal */
    readonly engine: Engine,
    /** @internal */
    readonly head: number,
    /** @internal */
    readonly path: string,
    /** @internal */
    readonly type: Type<V, I, unknown>,
  ) {
    const [data, capacity, length] = [
      engine.memory.u32[head * 2]!,
      engine.memory.u32[head * 2 + 1]!,
      engine.memory.u32[head * 2 + 2]!,
    ];
    if (length > capacity) engine.corrupt(path, `has ${length} values and room for ${capacity}`);
    if (capacity > 0) engine.assertInside(path, data, rowCells(type, capacity));
    this.row = compileRow(type, engine, `${path}[]`);
    this.word = head * 2;
  }

  /** Number of values. */
  get length(): number {
    this.engine.assertOpen();
    return this.engine.memory.u32[this.word + 2]!;
  }

  /** The value at `index`, from the end if negative; undefined when there is none. */
  at(index: number): V | undefined {
    const i = this.resolve(index);
    return i < 0 ? undefined : this.read(i);
  }

  /**
   * Replaces one value.
   *
   * @param index - from the end if negative
   * @throws StoreError ERR_VALUE: there is no such index, or the value does not fit
   */
  set(index: number, value: I): void {
    if (this.engine.memory.mode === INDIRECT) {
      this.engine.transact(() => this.set(index, value));
      return;
    }
    const i = this.resolve(index);
    if (i < 0)
      throw new StoreError(
        'ERR_VALUE',
        `${this.path}.set(${show(index)}): expected an index below the length ${this.length}; push adds a value.`,
      );
    const data = this.engine.memory.u32[this.word]!;
    if (!this.row.poke(data, i, value)) this.engine.transact(() => this.row.put(data, i, value));
  }

  /**
   * Adds values at the end, all of them or none; returns the new length.
   *
   * @throws StoreError ERR_VALUE: a value does not fit; ERR_FULL: the store has no room
   */
  push(...values: I[]): number {
    return this.engine.transact(() => {
      const {memory, log} = this.engine;
      // They may be values of this very vector, which moves when it grows.
      for (const value of values.map(each => this.type.detach(each))) {
        const length = memory.u32[this.word + 2]!;
        if (length === memory.u32[this.word + 1]!) this.grow(length);
        const data = memory.u32[this.word]!;
        // A value popped earlier in this transaction must come back if it is undone, so even a fresh place is saved.
        const {first, count} = cellsOf(this.type, data, length);
        log.saveRange(first, count);
        log.save(this.head + 1);
        this.clear(data, length);
        this.row.init(data, length, value);
        memory.u32[this.word + 2] = length + 1;
      }
      return memory.u32[this.word + 2]!;
    });
  }

  /** Takes the last value off, undefined when there is none; a struct comes as a plain object, for its record is gone. */
  pop(): V | undefined {
    return this.engine.transact(() => {
      if (this.length === 0) return undefined;
      const {memory, log} = this.engine;
      const last = memory.u32[this.word + 2]! - 1;
      const taken = this.type.detach(this.read(last)) as V;
      this.row.drop(memory.u32[this.word]!, last);
      log.save(this.head + 1);
      memory.u32[this.word + 2] = last;
      this.endLife();
      return taken;
    });
  }

  /** First to last. */
  *[Symbol.iterator](): IterableIterator<V> {
    for (let i = 0; i < this.length; i++) yield this.read(i);
  }

  /** The values as plain data. */
  toJSON(): unknown[] {
    return [...this].map(v => this.type.plain(v));
  }

  /** @internal */
  verify(checker: Checker): void {
    if (this.verifyHead(checker)) for (let i = 0; i < this.filled; i++) this.verifyPlace(checker, i);
  }

  /** @internal */
  get filled(): number {
    return this.engine.memory.u32[this.word + 2]!;
  }

  /** @internal */
  verifyHead(checker: Checker): boolean {
    const [data, capacity, length] = [...this.engine.memory.u32.subarray(this.word, this.word + 3)] as [
      number,
      number,
      number,
    ];
    if (length > capacity) {
      checker.problem(this.path, `length ${length} of ${capacity}`);
      return false;
    }
    if (data === 0 && capacity > 0) checker.problem(this.path, `room for ${capacity} values, but nowhere`);
    return data === 0 ? capacity === 0 : checker.block(data, rowCells(this.type, capacity) * CELL, this.path);
  }

  /** @internal */
  verifyPlace(checker: Checker, place: number): void {
    const {cell, byte} = this.where(place);
    this.type.verify(checker, cell, byte, `${this.path}[${place}]`);
  }

  /** @internal */
  valueIn(place: number): V {
    return this.read(place);
  }

  /** @internal */
  where(place: number): {cell: number; cells: number; byte: number} {
    const data = this.engine.memory.u32[this.word]!;
    const {first, count} = cellsOf(this.type, data, place);
    return {cell: first, cells: count, byte: (strideOf(this.type) * place) % CELL};
  }

  /** @internal */
  expire(): void {
    const {memory, log} = this.engine;
    log.save(this.head + 1);
    memory.u32[this.word + 3] = memory.u32[this.word + 3]! + 1;
    this.engine.memory.invalidate();
  }

  /** @internal */
  forsake(): void {
    const {memory, log} = this.engine;
    log.saveRange(this.head, HEAD_CELLS);
    memory.u32.fill(0, this.word, this.word + 3);
    this.expire();
  }

  private read(i: number): V {
    const {u32} = this.engine.memory;
    return this.row.get(u32[this.word]!, i, this.word + 3, u32[this.word + 3]!);
  }

  private clear(data: number, i: number): void {
    const {u8} = this.engine.memory;
    const stride = strideOf(this.type);
    u8.fill(0, data * CELL + i * stride, data * CELL + (i + 1) * stride);
  }

  private grow(length: number): void {
    const {memory, log, heap} = this.engine;
    const stride = strideOf(this.type);
    // At first room for whole lanes at least, however large they are.
    const data = heap.alloc(Math.max(length * 2 * stride, this.row.groupCells * CELL, FIRST_BYTES));
    const old = memory.u32[this.word]!;
    if (old !== 0) memory.u8.copyWithin(data * CELL, old * CELL, old * CELL + length * stride);
    log.saveRange(this.head, HEAD_CELLS);
    memory.u32[this.word] = data;
    // Whole groups of lanes: a value never reaches beyond the block.
    memory.u32[this.word + 1] = Math.floor(heap.room(data) / (this.row.groupCells * CELL)) * this.row.lanes;
    this.endLife();
    heap.free(old);
  }

  /** The greatest there ever was here: one that was undone must not come again, handles of it may be about. */
  private life = 0;

  private endLife(): void {
    const {memory} = this.engine;
    this.life = Math.max(this.life, memory.u32[this.word + 3]!) + 1;
    memory.u32[this.word + 3] = this.life;
    memory.invalidate();
  }

  private resolve(index: number): number {
    const {length} = this;
    const i = typeof index === 'number' && index < 0 ? length + index : index;
    return Number.isInteger(i) && i >= 0 && i < length ? i : -1;
  }
}

closeCollection(Vector.prototype);

/** Its values in one block, which doubles. */
export class VectorType<V, I, J> extends CollectionType<Vector<V, I>> {
  override readonly kind = 'vector';
  override readonly lasting: readonly number[] = [];
  override readonly size = HEAD_CELLS * CELL;
  constructor(private readonly of: Type<V, I, J>) {
    super();
    assertValueType('t.vector', of);
  }
  override describe(): TypeDescription {
    return {kind: 'vector', size: this.size, of: [this.of.describe()]};
  }
  override build(_builder: Builder, _head: number): void {}
  override open(engine: Engine, head: number, path: string): Vector<V, I> {
    return new Vector(engine, head, path, this.of);
  }
}
