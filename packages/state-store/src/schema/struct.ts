import {StoreError} from '../errors.js';
import type {Checker} from '../segment/check.js';
import {CELL} from '../segment/memory.js';
import {FIELD, type Fields, type InitOf, layOut, type Placed, type PlainOf, type RecordOf} from './record.js';
import {admit, compile} from './record-class.js';
import {type Access, type Captures, refuse, seenFrom, Type, type TypeDescription} from './type.js';

/** Of `struct`. */
export interface StructOptions<F extends Fields> {
  /**
   * An invariant of each record: throws to refuse it. Run over all records in tables, maps, lists and sorted maps when the
   * store is opened for writing; one that is refused is set aside, see store.quarantine(). It may look, not write.
   */
  validate?(record: RecordOf<F>): void;
}

/** What `struct` makes: a type of records, laid out as a C struct with the same members. */
export class Struct<F extends Fields> extends Type<RecordOf<F>, InitOf<F>, PlainOf<F>> {
  override readonly kind = 'struct';
  override readonly align = CELL;
  override readonly single = false;
  override readonly size: number;
  /** @internal */
  readonly placed: readonly Placed[];
  /** As given to `struct`. */
  readonly validate: StructOptions<F>['validate'];
  constructor(
    /** As given to `struct`. */
    readonly name: string,
    /** As given to `struct`. */
    readonly fields: F,
    {validate}: StructOptions<F> = {},
  ) {
    super();
    if (validate !== undefined && typeof validate !== 'function')
      throw new StoreError('ERR_SCHEMA', `struct('${name}'): validate is a function that throws.`);
    this.validate = validate;
    if (!FIELD.test(name))
      throw new StoreError('ERR_SCHEMA', `struct('${name}'): a struct is named by letters, digits and _.`);
    if (typeof fields !== 'object' || fields === null || Object.keys(fields).length === 0)
      throw new StoreError('ERR_SCHEMA', `struct('${name}') needs an object with at least one field.`);
    const {placed, size} = layOut(name, fields);
    this.placed = placed;
    this.size = size;
  }
  override get compound(): boolean {
    return true;
  }
  override describe(): TypeDescription {
    return {
      kind: 'struct',
      name: this.name,
      size: this.size,
      fields: this.placed.map(p => ({name: p.name, offset: p.offset, type: p.type.describe()})),
    };
  }
  override detach(value: unknown): unknown {
    if (typeof value !== 'object' || value === null) return value;
    admit(value, this.fields, this.name);
    const copy: Record<string, unknown> = {};
    for (const {name, type} of this.placed) {
      const field = (value as Record<string, unknown>)[name];
      if (field !== undefined) copy[name] = type.detach(field);
    }
    return copy;
  }
  /** The same, but a plain object of simple fields, in which nothing is live, stays as it is. */
  private settle(value: object): unknown {
    const simple = !this.placed.some(({type}) => type.compound);
    return simple && Object.getPrototypeOf(value) === Object.prototype ? value : this.detach(value);
  }
  override plain(value: RecordOf<F>): PlainOf<F> {
    return value.toJSON();
  }
  override verify(checker: Checker, cell: number, byte: number, path: string): void {
    for (const {name, type, offset} of this.placed)
      type.verify(checker, cell, byte + offset, `${path}.${name}`);
  }
  /** A struct inside another: reading gives a live record of the inner one, writing copies a plain object in. */
  override access(byte: number, path: string, captures: Captures): Access {
    const inner = compile(this, captures.engine, path, undefined, 1, seenFrom(byte, captures.guards));
    const cell = `c+${byte / CELL}`;
    const settle = captures.add((v: object) => this.settle(v));
    return {
      get: `new ${captures.add(inner.Record)}(${cell},${captures.g},${captures.n})`,
      check: `if(typeof v!=='object'||v===null)${captures.add(refuse)}(${JSON.stringify(path)},${JSON.stringify(`an object with fields of ${this.name}`)},v);v=${settle}(v);`,
      set: `${captures.add(inner.assign)}(${cell},v);`,
      init: `${captures.add(inner.init)}(${cell},v);`,
      drop: `${captures.add(inner.drop)}(${cell});`,
    };
  }
}

/**
 * Declares a type of records, for tables and other collections, or as a field of another struct.
 *
 * @param name - letters, digits and _; it is part of the schema, and refs and migrations go by it
 * @param fields - types by name, laid out in this order as C does. A field is named by letters, digits and _, and none is
 *   called as what every object has (`constructor`, `toString`, ...)
 * @param options - an invariant of each record, see StructOptions; no part of the schema
 * @throws StoreError ERR_SCHEMA: a name that cannot be, no field, or what is no type
 * @example
 * const Peer = struct('Peer', {host: t.string(), score: t.u16});
 * const Conn = struct('Conn', {fd: t.i32, peer: t.ref(() => Peer), since: t.timestamp.optional()});
 */
export function struct<const F extends Fields>(
  name: string,
  fields: F,
  options?: StructOptions<F>,
): Struct<F> {
  return new Struct(name, fields, options);
}
