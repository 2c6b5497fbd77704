import {randomInt} from 'node:crypto';
import type {Checker} from './check.js';
import {type Builder, CollectionType, type Slotted} from './collection.js';
import type {Engine} from './engine.js';
import {StoreError} from './errors.js';
import {isKeyType, type KeyCodec, keyCells, keyCodec} from './keys.js';
import {KnownKeys} from './known-keys.js';
import {CELL, INDIRECT, LOGGED} from './memory.js';
import {SlotValues, structOf, valueCells} from './slot-values.js';
import {buildSlots, LASTING, Slots, slotsHeadCells} from './slots.js';
import type {Live} from './struct.js';
import {type AnyType, Type, type TypeDescription} from './type.js';
import {StringType} from './variable.js';

/*
 * A hash map: entries in slots (key cells, then value cells), and an index of open addressing with linear probing.
 *
 *   head: that of the slots, then
 *     0  index u32 | mask u32      first cell of the index; its places - 1, a power of two less one
 *     1  filled u32 | secret u32   places that are not empty; what keys are hashed with, 0 until some of them collide
 *   index place, one cell: u32 hash | u32 slot + 1; 0 is empty, 2^32-1 is a place whose entry was deleted
 *
 * The hash in the place keeps most probes away from the entries. At most half of the places are filled.
 *
 * The hash without a secret is as quick as that of a JS Map, but who may choose the keys can choose ones that collide. Chance
 * makes a probe of more than 256 places once in 10^13 maps of 2^26 entries; who is found to have done so gets an index by a
 * hash with a secret drawn on the spot.
 */
