import {CollectionType} from '../collections/collection.js';
import {RefType} from '../collections/ref.js';
import type {Ancestor} from '../declaration/schema-blob.js';
import {StoreError, show} from '../errors.js';
import {AddressType} from '../schema/address.js';
import {ArrayType} from '../schema/array.js';
import type {Fields} from '../schema/record.js';
import {Struct} from '../schema/struct.js';
import {type AnyType, OptionalType, type TypeDescription} from '../schema/type.js';
import {UnionType} from '../schema/union.js';
import {FlatBufferType} from '../schema/variable.js';
import {emptyOf, exactly} from './exact.js';
import {namesOf} from './lineage.js';

/** What has another name now: `{'Struct.newField': 'oldField', newRoot: 'oldRoot'}`. */
export type Renames = Readonly<Record<string, string>>;

/** What a user says about the way from one schema to another. */
export interface Wishes {
  readonly renames: Renames;
  /** What may be lost, as the plan names it. */
  readonly drop: readonly string[];
  /** `migrate` will see to what cannot be carried over. */
  readonly migrates: boolean;
  /** The program was there before: what was added since it may be lost. */
  readonly goesBack: boolean;
}

/** What conversions need of the store that is filled. */
export interface Carrier {
  /** The steps from the record at hand to the value at hand: fields, indexes of arrays, and 'value' into a union. */
  readonly trail: (string | number)[];
  /** A field that cannot be carried over, `offset` bytes into the record that the first `depth` steps lead to. Throws, or leaves it to `migrate`. */
  leave(error: unknown, depth: number, offset: number): void;
  /** The record that took the place of the one a ref names. */
  ref(value: unknown, path: string): unknown;
  /** What throws at a value that does not fit. */
  checkOf(type: AnyType, path: string): (value: unknown) => void;
}

/** Turns a value of one type into what a write of another takes. Throws ERR_VALUE where that would be another value. */
export type Convert = (value: unknown, carrier: Carrier) => unknown;

/** What stands at the root under both schemas. Without `value` nothing of it is carried over: `migrate` fills it. */
export interface Pair {
  readonly key: string;
  readonly old: string;
  readonly type: AnyType;
  readonly before: AnyType;
  readonly value: Convert | undefined;
  /** Of maps. */
  readonly keys: Convert | undefined;
}

/** A struct, or the root, which has no name. */
interface Holder {
  readonly name: string;
  readonly fields: Fields;
}

const inside = (holder: string, name: string) => (holder === '' ? name : `${holder}.${name}`);
const same = (a: AnyType, b: AnyType) => JSON.stringify(a.describe()) === JSON.stringify(b.describe());

/**
 * The way from one schema to another, told from both alone: what is carried over and how, what would be lost. Fields go
 * by their names, those of an ancestor by what they are called since.
 */
export class Plan {
  readonly pairs: readonly Pair[];
  /** Where each name went. */
  readonly step = new Map<string, Set<string>>();
  /** What is lost because the program goes back to a schema that the store had before. */
  readonly addedSince = new Set<string>();
  private readonly lost = new Set<string>();
  private readonly unlike = new Set<string>();
  private readonly drop: ReadonlySet<string>;
  private readonly dropped = new Set<string>();
  private readonly renamed = new Set<string>();

  constructor(
    private readonly from: Struct<Fields>,
    private readonly to: Struct<Fields>,
    private readonly wishes: Wishes,
    /** What the store remembers of `to`, when it had that schema before. */
    private readonly ancestor: Ancestor | undefined,
    /** Values in a collection, by its name. */
    private readonly lengthOf: (name: string) => number,
  ) {
    this.drop = new Set(wishes.drop);
    const root = (fields: Fields): Holder => ({name: '', fields});
    this.pairs = this.shared(root(from.fields), root(to.fields)).map(({name, old}) => {
      const [type, before] = [to.fields[name]!, from.fields[old]!];
      return {key: name, old, type, before, ...this.pair(old, type, before)};
    });
  }

