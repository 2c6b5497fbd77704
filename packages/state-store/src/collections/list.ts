import {StoreError, show} from '../errors.js';
import {closeCollection} from '../schema/closed.js';
import type {Type, TypeDescription} from '../schema/type.js';
import type {Builder} from '../segment/builder.js';
import type {Checker} from '../segment/check.js';
import type {Engine} from '../segment/engine.js';
import {CELL} from '../segment/memory.js';
import {assertValueType, CollectionType, type Slotted} from './collection.js';
import {SlotValues, structOf, valueCells} from './slot-values.js';
import {buildSlots, LASTING, Slots, slotsHeadCells} from './slots.js';

/*
 * A doubly linked list: nodes in slots, so that a value keeps its id wherever its neighbours go.
 *
 *   head: that of the slots, then one cell: first u32 | last u32     slots + 1, or 0
 *   node: prev u32 | next u32, then the value's cells
 */
const FIRST_SLOTS = 16;

/**
 * Values in an order of your own, as a doubly linked list. Each has an id that stays, wherever its neighbours go.
 *
 * @typeParam I - what values are written as
 * @example
 * const id = store.root.queue.push('job 1');
 * store.root.queue.insertBefore(id, 'urgent');
 * store.root.queue.shift(); // 'urgent'
 */
export class List<V, I = V> implements Slotted {
  /** @internal */
  readonly slots: Slots;
  private readonly valueOf: SlotValues<V, I>;
  private readonly ends: number; // word
  constructor(
    private readonly engine: Engine,
    head: number,
    private readonly path: string,
    /** @internal */
    readonly valueType: Type<V, I, unknown>,
  ) {
    this.slots = new Slots(engine, head, path, structOf(valueType), 1, 1 + valueCells(valueType));
    this.valueOf = new SlotValues(this.slots, valueType, 1);
    this.ends = (head + slotsHeadCells(true)) * 2;
  }

  /** Number of values. */
  get size(): number {
    this.engine.assertOpen();
    return this.slots.live;
  }

  /** The value with this id, or undefined when it was removed. */
  get(id: number): V | undefined {
    this.engine.assertOpen();
    const slot = this.slots.slotOfId(id);
    return slot < 0 ? undefined : this.valueOf.get(slot);
  }

  /** The first value, or undefined. */
  get first(): V | undefined {
    return this.endValue(0);
  }
  /** The last value, or undefined. */
  get last(): V | undefined {
    return this.endValue(1);
  }

  /**
   * Adds at the end; returns the id by which the value can be found and removed.
   *
   * @throws StoreError ERR_VALUE: the value does not fit; ERR_FULL: the store has no room
   */
  push(value: I): number {
    return this.engine.transact(() => this.insert(this.end(1), 0, value));
  }
  /**
   * Adds at the beginning; returns the id.
   *
   * @throws StoreError ERR_VALUE, ERR_FULL: as `push`
   */
  unshift(value: I): number {
    return this.engine.transact(() => this.insert(0, this.end(0), value));
  }
  /**
   * Adds behind the value with this id; returns the id of the new one.
   *
   * @throws StoreError ERR_STALE: the value with this id was removed; ERR_VALUE, ERR_FULL: as `push`
   */
  insertAfter(id: number, value: I): number {
    return this.engine.transact(() => {
      const node = this.known(id) + 1;
      return this.insert(node, this.links(node - 1)[1], value);
    });
  }
  /**
   * Adds before the value with this id; returns the id of the new one.
   *
   * @throws StoreError ERR_STALE: the value with this id was removed; ERR_VALUE, ERR_FULL: as `push`
   */
  insertBefore(id: number, value: I): number {
    return this.engine.transact(() => {
      const node = this.known(id) + 1;
      return this.insert(this.links(node - 1)[0], node, value);
    });
  }

