import {types} from 'node:util';
import {StoreError, show} from '../errors.js';
import {closeCollection} from '../schema/closed.js';
import {compileRow, type Row} from '../schema/element.js';
import {FixedStringType} from '../schema/fixed.js';
import {BigType, NumberType, TimestampType, timeOf, UintType} from '../schema/scalars.js';
import {type AnyType, refuse, type Type, type TypeDescription} from '../schema/type.js';
import {BytesType, StringType} from '../schema/variable.js';
import type {Builder} from '../segment/builder.js';
import type {Checker} from '../segment/check.js';
import type {Engine} from '../segment/engine.js';
import {CELL} from '../segment/memory.js';
import {assertValueType, CollectionType, type Slotted} from './collection.js';
import {SlotValues, structOf, valueCells} from './slot-values.js';
import {buildSlots, LASTING, Slots, slotsHeadCells} from './slots.js';

/*
 * A sorted map: a skip list, its nodes in slots.
 *
 *   head: that of the slots, then 7 cells: next u32[12] | last u32 | 0     slots + 1, or 0
 *   node: 7 cells: next u32[12] | prev u32 | level u32; then the key's cells, then the value's
 *
 * A node stands in lanes 0 to level - 1, level k with chance 4^-k: twelve lanes serve 16 million keys.
 */
const LANES = 12;
const LINK_CELLS = 7;
const PREV = 12; // also: the last node, in the head
const LEVEL = 13;
const FIRST_SLOTS = 16;

/** Bounds of keys, and which way to go between them. */
export interface Range<K> {
  /** Keys above this one. */
  gt?: K;
  /** This key and those above. */
  gte?: K;
  /** Keys below this one. */
  lt?: K;
  /** This key and those below. */
  lte?: K;
  /** From the last to the first. */
  reverse?: boolean;
  /** Entries, at most. */
  limit?: number;
}

const RANGE = {gt: true, gte: true, lt: true, lte: true, reverse: true, limit: true} satisfies Record<
  keyof Range<unknown>,
  true
>;

/** Both must be keys: what compares neither way, such as NaN, would seem equal to everything. */
function compare(a: unknown, b: unknown): number {
  if (typeof a === 'object' && types.isUint8Array(a) && types.isUint8Array(b)) return Buffer.compare(a, b);
  return (a as number) < (b as number) ? -1 : (a as number) > (b as number) ? 1 : 0;
}

/** The indexes that some longest rising row of these keys can do without. */
function outOfOrder(keys: readonly unknown[]): number[] {
  const forward = rises(keys, compare);
  const backward = rises([...keys].reverse(), (a, b) => compare(b, a)).reverse();
  const longest = forward.reduce((a, b) => Math.max(a, b), 0);
  const partners = new Map<number, number>();
  const part = forward.map((length, i) => length + backward[i]! - 1 === longest);
  forward.forEach((length, i) => {
    if (part[i]) partners.set(length, (partners.get(length) ?? 0) + 1);
  });
  return [...keys.keys()].filter(i => !part[i] || partners.get(forward[i]!)! > 1);
}

/** Of each key the length of the longest rising row that ends with it. */
function rises(keys: readonly unknown[], order: (a: unknown, b: unknown) => number): number[] {
  const least: unknown[] = []; // of all rows of some length, the least last key
  return keys.map(key => {
    let [low, high] = [0, least.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (order(least[middle], key) < 0) low = middle + 1;
      else high = middle;
    }
    least[low] = key;
    return low + 1;
  });
}

/** A key as it reads back, or undefined when it has no place among keys of this type: NaN has none. */
function asStored(type: AnyType, key: unknown): unknown {
  if (type instanceof StringType || type instanceof FixedStringType)
    return typeof key === 'string' ? key : undefined;
  if (type instanceof BytesType) return types.isUint8Array(key) ? key : undefined;
  if (type instanceof BigType) return typeof key === 'bigint' ? key : undefined;
  const number = type instanceof TimestampType && typeof key !== 'number' ? timeOf(key) : key;
  if (typeof number !== 'number' || Number.isNaN(number)) return undefined;
  return type.kind === 'f32' ? Math.fround(number) : number;
}

/**
 * A map in the order of its keys: numbers, bytes and times as they compare, strings by UTF-16 units as `<` does.
 *
 * @typeParam KI - what keys are written as
 * @typeParam VI - what values are written as
 * @example
 * for (const [due, job] of store.root.timers.range({lte: Date.now(), limit: 10})) run(job);
 */
