import {StoreError, show} from '../errors.js';
import {closeCollection} from '../schema/closed.js';
import {cellsOf, compileRow, type Row, rowCells, strideOf} from '../schema/element.js';
import type {Type, TypeDescription} from '../schema/type.js';
import type {Builder} from '../segment/builder.js';
import type {Checker} from '../segment/check.js';
import type {Engine} from '../segment/engine.js';
import {CELL} from '../segment/memory.js';
import {assertValueType, CollectionType, type Rowed} from './collection.js';

/*
 * A ring: the last `capacity` values pushed, oldest first.
 *
 *   head:  0  pushed u64                  values ever pushed; value k lies in place k mod capacity
 *          1  data u32 | capacity u32     first cell of the places
 *          2  lives u32 | lost u32        first cell of one u32 a place, another at each push, for stale handles; of the places that
 *                                       the values pushed would fill, those whose values a smaller ring had let go: the oldest
 */
const HEAD_CELLS = 3;

/**
 * The last `capacity` values pushed: the oldest makes room for the newest.
 *
 * @typeParam I - what values are written as
 */
export class Ring<V, I = V> implements Rowed {
  /** @internal */
  readonly headCells = HEAD_CELLS;
  private readonly row: Row<V>;
  private readonly word: number;
  private readonly data: number;
  private readonly lives: number; // word
  /** Values it keeps, as declared. */
  readonly capacity: number;
  constructor(
    /** @internal */
    readonly engine: Engine,
    /** @internal */
    readonly head: number,
    /** @internal */
    readonly path: string,
    /** @internal */
    readonly type: Type<V, I, unknown>,
    declared: number,
  ) {
    const {u32} = engine.memory;
    const [data, capacity, lives] = [u32[head * 2 + 2]!, u32[head * 2 + 3]!, u32[head * 2 + 4]!];
    if (capacity !== declared) engine.corrupt(path, `has a capacity of ${capacity}, not ${declared}`);
    engine.assertInside(path, data, rowCells(type, declared));
    engine.assertInside(path, lives, Math.ceil(declared / 2));
    this.row = compileRow(type, engine, `${path}[]`);
    this.word = head * 2;
    this.data = data;
    this.capacity = capacity;
    this.lives = lives * 2;
  }

  /** Number of values ever pushed, also of those that made room. */
  get pushed(): number {
    this.engine.assertOpen();
    const pushed = this.counted();
    // Beyond that numbers do not count, and a loop over them would not end.
    if (pushed > Number.MAX_SAFE_INTEGER) this.engine.corrupt(this.path, `was pushed to ${pushed} times`);
    return pushed;
  }

  /** As it stands there. */
  private counted(): number {
    const {u32} = this.engine.memory;
    return u32[this.word]! + u32[this.word + 1]! * 2 ** 32;
  }

  /** Number of values there are, at most `capacity`. */
  get length(): number {
    const {pushed, lost} = this;
    const reached = Math.min(pushed, this.capacity);
    if (lost > reached) this.engine.corrupt(this.path, `lost ${lost} values of ${reached}`);
    return reached - lost;
  }

  private get lost(): number {
    return this.engine.memory.u32[this.word + 5]!;
  }

  /** The value at `index`, 0 the oldest, -1 the newest; undefined when there is none. */
  at(index: number): V | undefined {
    const {length} = this;
    const i = typeof index === 'number' && index < 0 ? length + index : index;
    if (!Number.isInteger(i) || i < 0 || i >= length) return undefined;
    return this.read(this.pushed - length + i);
  }

  /**
   * Adds a value, in the place of the oldest when all are taken.
   *
   * @throws StoreError ERR_VALUE: the value does not fit
   */
  push(value: I): void {
    this.engine.transact(() => {
      const detached = this.type.detach(value); // it may be the oldest one
      const {memory, log} = this.engine;
      const {u32} = memory;
      const pushed = this.pushed;
      const place = pushed % this.capacity;
      if (pushed >= this.capacity) this.row.drop(this.data, place);
      const {first, count} = cellsOf(this.type, this.data, place);
      log.saveRange(first, count);
      log.note((this.lives + place) >>> 1);
      log.note(this.head);
      if (this.lost > 0) log.note(this.head + 2);
      log.publish();
      const stride = strideOf(this.type);
      memory.u8.fill(0, this.data * CELL + place * stride, this.data * CELL + (place + 1) * stride);
      this.row.init(this.data, place, detached);
      this.engine.memory.invalidate();
      this.life = Math.max(this.life, pushed) + 1;
      u32[this.lives + place] = this.life;
      u32[this.word] = (pushed + 1) >>> 0;
      u32[this.word + 1] = Math.floor((pushed + 1) / 2 ** 32);
      if (pushed >= this.capacity && this.lost > 0) u32[this.word + 5] = this.lost - 1;
    });
  }

