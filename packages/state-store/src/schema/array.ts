import {StoreError, show} from '../errors.js';
import type {Checker} from '../segment/check.js';
import type {Engine} from '../segment/engine.js';
import {CELL, INDIRECT} from '../segment/memory.js';
import {closeCollection} from './closed.js';
import {compileRow, type Row, rowCells, strideOf} from './element.js';
import {
  type Access,
  type AnyType,
  type Captures,
  type Guard,
  refuse,
  seenFrom,
  strangeness,
  Type,
  type TypeDescription,
} from './type.js';

/** What all views of one array field have in common. */
interface ArrayOf<V, I> {
  engine: Engine;
  row: Row<V>;
  path: string;
  type: Type<V, I, unknown>;
  length: number;
  /** Counted from where the array begins. */
  guards: readonly Guard[];
}

/** A live view of an array inside a record. It is stale as soon as its record is. */
export class FixedArray<V, I = V> {
  readonly #array: ArrayOf<V, I>;
  readonly #base: number;
  readonly #g: number;
  readonly #n: number;
  /** @internal */
  constructor(array: ArrayOf<V, I>, base: number, g: number, n: number) {
    this.#array = array;
    this.#base = base;
    this.#g = g;
    this.#n = n;
  }

  /** As declared; it never changes. */
  get length(): number {
    return this.#array.length;
  }

  /** The value at `index`, from the end if negative; undefined when there is none. */
  at(index: number): V | undefined {
    const i = this.resolve(index);
    return i < 0 ? undefined : this.#array.row.get(this.#base, i, this.#g, this.#n);
  }

  /**
   * Replaces one value.
   *
   * @throws StoreError ERR_VALUE: there is no such index, or the value does not fit
   */
  set(index: number, value: I): void {
    const {engine, row, path} = this.#array;
    if (engine.memory.mode === INDIRECT) {
      engine.transact(() => this.set(index, value));
      return;
    }
    const i = this.resolve(index);
    if (i < 0)
      throw new StoreError(
        'ERR_VALUE',
        `${path}: index ${show(index)}; expected an integer from 0 to ${this.length - 1}.`,
      );
    const base = this.#base;
    if (!row.poke(base, i, value)) engine.transact(() => row.put(base, i, value));
  }

  /** First to last. */
  *[Symbol.iterator](): IterableIterator<V> {
    for (let i = 0; i < this.length; i++) {
      this.resolve(i);
      yield this.#array.row.get(this.#base, i, this.#g, this.#n);
    }
  }

  /** The values as plain data. */
  toJSON(): unknown[] {
    return [...this].map(v => this.#array.type.plain(v));
  }

  private isLive(): boolean {
    const {engine, guards} = this.#array;
    const {u32, u8} = engine.memory;
    return (
      u32[this.#g] === this.#n && guards.every(({byte, value}) => u8[this.#base * CELL + byte] === value)
    );
  }

  /** -1 when there is no such place. */
  private resolve(index: number): number {
    const {engine, path} = this.#array;
    while (!this.isLive()) engine.stale(`array ${path}`);
    const i = typeof index === 'number' && index < 0 ? this.length + index : index;
    return Number.isInteger(i) && i >= 0 && i < this.length ? i : -1;
  }
}

closeCollection(FixedArray.prototype);

/** `length` values of one type, as a C array. A read gives a live view; a write takes as many values. */
export class ArrayType<V, I, J> extends Type<FixedArray<V, I>, Iterable<I>, J[]> {
  override readonly kind = 'array';
  override readonly align = CELL;
  override readonly single = false;
  override readonly size: number;
  constructor(
    readonly of: Type<V, I, J>,
    readonly length: number,
  ) {
    super();
    if (!(of instanceof Type))
      throw new StoreError(
        'ERR_SCHEMA',
        `t.array(type, length): expected a type such as t.u32${strangeness(of)}.`,
      );
    if (!Number.isSafeInteger(length) || length < 1 || length > 1 << 20)
      throw new StoreError(
        'ERR_SCHEMA',
        `t.array(..., ${show(length)}): expected a length from 1 to ${1 << 20}.`,
      );
    this.size = rowCells(of as AnyType, length) * CELL;
  }
  override get compound(): boolean {
    return true;
  }
  override describe(): TypeDescription {
    return {kind: 'array', size: this.size, length: this.length, of: [this.of.describe()]};
  }
  override detach(value: unknown): unknown {
    if (typeof value !== 'object' || value === null || !(Symbol.iterator in value)) return value;
    const values = [...(value as Iterable<unknown>)];
    return this.of.compound ? values.map(each => this.of.detach(each)) : values;
  }
  override plain(value: FixedArray<V, I>): J[] {
    return value.toJSON() as J[];
  }
  override access(byte: number, path: string, captures: Captures): Access {
    const {engine} = captures;
    const {length} = this;
    const row = compileRow<V>(this.of, engine, `${path}[]`);
    const guards = seenFrom(byte, captures.guards);
    const array: ArrayOf<V, I> = {engine, row, path, type: this.of, length, guards};
    const view = captures.add((base: number, g: number, n: number) => new FixedArray(array, base, g, n));
    const listed = captures.add((v: unknown) => {
      const values = this.detach(v);
      if (!Array.isArray(values) || values.length !== length) refuse(path, `${length} values`, values);
      return values;
    });
    const base = `c+${byte / CELL}`;
    const each = (what: string) => `for(let i=0;i<${length};i++)${what}`;
    const r = captures.add(row);
    return {
      get: `${view}(${base},${captures.g},${captures.n})`,
      check: `v=${listed}(v);`,
      set: each(`${r}.put(${base},i,v[i]);`),
      init: each(`${r}.init(${base},i,v[i]);`),
      drop: each(`${r}.drop(${base},i);`),
    };
  }
  override verify(checker: Checker, cell: number, byte: number, path: string): void {
    const stride = strideOf(this.of);
    for (let i = 0; i < this.length; i++) {
      const from = byte + i * stride;
      this.of.verify(checker, cell + Math.floor(from / CELL), from % CELL, `${path}[${i}]`);
    }
  }
}