  /** @throws StoreError ERR_SCHEMA_MISMATCH: something would be lost, or the user speaks of what is not there */
  assertAllowed(where: string): void {
    const refuse = (what: string): never => {
      throw new StoreError('ERR_SCHEMA_MISMATCH', `${what} The store was left as it was.`);
    };
    const [before, after] = [namesOf(this.from.describe()), namesOf(this.to.describe())];
    for (const [now, then] of Object.entries(this.wishes.renames)) {
      if (this.renamed.has(now)) continue;
      refuse(
        after.has(now)
          ? `renames: there is no ${show(then)} in ${where} that ${show(now)} could be the new name of; take it out when that is done already.`
          : `renames: the schema has no ${show(now)} that could be the new name of ${show(then)}.`,
      );
    }
    const lost = [...this.lost];
    const list = (names: readonly string[]) => `[${names.map(name => `'${name}'`).join(', ')}]`;
    for (const name of this.drop) {
      if (this.dropped.has(name) || (before.has(name) && !after.has(name))) continue;
      const all = [...this.dropped, ...lost];
      const rest = all.length === 0 ? 'nothing would be lost' : `what would be lost is ${list(all)}`;
      refuse(
        before.has(name)
          ? `drop: nothing would be lost of ${show(name)}, the schema has it as well; take it out.`
          : `drop: there is no ${show(name)} in ${where}; ${rest}.`,
      );
    }
    const faults: string[] = [];
    if (lost.length > 0)
      faults.push(
        this.ancestor
          ? `it had this one before, and what was added since would be lost: pass drop: ${list(lost)} to openStore to give it up.`
          : `under this one something would be lost: pass drop: ${list(lost)} to openStore to give it up, or say in renames what it is called now.`,
      );
    if (this.unlike.size > 0 && !this.wishes.migrates)
      faults.push(`${[...this.unlike].join(', ')}: pass migrate to openStore to say how.`);
    if (faults.length > 0) refuse(`${where} has another schema; ${faults.join(' ')}`);
  }

  /** Whether the user gave up what has this name. */
  gives(name: string): boolean {
    return this.dropped.has(name);
  }

  /** What both have and how it is called in each; notes what only the old one has. */
  private shared(from: Holder, to: Holder): {name: string; old: string}[] {
    const origins = new Map<string, string>();
    for (const name of Object.keys(to.fields)) {
      const old = this.wishes.renames[inside(to.name, name)];
      if (old === undefined || !Object.hasOwn(from.fields, old)) continue;
      this.renamed.add(inside(to.name, name));
      origins.set(name, old);
    }
    const taken = new Set(origins.values());
    for (const name of Object.keys(to.fields)) {
      if (origins.has(name)) continue;
      const old = this.origin(from, to.name, name);
      if (old === undefined || taken.has(old)) continue;
      origins.set(name, old);
    }
    const pairs: {name: string; old: string}[] = [];
    for (const [name, old] of origins) {
      const full = inside(from.name, old);
      if (this.drop.has(full) && !same(from.fields[old]!, to.fields[name]!)) {
        this.dropped.add(full);
        continue;
      }
      pairs.push({name, old});
      const now = this.step.get(full) ?? new Set();
      this.step.set(full, now.add(inside(to.name, name)));
    }
    const kept = new Set(origins.values());
    for (const old of Object.keys(from.fields)) if (!kept.has(old)) this.lose(inside(from.name, old));
    return pairs;
  }

  private origin(from: Holder, holder: string, name: string): string | undefined {
    if (this.ancestor === undefined) return Object.hasOwn(from.fields, name) ? name : undefined;
    const full = inside(holder, name);
    const prefix = inside(from.name, '');
    return (this.ancestor.names.get(full) ?? [full])
      .filter(now => now.startsWith(prefix))
      .map(now => now.slice(prefix.length))
      .find(field => Object.hasOwn(from.fields, field));
  }

  private lose(name: string): void {
    if (this.drop.has(name)) this.dropped.add(name);
    else if (this.wishes.goesBack && this.ancestor) this.addedSince.add(name);
    else this.lost.add(name);
  }

  private pair(name: string, type: AnyType, before: AnyType): Pick<Pair, 'value' | 'keys'> {
    if (!(type instanceof CollectionType)) return {value: this.field(before, type, name), keys: undefined};
    const [mine, theirs] = [type, before] as unknown as {struct: AnyType; key: AnyType; of: AnyType}[];
    const [now, then] = [type.describe(), before.describe()];
    if (now.kind !== then.kind) {
      this.differ(name, then.kind, now.kind);
      return {value: undefined, keys: undefined};
    }
    if (now.kind === 'raw') {
      if (lengthIn(now) < lengthIn(then)) this.lose(`${name}[${lengthIn(now)}..]`);
      return {value: value => value, keys: undefined};
    }
    if (now.kind === 'ring' && lengthIn(now) < lengthIn(then) && this.lengthOf(name) > lengthIn(now))
      this.lose(`${name}[${lengthIn(now)}..]`);
    const mapped = now.kind === 'map' || now.kind === 'sorted';
    const [ofBefore, of] = now.kind === 'table' ? [theirs!.struct, mine!.struct] : [theirs!.of, mine!.of];
    const keys = mapped ? this.find(theirs!.key, mine!.key, name) : undefined;
    const value = this.find(ofBefore, of, name);
    if (value === undefined) this.differ(`what is in ${name}`, ofBefore.kind, of.kind);
    if (mapped && keys === undefined) this.differ(`a key of ${name}`, theirs!.key.kind, mine!.key.kind);
    return mapped && keys === undefined ? {value: undefined, keys} : {value, keys};
  }

