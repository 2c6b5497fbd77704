import {randomInt} from 'node:crypto';
import {types} from 'node:util';
import type {Builder} from '../segment/builder.js';
import type {Checker} from '../segment/check.js';
import type {Engine} from '../segment/engine.js';
import {CELL} from '../segment/memory.js';
import type {KeyCodec} from './keys.js';
import type {Slots} from './slots.js';

/*
 * By which the entries of a hash map are found: open addressing with linear probing.
 *
 *   head
 *     0  index u32 | mask u32      first cell of the index; its places - 1, a power of two less one
 *     1  filled u32 | secret u32   places that are not empty; what keys are hashed with, 0 until some of them collide
 *   place, one cell: u32 hash | u32 slot + 1; 0 is empty, 2^32-1 is a place whose entry was deleted
 *
 * The hash in the place keeps most probes away from the entries. At most half of the places are filled.
 *
 * The hash without a secret is as quick as that of a JS Map, but who may choose the keys can choose ones that collide. Chance
 * makes a probe of more than 256 places once in 10^13 maps of 2^26 entries; who is found to have done so gets an index by a
 * hash with a secret drawn on the spot. docs/decisions/colliding-keys.md has the reasons.
 */
export const INDEX_HEAD_CELLS = 2;
const DELETED = 2 ** 32 - 1;
const FIRST_PLACES = 128;
const LONGEST_PROBE = 256;

export function buildIndex(builder: Builder, head: number): void {
  const {u32} = builder.memory;
  u32[head * 2] = builder.reserve(FIRST_PLACES, 't.map', 64);
  u32[head * 2 + 1] = FIRST_PLACES - 1;
}

export class HashIndex<K> {
  private readonly word: number; // of the head
  constructor(
    private readonly engine: Engine,
    head: number, // cell
    private readonly path: string,
    private readonly slots: Slots,
    private readonly keyOf: KeyCodec<K>,
  ) {
    this.word = head * 2;
    const [index, mask] = [engine.memory.u32[this.word]!, engine.memory.u32[this.word + 1]!];
    if (((mask + 1) & mask) !== 0 || mask < 1)
      engine.corrupt(path, `has an index of ${mask + 1} places, which is no power of two`);
    engine.assertInside(path, index, mask + 1);
  }

  /** Of the key that was looked for last: its hash, and the places gone over when there was none. */
  hash = 0;
  probe = 0;

