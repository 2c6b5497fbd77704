import {CollectionType, isSlotted, type Slotted} from '../collections/collection.js';
import {List} from '../collections/list.js';
import {StoreMap} from '../collections/map.js';
import {Ring} from '../collections/ring.js';
import {SLOT_SPACE, type Slots} from '../collections/slots.js';
import {SortedMap} from '../collections/sorted.js';
import {Table} from '../collections/table.js';
import {Vector} from '../collections/vector.js';
import {StoreError, show} from '../errors.js';
import type {Side} from '../repair/side.js';
import {generate} from '../schema/generate.js';
import type {Live} from '../schema/record.js';
import {Struct} from '../schema/struct.js';
import {type AnyType, Captures, type TypeDescription} from '../schema/type.js';
import {OWNER} from '../segment/engine.js';
import {CELL} from '../segment/memory.js';
import type {Gaps} from './gaps.js';
import type {Carrier, Convert, Pair, Plan} from './plan.js';

/**
 * Carries the content of a store over to another schema, as planned. Each value is there afterwards, equal to what it was,
 * or is one that the user gave up, or is left to `migrate`, or throws; then the caller throws the half-filled new store away.
 */
export class Migration implements Carrier {
  readonly trail: (string | number)[] = [];
  /** The structs that refs name: their records must be found under the same numbers. */
  private readonly referred = new Set<string>();
  /** The slots that were taken over, each in the same life: ids stay what they are, and refs lead to the same record. */
  private readonly adopted = new Map<Slots, Slots>();
  /** What became of the collections whose slots were not. */
  private readonly gone = new Map<Slots, string>();

  constructor(
    private readonly from: Side,
    private readonly to: Side,
    private readonly plan: Plan,
    /** What is left to `migrate`, if there is one. */
    private readonly gaps: Gaps | undefined,
  ) {
    this.refer(to.schema.describe());
    for (const [name, collection] of from.collections)
      if (isSlotted(collection)) this.gone.set(collection.slots, name);
  }

  private refer({kind, name, of, fields}: TypeDescription): void {
    if (kind === 'ref') this.referred.add(name!);
    for (const type of of ?? []) this.refer(type);
    for (const {type} of fields ?? []) this.refer(type);
  }

  run(): void {
    // Empty slots first: refs need somebody to point at.
    const fills = this.plan.pairs.map(pair =>
      pair.type instanceof CollectionType ? this.collection(pair) : () => this.scalar(pair),
    );
    for (const fill of fills) fill();
    for (const entry of this.from.ledger.entries()) this.to.transact(() => this.to.ledger.add(entry));
  }

  private scalar({key, old, value: convert}: Pair): void {
    const {root, schema} = this.to;
    const {offset} = schema.placed.find(({name}) => name === key)!;
    const value = this.converted(old, () => {
      this.trail.push(key);
      try {
        return convert!(this.from.root[old], this);
      } catch (error) {
        this.leave(error, 0, offset);
        return undefined;
      }
    });
    this.to.transact(() => {
      if (value !== undefined) root[key] = value;
    });
    this.settle(old, () => root);
  }

  private adopt({slots: source}: Slotted, {slots: target}: Slotted): void {
    for (let slot = 0; slot < source.used; slot++) target.adopt(slot, source.generation(slot));
    this.adopted.set(source, target);
  }

  /** Takes over the slots of a collection whose values have names; gives what fills it. */
  private collection({key, old, type, before, value, keys}: Pair): () => void {
    const [source, target] = [this.from.collections.get(old), this.to.collections.get(key)];
    if (value === undefined) {
      const held = source === undefined ? 1 : extentOf(source);
      if (held > 0)
        this.gaps?.expect(
          `${old} was a ${before.kind}, and there is nothing in ${key}.`,
          () => extentOf(target) > 0,
        );
      return () => {};
    }
    if (source instanceof Table && target instanceof Table) {
      const {length: capacity = Number.POSITIVE_INFINITY} = type.describe();
      if (source.slots.used > capacity)
        throw new StoreError(
          'ERR_FULL',
          `${old}: ${source.slots.used} of its slots were in use once, and what ids name stays for ever; a capacity of ${capacity} is too small. The store was left as it was.`,
        );
      this.adopt(source, target);
      return () => {
        for (const record of source as Iterable<Live & {$id: number; $index: number}>) {
          const {$id, $index} = record;
          this.put(
            `${old}, $id ${$id}`,
            value,
            record,
            to => target.fill($index, to as object),
            () => target.valueAt($index),
          );
        }
      };
    }
    if (source instanceof StoreMap || source instanceof SortedMap) {
      const map = target as StoreMap<unknown, unknown>;
      const named = map.valueType instanceof Struct && this.referred.has(map.valueType.name);
      if (named) this.adopt(source, map);
      return () => this.entries(old, source, map, {value, keys: keys!, named});
    }
    if (source instanceof List) {
      const list = target as List<unknown>;
      this.adopt(source, list);
      return () => {
        for (const [id, entry] of source.entries())
          this.put(
            `${old}, id ${id}`,
            value,
            entry,
            to => list.place(id % SLOT_SPACE, to),
            () => list.get(id),
          );
      };
    }
    if (source instanceof Ring) return () => this.places(old, source, target as Ring<unknown>, value);
    if (source instanceof Vector)
      return () => {
        let i = 0;
        // What is in a vector moves as it grows, so nothing in it can be left to be filled later.
        for (const entry of source)
          this.put(
            `${old}[${i++}]`,
            value,
            entry,
            to => void (target as Vector<unknown>).push(to),
            undefined,
          );
      };
    (source as Buffer).copy(target as Buffer);
    return () => {};
  }