  private differ(path: string, before: string, now: string): string {
    const what = `${path} was a ${before} and is to be a ${now}`;
    this.unlike.add(what);
    return what;
  }

  /** A field: where there is no way, each value of it is for `migrate`. */
  private field(from: AnyType, to: AnyType, path: string): Convert {
    const found = this.find(from, to, path);
    if (found) return found;
    const what = this.differ(path, from.kind, to.kind);
    return () => {
      throw new StoreError('ERR_VALUE', `${what}.`);
    };
  }

  /** Undefined: there is no way from one type to the other. */
  private find(from: AnyType, to: AnyType, path: string): Convert | undefined {
    if (to instanceof OptionalType) {
      const inner = this.find(from instanceof OptionalType ? from.inner : from, to.inner, path);
      return inner && ((value, carrier) => (value === null ? null : inner(value, carrier)));
    }
    if (from instanceof OptionalType) {
      const inner = this.find(from.inner, to, path);
      return (
        inner &&
        ((value, carrier) => {
          if (value !== null) return inner(value, carrier);
          throw new StoreError('ERR_VALUE', `${path}: null does not fit; a value is required now.`);
        })
      );
    }
    if (from instanceof Struct && to instanceof Struct) return this.struct(from, to);
    if (from instanceof RefType && to instanceof RefType) {
      return checked(to, path, (value, carrier) => carrier.ref(value, path));
    }
    if (from instanceof AddressType && to instanceof AddressType)
      return value => {
        if (value === null) return null;
        throw new StoreError('ERR_VALUE', `${path}: what lay at address ${show(value)} lies elsewhere now.`);
      };
    if (from instanceof ArrayType && to instanceof ArrayType) return this.array(from, to, path);
    if (from instanceof UnionType && to instanceof UnionType) return this.union(from, to, path);
    const convert = exactly(from, to, path);
    if (convert === undefined) return undefined;
    // An empty FlatBuffer is none.
    if (to instanceof FlatBufferType)
      return checked(to, path, value => ((value as Uint8Array).length === 0 ? undefined : value));
    return same(from, to) ? convert : checked(to, path, convert);
  }

  private struct(from: Struct<Fields>, to: Struct<Fields>): Convert {
    const offsets = new Map(to.placed.map(({name, offset}) => [name, offset]));
    const fields = this.shared(from, to).map(({name, old}) => ({
      name,
      old,
      offset: offsets.get(name)!,
      convert: this.field(from.fields[old]!, to.fields[name]!, inside(from.name, old)),
    }));
    return (value, carrier) => {
      const result: Record<string, unknown> = {};
      const {trail} = carrier;
      const depth = trail.length;
      for (const {name, old, offset, convert} of fields) {
        trail.push(name);
        try {
          result[name] = convert((value as Record<string, unknown>)[old], carrier);
        } catch (error) {
          carrier.leave(error, depth, offset);
        }
        trail.length = depth;
      }
      return result;
    };
  }

  private array(
    from: ArrayType<unknown, unknown, unknown>,
    to: typeof from,
    path: string,
  ): Convert | undefined {
    const each = this.find(from.of, to.of, `${path}[]`);
    if (each === undefined) return undefined;
    if (to.length < from.length) this.lose(`${path}[${to.length}..]`);
    return (values, carrier) => {
      const {trail} = carrier;
      const depth = trail.length;
      const result: unknown[] = [];
      for (const value of values as Iterable<unknown>) {
        if (result.length === to.length) break;
        trail.push(result.length);
        result.push(each(value, carrier));
        trail.length = depth;
      }
      while (result.length < to.length) result.push(emptyOf(to.of));
      return result;
    };
  }

  private union(from: UnionType<Fields>, to: UnionType<Fields>, path: string): Convert {
    const variants = new Map(
      Object.entries(from.variants).map(([tag, type]) => [
        tag,
        Object.hasOwn(to.variants, tag) ? this.find(type, to.variants[tag]!, `${path}.${tag}`) : undefined,
      ]),
    );
    return (value, carrier) => {
      const {tag, value: inner} = value as {tag: string; value: unknown};
      const convert = variants.get(tag);
      if (!convert)
        throw new StoreError(
          'ERR_VALUE',
          `${path}: there is a '${tag}', which cannot be one of its values any more.`,
        );
      const {trail} = carrier;
      const depth = trail.push('value');
      const result = {tag, value: convert(inner, carrier)};
      trail.length = depth - 1;
      return result;
    };
  }
}

/** A conversion whose results are looked at before they are written, so that one that does not fit costs its field alone. */
function checked(to: AnyType, path: string, convert: Convert): Convert {
  let check: ((value: unknown) => void) | undefined;
  return (value, carrier) => {
    check ??= carrier.checkOf(to, path);
    const result = convert(value, carrier);
    if (result !== undefined) check(result);
    return result;
  };
}

const lengthIn = ({length = 0}: TypeDescription) => length;