export class SortedMap<K, V, KI = K, VI = V> implements Slotted {
  /** @internal */
  readonly slots: Slots;
  private readonly keyRow: Row<K>;
  private readonly valueOf: SlotValues<V, VI>;
  private readonly head: number; // word of the links of the head
  private readonly keyCells: number;
  constructor(
    private readonly engine: Engine,
    head: number,
    private readonly path: string,
    private readonly keyType: Type<K, KI, unknown>,
    /** @internal */
    readonly valueType: Type<V, VI, unknown>,
  ) {
    this.keyCells = valueCells(keyType);
    this.slots = new Slots(
      engine,
      head,
      path,
      structOf(valueType),
      LINK_CELLS + this.keyCells,
      LINK_CELLS + this.keyCells + valueCells(valueType),
    );
    this.keyRow = compileRow(keyType, engine, `${path} (its key)`);
    this.valueOf = new SlotValues(this.slots, valueType, LINK_CELLS + this.keyCells);
    this.head = (head + slotsHeadCells(true)) * 2;
  }

  /** Number of entries. */
  get size(): number {
    this.engine.assertOpen();
    return this.slots.live;
  }

  /** True when there is an entry with this key. */
  has(key: K | KI): boolean {
    return this.find(asStored(this.keyType, key)) !== 0;
  }

  /** The value, live if it is a struct, or undefined. */
  get(key: K | KI): V | undefined {
    const node = this.find(asStored(this.keyType, key));
    return node === 0 ? undefined : this.valueOf.get(node - 1);
  }

  /**
   * Sets or replaces; a struct is copied in, what it leaves out is zero.
   *
   * @throws StoreError ERR_VALUE: key or value does not fit; ERR_FULL: the store has no room
   */
  set(key: K | KI, value: VI): this {
    return this.engine.transact(() => {
      const node = this.find(this.demanded(key));
      if (node !== 0) this.valueOf.put(node - 1, value);
      else this.slots.outlive(this.add(key, value));
      return this;
    });
  }

  /** False when there was none. */
  delete(key: K | KI): boolean {
    return this.engine.transact(() => {
      const node = this.find(asStored(this.keyType, key));
      if (node !== 0) this.removeNode(node);
      return node !== 0;
    });
  }

  /** The entry with the lowest key, or undefined. */
  first(): [K, V] | undefined {
    return this.entry(this.link(0, 0));
  }
  /** The entry with the highest key, or undefined. */
  last(): [K, V] | undefined {
    return this.entry(this.link(0, PREV));
  }

  /**
   * Entries in the order of their keys, or backwards, between bounds. Entries may come and go meanwhile.
   *
   * @param options - none: all of them
   * @throws StoreError ERR_VALUE: a bound is no key, such as NaN
   */
  range(options: Range<K | KI> = {}): IterableIterator<[K, V]> {
    this.engine.assertOpen();
    const wrong = Object.keys(this.engine.object(options, `${this.path}.range`)).find(
      name => !Object.hasOwn(RANGE, name),
    );
    if (wrong !== undefined)
      throw new StoreError(
        'ERR_VALUE',
        `${this.path}.range: there is no ${show(wrong)}; there are ${Object.keys(RANGE).join(', ')}.`,
      );
    const {reverse = false, limit = Number.POSITIVE_INFINITY} = options;
    if (typeof limit !== 'number' || !(limit >= 0))
      throw new StoreError(
        'ERR_VALUE',
        `${this.path}.range: limit ${show(limit)}; expected a number of entries.`,
      );
    const [gt, gte, lt, lte] = [options.gt, options.gte, options.lt, options.lte].map(bound =>
      bound === undefined ? undefined : this.demanded(bound),
    );
    return this.walk(reverse, limit, gt, gte, lt, lte);
  }