  /** Takes the last value off, undefined when there is none; a struct comes as a plain object. */
  pop(): V | undefined {
    return this.engine.transact(() => this.take(this.end(1)));
  }
  /** Takes the first value off, undefined when there is none; a struct comes as a plain object. */
  shift(): V | undefined {
    return this.engine.transact(() => this.take(this.end(0)));
  }

  /** Removes the value with this id. False when it was gone already. */
  remove(id: number): boolean {
    return this.engine.transact(() => {
      const slot = this.slots.slotOfId(id);
      if (slot >= 0) this.unlink(slot);
      return slot >= 0;
    });
  }

  /** Ids and values, first to last. Values may come and go meanwhile. */
  *entries(): IterableIterator<[number, V]> {
    const {slots} = this;
    for (let node = this.end(0), steps = 0; node !== 0; ) {
      // More steps than slots are a circle, unless nodes come and go meanwhile.
      if (++steps > slots.used) this.engine.corrupt(this.path, 'runs in a circle');
      const {changes} = slots;
      const next = this.links(node - 1)[1];
      const [life, nextLife] = [slots.generation(node - 1), next === 0 ? 0 : slots.generation(next - 1)];
      yield [slots.idOf(node - 1, life), this.valueOf.get(node - 1)];
      this.engine.assertOpen();
      if (slots.changes !== changes) steps = 0;
      if (next === 0 || slots.generation(next - 1) === nextLife) node = next;
      else node = this.liveFrom(slots.generation(node - 1) === life ? node : next);
    }
  }

  /** The first live node behind this one. The link of a node that was removed still leads to what came after it. */
  private liveFrom(node: number): number {
    let next = this.links(node - 1)[1];
    for (let steps = 0; next !== 0 && !this.slots.isLive(next - 1); next = this.links(next - 1)[1])
      if (++steps > this.slots.used) return 0;
    return next;
  }

  /** First to last. Values may come and go meanwhile. */
  *[Symbol.iterator](): IterableIterator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  /** The values as plain data, without their ids. */
  toJSON(): unknown[] {
    return [...this].map(v => this.valueType.plain(v));
  }

  /** @internal */
  verify(checker: Checker): void {
    this.slots.verify(checker, (_cell, slot) => this.verifySlot(checker, slot));
    this.verifyOrder(checker);
  }

  /** @internal */
  verifySlot(checker: Checker, slot: number): void {
    this.valueType.verify(checker, this.slots.cell(slot) + 1, 0, `${this.path}[node ${slot}]`);
  }

  /** @internal */
  verifyOrder(checker: Checker): void {
    let count = 0;
    let previous = 0;
    for (let node = this.end(0); node !== 0; ) {
      if (!this.slots.isLive(node - 1) || ++count > this.slots.used) {
        checker.problem(
          this.path,
          `its chain names node ${node - 1}, which is not there, or runs in a circle`,
        );
        return;
      }
      const [prev, next] = this.links(node - 1);
      if (prev !== previous)
        checker.problem(this.path, `node ${node - 1} says ${prev - 1} comes before it, not ${previous - 1}`);
      previous = node;
      node = next;
    }
    if (previous !== this.end(1))
      checker.problem(this.path, `its last node is ${previous - 1}, its head says ${this.end(1) - 1}`);
    if (count !== this.slots.live)
      checker.problem(this.path, `${count} nodes in its chain, ${this.slots.live} in its slots`);
  }

  /** @internal */
  valueAt(slot: number): V {
    return this.valueOf.get(slot);
  }
  /** @internal */
  removeSlot(slot: number): void {
    this.unlink(slot);
  }

  /** @internal */
  misfits(): [] {
    return [];
  }