const HEAD_CELLS = 2;
const DELETED = 2 ** 32 - 1;
const FIRST_SLOTS = 64;
const FIRST_PLACES = 128;
const LONGEST_PROBE = 256;

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
  private readonly extra: number; // word of the map's own head
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
    this.extra = (head + slotsHeadCells(true)) * 2;
    const [index, mask] = [engine.memory.u32[this.extra]!, engine.memory.u32[this.extra + 1]!];
    if (((mask + 1) & mask) !== 0 || mask < 1)
      engine.corrupt(path, `has an index of ${mask + 1} places, which is no power of two`);
    engine.assertInside(path, index, mask + 1);
    this.keyOf = keyCodec(key, engine, path);
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
    const place = this.find(key);
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
      const {u32} = this.engine.memory;
      const index = u32[this.extra]! * 2;
      for (let place = 0; place <= u32[this.extra + 1]!; place++) {
        const slot = u32[index + place * 2 + 1]!;
        if (slot !== 0 && slot !== DELETED) this.removeAt(place);
      }
    });
    this.known?.clear();
  }

  /** In the order of slots. The entry at hand may be deleted meanwhile. */
  *entries(): IterableIterator<[K, V]> {
    for (const slot of this.liveSlots())
      yield [this.keyOf.read(this.slots.cell(slot)), this.valueOf.get(slot)];
  }
  /** In the order of slots. */
  *keys(): IterableIterator<K> {
    for (const slot of this.liveSlots()) yield this.keyOf.read(this.slots.cell(slot));
  }
  /** In the order of slots. */
  *values(): IterableIterator<V> {
    for (const slot of this.liveSlots()) yield this.valueOf.get(slot);
  }
  /** The same as `entries`. */
  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.entries();
  }

  /** The entries as plain data. */
  toJSON(): [K, unknown][] {
    return [...this.liveSlots()].map(slot => [
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
    const {u32} = this.engine.memory;
    const [index, mask, filled] = [u32[this.extra]!, u32[this.extra + 1]!, u32[this.extra + 2]!];
    if (index > this.engine.heap.start && !checker.block(index, (mask + 1) * CELL, `${this.path}.index`))
      return;
    const seen = new Set<number>();
    let taken = 0;
    for (let place = 0; place <= mask; place++) {
      const slot = u32[(index + place) * 2 + 1]!;
      if (slot !== 0) taken++;
      if (slot === 0 || slot === DELETED) continue;
      if (!this.slots.isLive(slot - 1) || seen.has(slot))
        checker.problem(this.path, `its index names entry ${slot - 1}, which is not there or named twice`);
      else if (checker.attempt(() => this.find(this.keyAt(slot - 1))) !== place)
        checker.problem(this.path, `entry ${slot - 1} cannot be found by its key`);
      seen.add(slot);
    }
    if (taken !== filled) checker.problem(this.path, `${taken} places filled, its head says ${filled}`);
    if (seen.size !== this.slots.live)
      checker.problem(this.path, `${seen.size} entries in the index, ${this.slots.live} in the slots`);
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
    const place = this.find(this.keyAt(slot));
    if (place < 0 || this.slotAt(place) !== slot)
      this.engine.corrupt(this.path, `cannot find entry ${slot} by its key`);
    this.known?.clear();
    this.removeAt(place);
  }

  /**
   * @internal The index keeps the hash of each key. A key that could not have come to its place, while that hash could, is not the one
   * the entry was stored under. Of entries with the same key nobody can say which was meant.
   */
  misfits(sound: (slot: number) => boolean): [slot: number, reason: string][] {
    const {u32} = this.engine.memory;
    const [index, mask] = [u32[this.extra]!, u32[this.extra + 1]!];
    const found = new Map<number, string>();
    let right = 0;
    for (let place = 0; place <= mask; place++) {
      const slot = u32[(index + place) * 2 + 1]! - 1;
      if (!this.slots.isLive(slot) || !sound(slot)) continue;
      const [stored, hash] = [u32[(index + place) * 2]!, this.prepare(this.keyAt(slot))!];
      if (stored === hash) right++;
      else if (this.leads(stored, place) && !this.leads(hash, place))
        found.set(slot, 'its key is not the one it was stored under');
    }
    // Not all the keys, but the secret is another one: the index is made anew with it.
    if (right === 0 && found.size > 1) found.clear();
    const first = new Map<unknown, number>();
    for (const slot of this.liveSlots()) {
      if (!sound(slot) || found.has(slot)) continue;
      const key = this.keyAt(slot);
      const name = key instanceof Uint8Array ? Buffer.from(key).toString('latin1') : key;
      const other = first.get(name);
      if (other === undefined) first.set(name, slot);
      else
        for (const each of [other, slot])
          found.set(each, `has the key of entry ${each === slot ? other : slot}`);
    }
    return [...found];
  }

  /** True when probing for a hash comes to this place. */
  private leads(hash: number, place: number): boolean {
    const {u32} = this.engine.memory;
    const [index, mask] = [u32[this.extra]!, u32[this.extra + 1]!];
    for (let at = hash & mask; at !== place; at = (at + 1) & mask)
      if (u32[(index + at) * 2 + 1] === 0) return false;
    return true;
  }

  /** @internal */
  relink(): void {
    this.known?.clear();
    let places = FIRST_PLACES;
    while (this.slots.live * 4 > places) places *= 2;
    this.engine.transact(() => {
      const {memory, log, heap} = this.engine;
      const fresh = heap.alloc(places * CELL);
      memory.f64.fill(0, fresh, fresh + places);
      const {u32} = memory;
      let filled = 0;
      for (const slot of this.liveSlots()) {
        const hash = this.prepare(this.keyAt(slot))!;
        let place = hash & (places - 1);
        while (u32[(fresh + place) * 2 + 1] !== 0) place = (place + 1) & (places - 1);
        u32[(fresh + place) * 2] = hash;
        u32[(fresh + place) * 2 + 1] = slot + 1;
        filled++;
      }
      log.saveRange(this.extra >> 1, HEAD_CELLS);
      u32[this.extra] = fresh;
      u32[this.extra + 1] = places - 1;
      u32[this.extra + 2] = filled;
    });
  }

  private *liveSlots(): IterableIterator<number> {
    this.engine.assertOpen();
    for (let slot = 0; slot < this.slots.used; slot++) if (this.slots.isLive(slot)) yield slot;
  }

  private slotAt(place: number): number {
    const {u32} = this.engine.memory;
    return u32[(u32[this.extra]! + place) * 2 + 1]! - 1;
  }

  /** The slot of a key's entry, or -1. */
  private slotOf(key: K): number {
    const known = this.known?.get(key) ?? this.search(key) ?? -1;
    return typeof known === 'number' ? known : this.slots.slotOf(known);
  }

  /** The record of a key's entry, or of other values the slot, as `known` has it. */
  private search(key: K): Live | number | undefined {
    const place = this.find(key);
    if (place < 0) return undefined;
    const slot = this.slotAt(place);
    const found = this.slots.make ? (this.valueOf.get(slot) as Live) : slot;
    this.known?.learn(key as string, found);
    return found;
  }

  /** The place of a key, or -1 - the hash in mind for `add`. */
  private find(key: K): number {
    const {u32} = this.engine.memory;
    const {slots, keyOf} = this;
    const hash = this.prepare(key);
    if (u32.length === 0) this.engine.assertOpen();
    if (hash === undefined) return -1;
    this.hash = hash;
    const index = u32[this.extra]! * 2;
    const mask = u32[this.extra + 1]!;
    // Bounded: a reader may look at an index that is being replaced, and must come back to find out.
    for (let place = hash & mask, left = mask; left >= 0; place = (place + 1) & mask, left--) {
      const slot = u32[index + place * 2 + 1];
      if (slot === 0 || slot === undefined) {
        this.probe = mask - left;
        return -1;
      }
      if (u32[index + place * 2] === hash && slot !== DELETED && keyOf.matches(slots.cell(slot - 1)))
        return place;
    }
    return -1;
  }

  private prepare(key: K): number | undefined {
    return this.keyOf.prepare(key, this.engine.memory.u32[this.extra + 3]!);
  }

  /** Of the key that `find` looked for last, and the places it went over when there was none. */
  private hash = 0;
  private probe = 0;

  /** @internal Fills a slot that was adopted. */
  place(slot: number, key: K, value: VI): void {
    this.find(key);
    this.keyOf.check(key);
    this.add(key, value, slot);
  }

  private add(key: K, value: VI, slot = this.slots.take()): number {
    const {memory, log} = this.engine;
    let {hash} = this;
    const flooded = this.probe > LONGEST_PROBE;
    const cell = this.slots.cell(slot);
    this.keyOf.store(cell, key);
    this.valueOf.init(slot, value);
    if (flooded) {
      const secret = randomInt(1, 2 ** 32);
      this.rebuild(secret);
      hash = this.keyOf.hashAt(cell, secret);
    } else if ((memory.u32[this.extra + 2]! + 1) * 2 > memory.u32[this.extra + 1]!) this.rebuild();
    const {u32} = memory;
    const index = u32[this.extra]! * 2;
    const mask = u32[this.extra + 1]!;
    let place = hash & mask;
    while (u32[index + place * 2 + 1] !== 0) place = (place + 1) & mask;
    log.note((index >> 1) + place);
    log.note((this.extra >> 1) + 1);
    log.publish();
    u32[index + place * 2] = hash;
    u32[index + place * 2 + 1] = slot + 1;
    u32[this.extra + 2] = u32[this.extra + 2]! + 1;
    return slot;
  }

  private removeAt(place: number): void {
    const {memory, log} = this.engine;
    const {u32} = memory;
    const index = u32[this.extra]!;
    const slot = this.slotAt(place);
    const cell = this.slots.cell(slot);
    this.keyOf.drop(cell);
    this.valueOf.drop(slot);
    this.slots.give(slot);
    log.note(index + place);
    log.note((this.extra >> 1) + 1);
    log.publish();
    // Nobody probes on past this place when the next one is empty, so it may be empty too.
    const last = u32[(index + ((place + 1) & u32[this.extra + 1]!)) * 2 + 1] === 0;
    u32[(index + place) * 2 + 1] = last ? 0 : DELETED;
    if (last) u32[this.extra + 2] = u32[this.extra + 2]! - 1;
  }

  /** A fresh index without deleted places, twice as large if entries alone fill a quarter of it; by another secret if one is given. */
  private rebuild(secret?: number): void {
    const {memory, log, heap} = this.engine;
    const {u32} = memory;
    const [index, mask] = [u32[this.extra]!, u32[this.extra + 1]!];
    const places = this.slots.live * 4 > mask ? (mask + 1) * 2 : mask + 1;
    const fresh = heap.alloc(places * CELL);
    memory.f64.fill(0, fresh, fresh + places);
    let filled = 0;
    for (let from = 0; from <= mask; from++) {
      const slot = u32[(index + from) * 2 + 1]!;
      if (slot === 0 || slot === DELETED) continue;
      const hash =
        secret === undefined
          ? u32[(index + from) * 2]!
          : this.keyOf.hashAt(this.slots.cell(slot - 1), secret);
      let place = hash & (places - 1);
      while (u32[(fresh + place) * 2 + 1] !== 0) place = (place + 1) & (places - 1);
      u32[(fresh + place) * 2] = hash;
      u32[(fresh + place) * 2 + 1] = slot;
      filled++;
    }
    log.saveRange(this.extra >> 1, HEAD_CELLS);
    u32[this.extra] = fresh;
    u32[this.extra + 1] = places - 1;
    u32[this.extra + 2] = filled;
    if (secret !== undefined) u32[this.extra + 3] = secret;
    if (index > heap.start) heap.free(index);
  }
}

/** Its entries in slots, an index of hashes beside them. */
export class MapType<K, KI, V, VI, VJ> extends CollectionType<StoreMap<K, V, KI, VI>> {
  override readonly kind = 'map';
  override readonly lasting = LASTING;
  override readonly size = (slotsHeadCells(true) + HEAD_CELLS) * CELL;
  constructor(
    private readonly key: Type<K, KI, unknown>,
    private readonly of: Type<V, VI, VJ>,
  ) {
    super();
    if (!isKeyType(key))
      throw new StoreError('ERR_SCHEMA', 't.map: keys are t.string(), t.bytes() or integers.');
    if (!(of instanceof Type) || of instanceof CollectionType)
      throw new StoreError('ERR_SCHEMA', 't.map: values are of a type such as t.u32, or of a struct.');
  }
  override describe(): TypeDescription {
    return {kind: 'map', size: this.size, of: [this.key.describe(), this.of.describe()]};
  }
  override build(builder: Builder, head: number): void {
    const {u32} = builder.memory;
    const stride = keyCells(this.key as AnyType) + valueCells(this.of as AnyType);
    buildSlots(builder, head, stride, FIRST_SLOTS, true, 't.map');
    const extra = (head + slotsHeadCells(true)) * 2;
    u32[extra] = builder.reserve(FIRST_PLACES, 't.map', 64);
    u32[extra + 1] = FIRST_PLACES - 1;
  }
  override open(engine: Engine, head: number, path: string): StoreMap<K, V, KI, VI> {
    return new StoreMap(engine, head, path, this.key, this.of);
  }
}
