import {StoreError} from '../errors.js';
import {closeCollection} from '../schema/closed.js';
import type {Live} from '../schema/record.js';
import type {AnyType, Type, TypeDescription} from '../schema/type.js';
import {StringType} from '../schema/variable.js';
import type {Builder} from '../segment/builder.js';
import type {Checker} from '../segment/check.js';
import type {Engine} from '../segment/engine.js';
import {CELL, INDIRECT, LOGGED} from '../segment/memory.js';
import {assertValueType, CollectionType, type Slotted} from './collection.js';
import {buildIndex, HashIndex, INDEX_HEAD_CELLS} from './hash-index.js';
import {isKeyType, type KeyCodec, keyCells, keyCodec} from './keys.js';
import {KnownKeys} from './known-keys.js';
import {SlotValues, structOf, valueCells} from './slot-values.js';
import {buildSlots, LASTING, Slots, slotsHeadCells} from './slots.js';

/*
 * A hash map: entries in slots (key cells, then value cells), and an index over them, see hash-index.ts.
 *
 *   head: that of the slots, then that of the index
 */
const FIRST_SLOTS = 64;

/**
 * A hash map under the names of JavaScript's Map. Keys are strings, bytes or integers; values are of one type, structs
 * live. The order is that of slots, not of insertion.
 *
 * @typeParam KI - what keys are written as
 * @typeParam VI - what values are written as
 * @example
 * const {hits} = store.root; // t.map(t.string(), t.u32)
 * store.transaction(() => hits.set('/', (hits.get('/') ?? 0) + 1));
 */
export class StoreMap<K, V, KI = K, VI = V> implements Slotted {
  /** @internal */
  readonly slots: Slots;
  private readonly keyOf: KeyCodec<K>;
  private readonly valueOf: SlotValues<V, VI>;
  private readonly keyCells: number;
  private readonly index: HashIndex<K>;
  /** Of structs the records, so that a get makes none; of other values the slots. */
  private readonly known: KnownKeys<Live | number> | undefined;
  constructor(
    private readonly engine: Engine,
    head: number,
    private readonly path: string,
    key: Type<K, KI, unknown>,
    /** @internal */
    readonly valueType: Type<V, VI, unknown>,
  ) {
    this.keyCells = keyCells(key);
    this.slots = new Slots(
      engine,
      head,
      path,
      structOf(valueType),
      this.keyCells,
      this.keyCells + valueCells(valueType),
    );
    this.keyOf = keyCodec(key, engine, path);
    this.index = new HashIndex(engine, head + slotsHeadCells(true), path, this.slots, this.keyOf);
    this.valueOf = new SlotValues(this.slots, valueType, this.keyCells);
    // Beside other writers a slot may get another key without a word to this process.
    if (key instanceof StringType && engine.access === 'one') this.known = new KnownKeys(engine.log);
  }

  /** Number of entries. */
  get size(): number {
    this.engine.assertOpen();
    return this.slots.live;
  }

  /** True when there is an entry with this key. */
  has(key: K): boolean {
    return this.slotOf(key) >= 0;
  }

  /** The value, live if it is a struct, or undefined. */
  get(key: K): V | undefined {
    const known = this.known?.get(key) ?? this.search(key);
    return typeof known === 'number' ? this.valueOf.get(known) : (known as V | undefined);
  }

  /**
   * Sets or replaces; a struct is copied in, what it leaves out is zero.
   *
   * @throws StoreError ERR_VALUE: key or value does not fit; ERR_FULL: the store has no room
   */
  set(key: K, value: VI): this {
    const {memory, log} = this.engine;
    if (memory.mode === INDIRECT) return this.engine.transact(() => this.set(key, value));
    const there = this.slotOf(key);
    if (there >= 0) {
      this.valueOf.put(there, value);
      return this;
    }
    this.keyOf.check(key);
    if (memory.mode === LOGGED) this.slots.outlive(this.engine.transact(() => this.add(key, value)));
    else {
      const before = log.begin();
      try {
        this.add(key, value);
        log.commit(before);
      } catch (error) {
        log.rollback(before);
        this.engine.again(error, () => this.set(key, value));
      }
    }
    return this;
  }

  /** False when there was none. */
  delete(key: K): boolean {
    if (this.engine.memory.mode === INDIRECT) return this.engine.transact(() => this.delete(key));
    const place = this.index.find(key);
    if (place < 0) return false;
    this.engine.transact(() => this.removeAt(place));
    this.known?.forget(key);
    return true;
  }

  /**
   * Deletes all, as one transaction: a large map needs a large log.
   *
   * @throws StoreError ERR_TRANSACTION: the log is too small for it; nothing was deleted. See `logSize`.
   */
  clear(): void {
    this.engine.transact(() => {
      for (const place of this.index.places()) this.removeAt(place);
    });
    this.known?.clear();
  }