  /** The place of a key, or -1. */
  find(key: K): number {
    const {u32} = this.engine.memory;
    const {slots, keyOf} = this;
    const hash = this.prepare(key);
    if (u32.length === 0) this.engine.assertOpen();
    if (hash === undefined) return -1;
    this.hash = hash;
    const index = u32[this.word]! * 2;
    const mask = u32[this.word + 1]!;
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

  /** The slot of the entry at a place. */
  slotAt(place: number): number {
    const {u32} = this.engine.memory;
    return u32[(u32[this.word]! + place) * 2 + 1]! - 1;
  }

  /** The places that have an entry. They may be given up meanwhile. */
  *places(): IterableIterator<number> {
    const {u32} = this.engine.memory;
    const index = u32[this.word]! * 2;
    for (let place = 0; place <= u32[this.word + 1]!; place++) {
      const slot = u32[index + place * 2 + 1]!;
      if (slot !== 0 && slot !== DELETED) yield place;
    }
  }

  /** Adds a slot that has its key, which `find` went over `probe` places for and did not find. */
  add(slot: number, hash: number, probe: number): void {
    const {memory, log} = this.engine;
    if (probe > LONGEST_PROBE) {
      const secret = randomInt(1, 2 ** 32);
      this.rebuild(secret);
      hash = this.keyOf.hashAt(this.slots.cell(slot), secret);
    } else if ((memory.u32[this.word + 2]! + 1) * 2 > memory.u32[this.word + 1]!) this.rebuild();
    const {u32} = memory;
    const index = u32[this.word]! * 2;
    const mask = u32[this.word + 1]!;
    let place = hash & mask;
    for (let left = mask; u32[index + place * 2 + 1] !== 0; left--) {
      if (left === 0) this.engine.corrupt(this.path, 'has an index without an empty place');
      place = (place + 1) & mask;
    }
    log.note((index >> 1) + place);
    log.note((this.word >> 1) + 1);
    log.publish();
    u32[index + place * 2] = hash;
    u32[index + place * 2 + 1] = slot + 1;
    u32[this.word + 2] = u32[this.word + 2]! + 1;
  }

  /** Gives up a place. */
  remove(place: number): void {
    const {memory, log} = this.engine;
    const {u32} = memory;
    const index = u32[this.word]!;
    log.note(index + place);
    log.note((this.word >> 1) + 1);
    log.publish();
    // Nobody probes on past this place when the next one is empty, so it may be empty too.
    const last = u32[(index + ((place + 1) & u32[this.word + 1]!)) * 2 + 1] === 0;
    u32[(index + place) * 2 + 1] = last ? 0 : DELETED;
    if (last) u32[this.word + 2] = u32[this.word + 2]! - 1;
  }

  /** Makes the index anew from the keys alone. */
  remake(): void {
    let places = FIRST_PLACES;
    while (this.slots.live * 4 > places) places *= 2;
    this.engine.transact(() => {
      const fresh = this.room(places);
      let filled = 0;
      for (const slot of this.slots.liveSlots()) {
        this.enter(fresh, places, this.prepare(this.keyAt(slot))!, slot + 1);
        filled++;
      }
      this.replace(fresh, places, filled);
    });
  }

  verify(checker: Checker): void {
    const {u32} = this.engine.memory;
    const [index, mask, filled] = [u32[this.word]!, u32[this.word + 1]!, u32[this.word + 2]!];
    if (index > this.engine.heap.start && !checker.block(index, (mask + 1) * CELL, `${this.path}.index`))
      return;
    const seen = new Set<number>();
    const budget = this.budget();
    let taken = 0;
    for (let place = 0; place <= mask; place++) {
      const slot = u32[(index + place) * 2 + 1]!;
      if (slot !== 0) taken++;
      if (slot === 0 || slot === DELETED) continue;
      if (!this.slots.isLive(slot - 1) || seen.has(slot))
        checker.problem(this.path, `its index names entry ${slot - 1}, which is not there or named twice`);
      else if (checker.attempt(() => this.finds(slot - 1, place, budget)) !== true)
        checker.problem(this.path, `entry ${slot - 1} cannot be found by its key`);
      seen.add(slot);
    }
    if (taken !== filled) checker.problem(this.path, `${taken} places filled, its head says ${filled}`);
    if (seen.size !== this.slots.live)
      checker.problem(this.path, `${seen.size} entries in the index, ${this.slots.live} in the slots`);
  }

  /**
   * The index keeps the hash of each key. A key that could not have come to its place, while that hash could, is not the one
   * the entry was stored under. Of entries with the same key nobody can say which was meant.
   */
  misfits(sound: (slot: number) => boolean): [slot: number, reason: string][] {
    const {u32} = this.engine.memory;
    const index = u32[this.word]!;
    const found = new Map<number, string>();
    const budget = this.budget();
    let right = 0;
    for (const place of this.places()) {
      const slot = this.slotAt(place);
      if (!this.slots.isLive(slot) || !sound(slot)) continue;
      const [stored, hash] = [u32[(index + place) * 2]!, this.prepare(this.keyAt(slot))!];
      if (stored === hash) right++;
      else if (this.leads(stored, place, budget) && this.leads(hash, place, budget) === false)
        found.set(slot, 'its key is not the one it was stored under');
    }
    // Not all the keys, but the secret is another one: the index is made anew with it.
    if (right === 0 && found.size > 1) found.clear();
    const first = new Map<unknown, number>();
    for (const slot of this.slots.liveSlots()) {
      if (!sound(slot) || found.has(slot)) continue;
      const key = this.keyAt(slot);
      const name = types.isUint8Array(key) ? Buffer.from(key).toString('latin1') : key;
      const other = first.get(name);
      if (other === undefined) first.set(name, slot);
      else
        for (const each of [other, slot])
          found.set(each, `has the key of entry ${each === slot ? other : slot}`);
    }
    return [...found];
  }

  private keyAt(slot: number): K {
    return this.keyOf.read(this.slots.cell(slot));
  }

  private prepare(key: K): number | undefined {
    return this.keyOf.prepare(key, this.engine.memory.u32[this.word + 3]!);
  }

  /** Steps that looking at all entries may take: more than a sound index can need, half full as it is, and no number of them squared. */
  private budget(): {steps: number} {
    return {steps: (this.engine.memory.u32[this.word + 1]! + 1) * LONGEST_PROBE};
  }

  /** Whether probing for a hash comes to this place; undefined: it took too long to tell. */
  private leads(hash: number, place: number, budget: {steps: number}): boolean | undefined {
    const {u32} = this.engine.memory;
    const [index, mask] = [u32[this.word]!, u32[this.word + 1]!];
    for (let at = hash & mask; at !== place; at = (at + 1) & mask) {
      if (u32[(index + at) * 2 + 1] === 0) return false;
      if (--budget.steps < 0) return undefined;
    }
    return true;
  }

  /** Whether the key of an entry is found at this place, and not before it. */
  private finds(slot: number, place: number, budget: {steps: number}): boolean | undefined {
    const {u32} = this.engine.memory;
    const [index, mask] = [u32[this.word]!, u32[this.word + 1]!];
    const hash = this.prepare(this.keyAt(slot))!;
    if (u32[(index + place) * 2] !== hash) return false;
    for (let at = hash & mask; at !== place; at = (at + 1) & mask) {
      const other = u32[(index + at) * 2 + 1]!;
      if (other === 0) return false;
      if (--budget.steps < 0) return undefined;
      if (u32[(index + at) * 2] !== hash || other === DELETED) continue;
      if (this.keyOf.matches(this.slots.cell(other - 1))) return false;
    }
    return true;
  }

  /** A fresh index without deleted places, twice as large if entries alone fill a quarter of it; by another secret if one is given. */
  private rebuild(secret?: number): void {
    const {u32} = this.engine.memory;
    const [index, mask] = [u32[this.word]!, u32[this.word + 1]!];
    const places = this.slots.live * 4 > mask ? (mask + 1) * 2 : mask + 1;
    const fresh = this.room(places);
    let filled = 0;
    for (let from = 0; from <= mask; from++) {
      const entry = u32[(index + from) * 2 + 1]!;
      if (entry === 0 || entry === DELETED) continue;
      const hash =
        secret === undefined
          ? u32[(index + from) * 2]!
          : this.keyOf.hashAt(this.slots.cell(entry - 1), secret);
      this.enter(fresh, places, hash, entry);
      filled++;
    }
    this.replace(fresh, places, filled, secret);
    if (index > this.engine.heap.start) this.engine.heap.free(index);
  }

  /** The first of so many empty cells, which are nobody's until `replace`. */
  private room(places: number): number {
    const {memory, heap} = this.engine;
    const fresh = heap.alloc(places * CELL);
    memory.f64.fill(0, fresh, fresh + places);
    return fresh;
  }

  private enter(fresh: number, places: number, hash: number, entry: number): void {
    const {u32} = this.engine.memory;
    let place = hash & (places - 1);
    while (u32[(fresh + place) * 2 + 1] !== 0) place = (place + 1) & (places - 1);
    u32[(fresh + place) * 2] = hash;
    u32[(fresh + place) * 2 + 1] = entry;
  }

  private replace(fresh: number, places: number, filled: number, secret?: number): void {
    const {memory, log} = this.engine;
    const {u32} = memory;
    log.saveRange(this.word >> 1, INDEX_HEAD_CELLS);
    u32[this.word] = fresh;
    u32[this.word + 1] = places - 1;
    u32[this.word + 2] = filled;
    if (secret !== undefined) u32[this.word + 3] = secret;
  }
}
