import {inspect} from 'node:util';
import {StoreError} from '../errors.js';
import {type Access, type AnyType, type Captures, strangeness, Type} from '../schema/type.js';
import type {Builder} from '../segment/builder.js';
import type {Checker} from '../segment/check.js';
import type {Engine} from '../segment/engine.js';
import type {Slots} from './slots.js';

/** What every collection can do besides its own trade. */
export interface Collection {
  toJSON(): unknown;
  /** @internal */
  verify(checker: Checker): void;
}

/** A collection whose values lie in slots, each of which can be set aside alone. */
export interface Slotted extends Collection {
  readonly slots: Slots;
  readonly valueType: AnyType;
  /** The value of a slot, live if it is a struct. */
  valueAt(slot: number): unknown;
  /** The key of a slot, in collections that have keys. */
  keyAt?(slot: number): unknown;
  /** Ends the life of a sound slot and gives back what it owned. Part of a transaction. */
  removeSlot(slot: number): void;
  /** Part of check(): a live slot alone, its key and its value. */
  verifySlot(checker: Checker, slot: number): void;
  /** Part of check(): what holds the slots together: an index, a chain, lanes. */
  verifyOrder(checker: Checker): void;
  /** Slots that cannot stay when the order is made anew, and why. `sound` says whose key can be read. */
  misfits(sound: (slot: number) => boolean): [slot: number, reason: string][];
  /** Makes the order anew from the live slots alone, in bounded transactions; what the old one owned is left to nobody. */
  relink(): void;
}

/** A collection whose values lie in a row of places. */
export interface Rowed extends Collection {
  readonly engine: Engine;
  readonly path: string;
  readonly type: AnyType;
  /** Its first cell in the root record. */
  readonly head: number;
  readonly headCells: number;
  /** Places that hold a value. */
  readonly filled: number;
  /** Part of check(): false when its places cannot be looked at. */
  verifyHead(checker: Checker): boolean;
  /** Part of check(): the value in one place. */
  verifyPlace(checker: Checker, place: number): void;
  valueIn(place: number): unknown;
  /** The cells that hold the value in a place, and its bytes in them. */
  where(place: number): {cell: number; cells: number; byte: number};
  /** Handles to values here are stale from now on. Part of a transaction. */
  expire(place: number): void;
  /** Gives up all values without dropping what they name. Part of a transaction. */
  forsake(): void;
}

export function isRowed(collection: unknown): collection is Rowed {
  return (collection as Partial<Rowed>).verifyPlace !== undefined;
}

export function isSlotted(collection: unknown): collection is Slotted {
  return (collection as Partial<Slotted>).removeSlot !== undefined;
}

/** Has console.log show what is in collections of this class; by itself it would show the engine. */
export function printable(collection: object): void {
  const prototype = Object.getPrototypeOf(collection) as object;
  if (inspect.custom in prototype) return;
  Object.defineProperty(prototype, inspect.custom, {
    value(this: Collection & {readonly engine: Engine}) {
      return this.engine.closed ? `${this.constructor.name} (closed)` : this.toJSON();
    },
  });
}

/**
 * V8 gives an object as many places of its own as its constructor seems to fill; what comes beyond lies elsewhere, and a map
 * that has its parts there takes a tenth longer to write.
 */
const Roomy = function (this: Record<string, unknown>, fill: boolean) {
  if (!fill) return;
  this['a'] = this['b'] = this['c'] = this['d'] = this['e'] = this['f'] = this['g'] = this['h'] = 0;
  this['i'] = this['j'] = this['k'] = this['l'] = this['m'] = this['n'] = this['o'] = this['p'] = 0;
} as unknown as (new (fill: boolean) => object) & {prototype: object};

/**
 * The same collection, in which no loop over properties finds the engine and the rest of what it is made of. They are defined
 * afresh because V8 makes a dictionary of an object whose properties change their attributes. What copies or compares
 * the properties of an object comes upon the one that is left, and says what to do instead.
 */
export function unlisted<C extends object>(made: C): C {
  Roomy.prototype = Object.getPrototypeOf(made);
  const collection = new Roomy(false) as C;
  for (const name of Reflect.ownKeys(made))
    Object.defineProperty(collection, name, {value: made[name as keyof C], writable: true});
  return Object.defineProperty(collection, 'toJSON()', {
    enumerable: true,
    get() {
      throw new StoreError(
        'ERR_VALUE',
        `a ${made.constructor.name} has no properties to copy or compare: toJSON() gives what is in it as plain data.`,
      );
    },
  });
}

/** A type that stands only at the root: its fixed-size head lies in the root record, the rest anywhere. */
export abstract class CollectionType<V> extends Type<V, never, unknown> {
  override readonly align = 8;
  override readonly single = false;
  abstract build(builder: Builder, head: number): void;
  /** The words of its head that stay what `build` makes them. */
  abstract readonly lasting: readonly number[];
  abstract open(engine: Engine, head: number, path: string): V;
  override plain(value: V): unknown {
    return (value as Collection).toJSON();
  }
  override access(byte: number, path: string, captures: Captures): Access {
    const opened = captures.engine.opened.get(byte / 8)!;
    const cannot = (): never => captures.engine.unassignable(path);
    return {get: captures.add(opened), check: `${captures.add(cannot)}();`, set: ''};
  }
}

/** @throws StoreError ERR_SCHEMA: what a collection is to hold is no type, or is a collection itself */
export function assertValueType(collection: string, of: unknown): void {
  if (of instanceof Type && !(of instanceof CollectionType)) return;
  throw new StoreError(
    'ERR_SCHEMA',
    `${collection}: values are of a type such as t.u32, or of a struct${strangeness(of)}.`,
  );
}