  /** @internal As far as the chain is whole from its first node, then from its last one back; what hangs on neither comes last. */
  relink(): void {
    const {slots, engine} = this;
    const seen = new Set<number>();
    const follow = (from: number, which: 0 | 1): number[] => {
      const nodes: number[] = [];
      for (let node = from; slots.isLive(node - 1) && !seen.has(node); node = this.links(node - 1)[which]) {
        seen.add(node);
        nodes.push(node);
      }
      return nodes;
    };
    const order = [...follow(this.end(0), 1), ...follow(this.end(1), 0).reverse()];
    for (let slot = 0; slot < slots.used; slot++)
      if (slots.isLive(slot) && !seen.has(slot + 1)) order.push(slot + 1);
    const {u32} = engine.memory;
    const write = (word: number, a: number, b: number) => {
      if (u32[word] === a && u32[word + 1] === b) return;
      engine.log.save(word >> 1);
      u32[word] = a;
      u32[word + 1] = b;
    };
    engine.inSteps(order, 1, (node, i) =>
      write(slots.cell(node - 1) * 2, order[i - 1] ?? 0, order[i + 1] ?? 0),
    );
    engine.transact(() => write(this.ends, order[0] ?? 0, order.at(-1) ?? 0));
  }

  private end(which: 0 | 1): number {
    this.engine.assertOpen();
    return this.engine.memory.u32[this.ends + which]!;
  }

  private endValue(which: 0 | 1): V | undefined {
    const node = this.end(which);
    return node === 0 ? undefined : this.valueOf.get(node - 1);
  }

  private links(slot: number): [number, number] {
    const word = this.slots.cell(slot) * 2;
    const {u32} = this.engine.memory;
    return [u32[word]!, u32[word + 1]!];
  }

  private known(id: number): number {
    this.engine.assertOpen();
    const slot = this.slots.slotOfId(id);
    if (slot < 0)
      throw new StoreError('ERR_STALE', `${this.path}: there is no value with id ${show(id)} any more.`);
    return slot;
  }

  /** @internal Fills a slot that was adopted, as the last one. */
  place(slot: number, value: I): void {
    this.insert(this.end(1), 0, value, slot);
  }

  private insert(prev: number, next: number, value: I, slot = this.slots.take()): number {
    this.slots.outlive(slot);
    this.valueOf.init(slot, value);
    const {u32} = this.engine.memory;
    const word = this.slots.cell(slot) * 2;
    u32[word] = prev;
    u32[word + 1] = next;
    this.point(prev, 1, slot + 1);
    this.point(next, 0, slot + 1);
    return this.slots.idOf(slot, this.slots.generation(slot));
  }

  private unlink(slot: number): void {
    const [prev, next] = this.links(slot);
    this.point(prev, 1, next);
    this.point(next, 0, prev);
    this.valueOf.drop(slot);
    this.slots.give(slot);
  }

  /** Sets one link of a node; of node 0, the corresponding end: what follows nothing is first. */
  private point(node: number, which: 0 | 1, to: number): void {
    const word = node === 0 ? this.ends + 1 - which : this.slots.cell(node - 1) * 2 + which;
    this.engine.log.save(word >> 1);
    this.engine.memory.u32[word] = to;
  }

  private take(node: number): V | undefined {
    if (node === 0) return undefined;
    const taken = this.valueType.detach(this.valueOf.get(node - 1)) as V;
    this.unlink(node - 1);
    return taken;
  }
}

closeCollection(List.prototype);

/** Its nodes in slots, its ends in the root record. */
export class ListType<V, I, J> extends CollectionType<List<V, I>> {
  override readonly kind = 'list';
  override readonly lasting = LASTING;
  override readonly size = (slotsHeadCells(true) + 1) * CELL;
  constructor(private readonly of: Type<V, I, J>) {
    super();
    assertValueType('t.list', of);
  }
  override describe(): TypeDescription {
    return {kind: 'list', size: this.size, of: [this.of.describe()]};
  }
  override build(builder: Builder, head: number): void {
    buildSlots(builder, head, 1 + valueCells(this.of), FIRST_SLOTS, true, 't.list');
  }
  override open(engine: Engine, head: number, path: string): List<V, I> {
    return new List(engine, head, path, this.of);
  }
}