  /** @internal Counts on from here. Part of the making of a store: the places are empty. */
  countFrom(pushed: number): void {
    const {u32} = this.engine.memory;
    u32[this.word] = pushed >>> 0;
    u32[this.word + 1] = Math.floor(pushed / 2 ** 32);
    u32[this.word + 5] = Math.min(pushed, this.capacity);
  }

  /** The greatest there ever was here, pushes that were undone included: handles of those may be about. */
  private life = 0;

  /** Oldest first. */
  *[Symbol.iterator](): IterableIterator<V> {
    for (let k = this.pushed - this.length; k < this.pushed; k++) yield this.read(k);
  }

  /** The values as plain data, oldest first. */
  toJSON(): unknown[] {
    return [...this].map(v => this.type.plain(v));
  }

  /** @internal */
  verify(checker: Checker): void {
    if (this.verifyHead(checker)) for (let i = 0; i < this.filled; i++) this.verifyPlace(checker, i);
  }

  /** @internal */
  get filled(): number {
    return Math.min(this.counted(), this.capacity);
  }

  /** @internal */
  verifyHead(checker: Checker): boolean {
    const [counted, {lost}] = [this.counted(), this];
    if (counted > Number.MAX_SAFE_INTEGER)
      checker.problem(this.path, `${counted} values pushed, which cannot be`);
    else if (lost !== this.unfilled(counted))
      checker.problem(this.path, `${lost} values lost, and ${this.unfilled(counted)} places without one`);
    else return true;
    return false;
  }

  /** Places that none was ever put into though it was pushed, told by their lives; these are not 0 as long as they do not wrap. */
  private unfilled(pushed: number): number {
    const {lives, filled} = this;
    if (pushed + this.capacity >= 2 ** 32) return this.lost;
    return this.engine.memory.u32.subarray(lives, lives + filled).filter(life => life === 0).length;
  }

  /** @internal */
  verifyPlace(checker: Checker, place: number): void {
    const {cell, byte} = this.where(place);
    this.type.verify(checker, cell, byte, `${this.path}[place ${place}]`);
  }

  /** @internal */
  valueIn(place: number): V {
    return this.row.get(this.data, place, this.lives + place, this.engine.memory.u32[this.lives + place]!);
  }

  /** @internal */
  where(place: number): {cell: number; cells: number; byte: number} {
    const {first, count} = cellsOf(this.type, this.data, place);
    return {cell: first, cells: count, byte: (strideOf(this.type) * place) % CELL};
  }

  /** @internal */
  expire(): void {} // its handle reads what is there: zeros

  /** @internal */
  forsake(): void {
    const {memory, log} = this.engine;
    log.save(this.head);
    log.save(this.head + 2);
    memory.u32.fill(0, this.word, this.word + 2);
    memory.u32[this.word + 5] = 0;
    this.engine.memory.invalidate();
  }

  private read(k: number): V {
    return this.valueIn(k % this.capacity);
  }
}

closeCollection(Ring.prototype);

/** Its places in one piece. */
export class RingType<V, I, J> extends CollectionType<Ring<V, I>> {
  override readonly kind = 'ring';
  override readonly lasting: readonly number[] = [2, 3, 4];
  override readonly size = HEAD_CELLS * CELL;
  constructor(
    private readonly of: Type<V, I, J>,
    private readonly capacity: number,
  ) {
    super();
    assertValueType('t.ring', of);
    if (!Number.isSafeInteger(capacity) || capacity < 1 || capacity > 2 ** 30)
      throw new StoreError(
        'ERR_SCHEMA',
        `t.ring(..., ${show(capacity)}): expected a capacity from 1 to ${2 ** 30}.`,
      );
  }
  override describe(): TypeDescription {
    return {kind: 'ring', size: this.size, length: this.capacity, of: [this.of.describe()]};
  }
  override build(builder: Builder, head: number): void {
    const {u32} = builder.memory;
    const what = `t.ring(..., ${this.capacity})`;
    u32[head * 2 + 2] = builder.reserve(rowCells(this.of, this.capacity), what, 64);
    u32[head * 2 + 3] = this.capacity;
    u32[head * 2 + 4] = builder.reserve(Math.ceil(this.capacity / 2), what);
  }
  override open(engine: Engine, head: number, path: string): Ring<V, I> {
    return new Ring(engine, head, path, this.of, this.capacity);
  }
}