  private *walk(
    reverse: boolean,
    limit: number,
    gt: unknown,
    gte: unknown,
    lt: unknown,
    lte: unknown,
  ): IterableIterator<[K, V]> {
    this.engine.assertOpen();
    const {slots} = this;
    const above = (key: K) =>
      (gt === undefined || compare(key, gt) > 0) && (gte === undefined || compare(key, gte) >= 0);
    const below = (key: K) =>
      (lt === undefined || compare(key, lt) < 0) && (lte === undefined || compare(key, lte) <= 0);
    let node: number;
    if (reverse)
      node =
        lte !== undefined
          ? this.before(lte, true)
          : lt !== undefined
            ? this.before(lt, false)
            : this.link(0, PREV);
    else
      node =
        gte !== undefined
          ? this.after(gte, true)
          : gt !== undefined
            ? this.after(gt, false)
            : this.link(0, 0);
    for (let left = limit, steps = 0; node !== 0 && left > 0; ) {
      // More steps than slots are a circle, unless nodes come and go meanwhile.
      if (++steps > slots.used) this.engine.corrupt(this.path, 'runs in a circle');
      const key = this.keyOf(node);
      if (!(reverse ? above(key) : below(key))) return;
      const next = this.link(node, reverse ? PREV : 0);
      const life = next === 0 ? 0 : slots.generation(next - 1);
      const {changes} = slots;
      if (above(key) && below(key)) {
        left--;
        yield [key, this.valueOf.get(node - 1)];
        this.engine.assertOpen();
      }
      if (slots.changes !== changes) steps = 0;
      if (next === 0 || slots.generation(next - 1) === life) node = next;
      else node = reverse ? this.before(key, false) : this.after(key, false);
    }
  }
  /** All entries, lowest key first: the same as `range()`. */
  entries(): IterableIterator<[K, V]> {
    return this.range();
  }
  /** Lowest first. */
  *keys(): IterableIterator<K> {
    for (const [key] of this.range()) yield key;
  }
  /** In the order of their keys. */
  *values(): IterableIterator<V> {
    for (const [, value] of this.range()) yield value;
  }
  /** The same as `entries`. */
  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.range();
  }

  /** The entries as plain data, lowest key first. */
  toJSON(): [unknown, unknown][] {
    return [...this].map(([key, value]) => [this.keyType.plain(key), this.valueType.plain(value)]);
  }

  /** @internal */
  verify(checker: Checker): void {
    this.slots.verify(checker, (_cell, slot) => this.verifySlot(checker, slot));
    this.verifyOrder(checker);
  }

  /** @internal */
  verifySlot(checker: Checker, slot: number): void {
    const cell = this.slots.cell(slot) + LINK_CELLS;
    this.keyType.verify(checker, cell, 0, `${this.path}[node ${slot}] (its key)`);
    this.valueType.verify(checker, cell + this.keyCells, 0, `${this.path}[node ${slot}]`);
  }

  /** @internal */
  verifyOrder(checker: Checker): void {
    let sum = 0;
    for (let lane = 0; lane < LANES; lane++) {
      let previous = 0;
      let count = 0;
      for (let node = this.link(0, lane); node !== 0; node = this.link(node, lane)) {
        if (!this.slots.isLive(node - 1) || ++count > this.slots.used) {
          checker.problem(
            this.path,
            `lane ${lane} names node ${node - 1}, which is not there, or runs in a circle`,
          );
          return;
        }
        if (this.link(node, LEVEL) <= lane)
          checker.problem(
            this.path,
            `node ${node - 1} of level ${this.link(node, LEVEL)} stands in lane ${lane}`,
          );
        const follows = () => compare(this.keyOf(previous), this.keyOf(node)) < 0;
        if (previous !== 0 && checker.attempt(follows) === false)
          checker.problem(this.path, `node ${node - 1} is out of order in lane ${lane}`);
        if (lane === 0 && this.link(node, PREV) !== previous)
          checker.problem(this.path, `node ${node - 1} does not know the one before it`);
        if (lane === 0) sum += this.link(node, LEVEL);
        previous = node;
      }
      sum -= count;
      if (lane === 0 && count !== this.slots.live)
        checker.problem(this.path, `${count} nodes in order, ${this.slots.live} in the slots`);
      if (lane === 0 && previous !== this.link(0, PREV))
        checker.problem(this.path, 'its last node is not the last');
    }
    if (sum !== 0) checker.problem(this.path, `${sum} places in lanes are missing`);
  }

  /** @internal */
  valueAt(slot: number): V {
    return this.valueOf.get(slot);
  }
  /** @internal */
  keyAt(slot: number): K {
    return this.keyOf(slot + 1);
  }
  /** @internal */
  removeSlot(slot: number): void {
    this.removeNode(slot + 1);
  }

  /**
   * @internal Where the chain is whole, it is keys that are wrong: those without which the others are in order, all of them if several
   * choices are as good. Of nodes with the same key nobody can say which was meant.
   */
  misfits(sound: (slot: number) => boolean): [slot: number, reason: string][] {
    const found = new Map<number, string>();
    const nodes: {slot: number; key: K}[] = [];
    for (const slot of this.chain() ?? this.liveSlots()) {
      if (!sound(slot)) continue;
      const key = this.keyAt(slot);
      const placeless = (typeof key === 'number' || key instanceof Date) && Number.isNaN(Number(key));
      if (placeless) found.set(slot, 'its key has no place in an order');
      else nodes.push({slot, key});
    }
    if (this.chain())
      for (const i of outOfOrder(nodes.map(({key}) => key)))
        found.set(nodes[i]!.slot, 'its key is not where the chain has it');
    const left = nodes.filter(({slot}) => !found.has(slot)).sort((a, b) => compare(a.key, b.key));
    left.forEach(({slot, key}, i) => {
      const twin = [left[i - 1], left[i + 1]].find(other => other && compare(other.key, key) === 0);
      if (twin) found.set(slot, `has the key of node ${twin.slot}`);
    });
    return [...found];
  }

  /** The slots in the order of the chain, if it has all of them, forwards and backwards. */
  private chain(): number[] | undefined {
    const slots: number[] = [];
    let previous = 0;
    for (let node = this.link(0, 0); node !== 0; node = this.link(node, 0)) {
      if (!this.slots.isLive(node - 1) || slots.length === this.slots.used) return undefined;
      if (this.link(node, PREV) !== previous) return undefined;
      slots.push(node - 1);
      previous = node;
    }
    return previous === this.link(0, PREV) && slots.length === this.liveSlots().length ? slots : undefined;
  }

  private liveSlots(): number[] {
    return Array.from({length: this.slots.used}, (_, slot) => slot).filter(slot => this.slots.isLive(slot));
  }

  /** @internal */
  relink(): void {
    const {engine} = this;
    const nodes = this.liveSlots()
      .map(slot => ({node: slot + 1, level: this.levelOf(slot + 1), key: this.keyAt(slot)}))
      .sort((a, b) => compare(a.key, b.key));
    // From the end, so that the next node of each lane is known.
    const next = new Array<number>(LANES).fill(0);
    const links = nodes.map(() => [] as number[]);
    for (let i = nodes.length - 1; i >= 0; i--) {
      const {node, level} = nodes[i]!;
      links[i] = next.map((to, lane) => (lane < level ? to : 0));
      next.fill(node, 0, level);
    }
    const write = (node: number, words: number[]) => {
      const {u32} = engine.memory;
      const word = this.wordOf(node);
      if (words.every((value, k) => u32[word + k] === value)) return;
      engine.log.saveRange(word >> 1, LINK_CELLS);
      words.forEach((value, k) => {
        u32[word + k] = value;
      });
    };
    engine.inSteps(nodes, LINK_CELLS, ({node, level}, i) =>
      write(node, [...links[i]!, nodes[i - 1]?.node ?? 0, level]),
    );
    engine.transact(() => write(0, [...next, nodes.at(-1)?.node ?? 0, 0]));
  }

  /** Any level will do that a node can have. */
  private levelOf(node: number): number {
    const level = this.link(node, LEVEL);
    return level >= 1 && level <= LANES ? level : this.levelFor(node - 1);
  }

  private wordOf(node: number): number {
    return node === 0 ? this.head : this.slots.cell(node - 1) * 2;
  }
  private link(node: number, which: number): number {
    return this.engine.memory.u32[this.wordOf(node) + which]!;
  }
  private point(node: number, which: number, to: number): void {
    const word = this.wordOf(node) + which;
    this.engine.log.save(word >> 1);
    this.engine.memory.u32[word] = to;
  }
  private keyOf(node: number): K {
    return this.keyRow.get(this.slots.cell(node - 1) + LINK_CELLS, 0, 0, 0);
  }
  private entry(node: number): [K, V] | undefined {
    this.engine.assertOpen();
    return node === 0 ? undefined : [this.keyOf(node), this.valueOf.get(node - 1)];
  }

  private demanded(key: unknown): unknown {
    const stored = asStored(this.keyType, key);
    if (stored === undefined)
      refuse(`${this.path} (its key)`, `a ${this.keyType.kind} that has a place in the order of keys`, key);
    return stored;
  }

  /** The last node in each lane whose key is below `key`. */
  private trail(key: unknown, inclusive = false): number[] {
    this.engine.assertOpen();
    const path = new Array<number>(LANES).fill(0);
    let node = 0;
    for (let lane = LANES - 1; lane >= 0; lane--) {
      for (let steps = 0; ; steps++) {
        if (steps > this.slots.used) this.engine.corrupt(this.path, 'runs in a circle');
        const next = this.link(node, lane);
        if (next === 0) break;
        const order = compare(this.keyOf(next), key);
        if (order > 0 || (order === 0 && !inclusive)) break;
        node = next;
      }
      path[lane] = node;
    }
    return path;
  }

  /** The node of a key as it is stored, or 0. */
  private find(key: unknown): number {
    this.engine.assertOpen();
    if (key === undefined) return 0;
    const node = this.link(this.trail(key)[0]!, 0);
    return node !== 0 && compare(this.keyOf(node), key) === 0 ? node : 0;
  }
  private after(key: unknown, inclusive: boolean): number {
    return this.link(this.trail(key, !inclusive)[0]!, 0);
  }
  private before(key: unknown, inclusive: boolean): number {
    return this.trail(key, inclusive)[0]!;
  }

  /** @internal Fills a slot that was adopted. */
  place(slot: number, key: K | KI, value: VI): void {
    this.demanded(key);
    this.add(key, value, slot);
  }

  private add(key: K | KI, value: VI, slot = this.slots.take()): number {
    const {memory} = this.engine;
    const cell = this.slots.cell(slot);
    memory.f64.fill(0, cell, cell + LINK_CELLS + this.keyCells);
    this.keyRow.init(cell + LINK_CELLS, 0, key);
    this.valueOf.init(slot, value);
    // Compared as it reads back, so that what is stored rounded is sorted as it is stored.
    const path = this.trail(this.keyOf(slot + 1));
    const level = this.levelFor(slot);
    memory.u32[cell * 2 + LEVEL] = level;
    for (let lane = 0; lane < level; lane++) {
      memory.u32[cell * 2 + lane] = this.link(path[lane]!, lane);
      this.point(path[lane]!, lane, slot + 1);
    }
    const next = memory.u32[cell * 2]!;
    memory.u32[cell * 2 + PREV] = path[0]!;
    this.point(next, PREV, slot + 1);
    return slot;
  }

  private removeNode(node: number): void {
    const path = this.trail(this.keyOf(node));
    const level = this.link(node, LEVEL);
    for (let lane = 0; lane < level; lane++) this.point(path[lane]!, lane, this.link(node, lane));
    this.point(this.link(node, 0), PREV, this.link(node, PREV));
    this.keyRow.drop(this.slots.cell(node - 1) + LINK_CELLS, 0);
    this.valueOf.drop(node - 1);
    this.slots.give(node - 1);
  }

  /** Drawn from the slot and its life: random enough, and the same program always builds the same list. */
  private levelFor(slot: number): number {
    let bits = Math.imul(slot + 1, 0x9e3779b1) ^ Math.imul(this.slots.generation(slot), 0x85ebca6b);
    bits = Math.imul(bits ^ (bits >>> 15), 0x2c1b3c6d);
    bits ^= bits >>> 12;
    let level = 1;
    while (level < LANES && (bits & 3) === 0) {
      level++;
      bits >>>= 2;
    }
    return level;
  }
}