  private entries(
    old: string,
    source: StoreMap<unknown, unknown> | SortedMap<unknown, unknown>,
    map: StoreMap<unknown, unknown>,
    {value, keys, named}: {value: Convert; keys: Convert; named: boolean},
  ): void {
    const {slots} = source;
    for (let slot = 0; slot < slots.used; slot++) {
      if (!slots.isLive(slot)) continue;
      const where = `${old}, key ${show(source.keyAt(slot))}`;
      const key = this.converted(where, () => keys(source.keyAt(slot), this));
      if (map.has(key))
        throw new StoreError(
          'ERR_VALUE',
          `${where}: two keys become ${show(key)}. ${refill(old)} The store was left as it was.`,
        );
      this.put(
        where,
        value,
        source.valueAt(slot),
        to => void (named ? map.place(slot, key, to) : map.set(key, to)),
        () => map.get(key),
      );
    }
  }

  private places(old: string, source: Ring<unknown>, target: Ring<unknown>, value: Convert): void {
    target.countFrom(source.pushed - Math.min(source.length, target.capacity));
    for (let i = Math.max(source.length - target.capacity, 0); i < source.length; i++)
      this.put(
        `${old}[${i}]`,
        value,
        source.at(i),
        to => target.push(to),
        () => target.at(-1),
      );
  }

  /** One value into its place. `live` gives it back as a record, where parts of it may be left to `migrate`. */
  private put(
    where: string,
    convert: Convert,
    value: unknown,
    store: (value: unknown) => void,
    live: (() => unknown) | undefined,
  ): void {
    const to = this.converted(where, () => convert(value, this), live !== undefined);
    this.to.transact(() => store(to));
    if (live) this.settle(where, live);
  }

  /** Whether a field may be left to `migrate`, and whether one was what failed. */
  private patient = true;
  private inField = false;
  private readonly left: {trail: (string | number)[]; offset: number; why: string}[] = [];

  private converted<T>(where: string, convert: () => T, patient = true): T {
    this.trail.length = 0;
    this.inField = false;
    this.patient = patient;
    try {
      return convert();
    } catch (error) {
      if (!isUnfit(error)) throw error;
      const advice =
        this.inField && patient ? 'Pass migrate to openStore to fill it.' : refill(/^\w+/.exec(where)![0]);
      throw new StoreError(
        'ERR_VALUE',
        `${where}: ${error.message} ${advice} The store was left as it was.`,
        {
          cause: error,
        },
      );
    }
  }

  leave(error: unknown, depth: number, offset: number): void {
    this.inField = true;
    if (!this.patient || !this.gaps || !isUnfit(error)) throw error;
    const at = depth === 0 ? '' : `${this.trail.slice(0, depth + 1).join('.')}: `;
    this.left.push({trail: this.trail.slice(0, depth), offset, why: at + error.message});
  }

  /** Where that is which was left of the record just written. */
  private settle(where: string, live: () => unknown): void {
    for (const {trail, offset, why} of this.left.splice(0)) {
      let holder = live();
      for (const step of trail)
        holder =
          typeof step === 'number'
            ? (holder as {at(i: number): unknown}).at(step)
            : (holder as Record<string, unknown>)[step];
      this.gaps!.leave((holder as Live).$c * CELL + offset, `${where}: ${why}`);
    }
  }

  ref(value: unknown, path: string): unknown {
    if (value === null) return null;
    const source = (value as Record<symbol, Slots>)[OWNER]!;
    const target = this.adopted.get(source);
    if (target) return target.record(source.slotOf(value as Live), (value as Live).$n) ?? null;
    const name = this.gone.get(source)!;
    if (this.plan.gives(name)) return null;
    throw new StoreError(
      'ERR_VALUE',
      `${path}: it names a record of '${name}', which none takes the place of.`,
    );
  }

  checkOf(type: AnyType, path: string): (value: unknown) => void {
    const captures = new Captures(this.to.engine);
    const {check} = type.access(0, path, captures);
    return generate(captures, `return v=>{${check}};`);
  }
}

const isUnfit = (error: unknown): error is StoreError =>
  error instanceof StoreError && error.code === 'ERR_VALUE';

const refill = (name: string) => `Name '${name}' in drop to give it up, and fill it in migrate.`;

/** How much there is in a collection. */
function extentOf(collection: unknown): number {
  if (collection instanceof Vector || collection instanceof Ring) return collection.length;
  if (collection instanceof Uint8Array) return collection.some(byte => byte !== 0) ? 1 : 0;
  return (collection as {size: number}).size;
}