  /** In the order of slots. The entry at hand may be deleted meanwhile. */
  *entries(): IterableIterator<[K, V]> {
    for (const slot of this.slots.liveSlots())
      yield [this.keyOf.read(this.slots.cell(slot)), this.valueOf.get(slot)];
  }
  /** In the order of slots. */
  *keys(): IterableIterator<K> {
    for (const slot of this.slots.liveSlots()) yield this.keyOf.read(this.slots.cell(slot));
  }
  /** In the order of slots. */
  *values(): IterableIterator<V> {
    for (const slot of this.slots.liveSlots()) yield this.valueOf.get(slot);
  }
  /** The same as `entries`. */
  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.entries();
  }

  /** The entries as plain data. */
  toJSON(): [K, unknown][] {
    return [...this.slots.liveSlots()].map(slot => [
      this.keyOf.read(this.slots.cell(slot)),
      this.valueOf.plain(slot),
    ]);
  }

  /** @internal */
  verify(checker: Checker): void {
    this.slots.verify(checker, (_cell, slot) => this.verifySlot(checker, slot));
    this.verifyOrder(checker);
  }

  /** @internal */
  verifySlot(checker: Checker, slot: number): void {
    const cell = this.slots.cell(slot);
    const path = `${this.path}[entry ${slot}]`;
    this.keyOf.verify(checker, cell, path);
    this.valueType.verify(checker, cell + this.keyCells, 0, path);
  }

  /** @internal */
  verifyOrder(checker: Checker): void {
    this.index.verify(checker);
  }
  /** @internal */
  misfits(sound: (slot: number) => boolean): [slot: number, reason: string][] {
    return this.index.misfits(sound);
  }
  /** @internal */
  relink(): void {
    this.known?.clear();
    this.index.remake();
  }

  /** @internal */
  valueAt(slot: number): V {
    return this.valueOf.get(slot);
  }
  /** @internal */
  keyAt(slot: number): K {
    return this.keyOf.read(this.slots.cell(slot));
  }
  /** @internal */
  removeSlot(slot: number): void {
    const place = this.index.find(this.keyAt(slot));
    if (place < 0 || this.index.slotAt(place) !== slot)
      this.engine.corrupt(this.path, `cannot find entry ${slot} by its key`);
    this.known?.clear();
    this.removeAt(place);
  }

  /** The slot of a key's entry, or -1. */
  private slotOf(key: K): number {
    const known = this.known?.get(key) ?? this.search(key) ?? -1;
    return typeof known === 'number' ? known : this.slots.slotOf(known);
  }

  /** The record of a key's entry, or of other values the slot, as `known` has it. */
  private search(key: K): Live | number | undefined {
    const place = this.index.find(key);
    if (place < 0) return undefined;
    const slot = this.index.slotAt(place);
    const found = this.slots.make ? (this.valueOf.get(slot) as Live) : slot;
    this.known?.learn(key as string, found);
    return found;
  }

  /** @internal Fills a slot that was adopted. */
  place(slot: number, key: K, value: VI): void {
    this.index.find(key);
    this.keyOf.check(key);
    this.add(key, value, slot);
  }

  /** Of a key that was looked for just now, in vain. */
  private add(key: K, value: VI, slot = this.slots.take()): number {
    const {hash, probe} = this.index; // what the value is read from may look for others
    this.keyOf.store(this.slots.cell(slot), key);
    this.valueOf.init(slot, value);
    this.index.add(slot, hash, probe);
    return slot;
  }

  private removeAt(place: number): void {
    const slot = this.index.slotAt(place);
    this.keyOf.drop(this.slots.cell(slot));
    this.valueOf.drop(slot);
    this.slots.give(slot);
    this.index.remove(place);
  }
}

closeCollection(StoreMap.prototype);

/** Its entries in slots, an index of hashes beside them. */
export class MapType<K, KI, V, VI, VJ> extends CollectionType<StoreMap<K, V, KI, VI>> {
  override readonly kind = 'map';
  override readonly lasting = LASTING;
  override readonly size = (slotsHeadCells(true) + INDEX_HEAD_CELLS) * CELL;
  constructor(
    private readonly key: Type<K, KI, unknown>,
    private readonly of: Type<V, VI, VJ>,
  ) {
    super();
    if (!isKeyType(key))
      throw new StoreError('ERR_SCHEMA', 't.map: keys are t.string(), t.bytes() or integers.');
    assertValueType('t.map', of);
  }
  override describe(): TypeDescription {
    return {kind: 'map', size: this.size, of: [this.key.describe(), this.of.describe()]};
  }
  override build(builder: Builder, head: number): void {
    const stride = keyCells(this.key as AnyType) + valueCells(this.of as AnyType);
    buildSlots(builder, head, stride, FIRST_SLOTS, true, 't.map');
    buildIndex(builder, head + slotsHeadCells(true));
  }
  override open(engine: Engine, head: number, path: string): StoreMap<K, V, KI, VI> {
    return new StoreMap(engine, head, path, this.key, this.of);
  }
}