closeCollection(SortedMap.prototype);

/** A skip list, its nodes in slots. */
export class SortedType<K, KI, V, VI, VJ> extends CollectionType<SortedMap<K, V, KI, VI>> {
  override readonly kind = 'sorted';
  override readonly lasting = LASTING;
  override readonly size = (slotsHeadCells(true) + LINK_CELLS) * CELL;
  constructor(
    private readonly key: Type<K, KI, unknown>,
    private readonly of: Type<V, VI, VJ>,
  ) {
    super();
    if (
      ![NumberType, UintType, BigType, TimestampType, StringType, FixedStringType, BytesType].some(
        kind => key instanceof kind,
      )
    )
      throw new StoreError('ERR_SCHEMA', 't.sorted: keys are numbers, strings, bytes or timestamps.');
    assertValueType('t.sorted', of);
  }
  override describe(): TypeDescription {
    return {kind: 'sorted', size: this.size, of: [this.key.describe(), this.of.describe()]};
  }
  override build(builder: Builder, head: number): void {
    buildSlots(
      builder,
      head,
      LINK_CELLS + valueCells(this.key) + valueCells(this.of),
      FIRST_SLOTS,
      true,
      't.sorted',
    );
  }
  override open(engine: Engine, head: number, path: string): SortedMap<K, V, KI, VI> {
    return new SortedMap(engine, head, path, this.key, this.of);
  }
}
