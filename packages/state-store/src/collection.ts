import {inspect} from 'node:util';
import type {Checker} from './check.js';
import type {Engine} from './engine.js';
import type {Memory} from './memory.js';
import {type Access, type Captures, Type} from './type.js';

/** Hands out cells of a segment that is being built; nothing is logged, for nothing can be seen yet. */
export interface Builder {
  readonly memory: Memory;
  /** First of `cells` fresh, zeroed cells; `align` in bytes. */
  reserve(cells: number, what: string, align?: number): number;
  /** A number of its own for each collection, 1 to 63, by which refs name it. */
  nextNumber(): number;
}

/** What every collection can do besides its own trade. */
export interface Collection {
  toJSON(): unknown;
  /** @internal */
  verify(checker: Checker): void;
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

/** A type that stands only at the root: its fixed-size head lies in the root record, the rest anywhere. */
export abstract class CollectionType<V> extends Type<V, never, unknown> {
  override readonly align = 8;
  override readonly single = false;
  abstract build(builder: Builder, head: number): void;
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
