import {CollectionType, type Slotted} from '../collections/collection.js';
import {List} from '../collections/list.js';
import {StoreMap} from '../collections/map.js';
import {RawType} from '../collections/raw.js';
import {RefType} from '../collections/ref.js';
import {Ring} from '../collections/ring.js';
import {SLOT_SPACE, type Slots} from '../collections/slots.js';
import {SortedMap} from '../collections/sorted.js';
import {Table} from '../collections/table.js';
import {Vector} from '../collections/vector.js';
import {StoreError, show} from '../errors.js';
import type {Side} from '../repair/side.js';
import {ArrayType} from '../schema/array.js';
import {FixedBytesType, FixedStringType} from '../schema/fixed.js';
import type {Fields, Live} from '../schema/record.js';
import {BigType, BoolType, EnumType, NumberType, TimestampType, UintType} from '../schema/scalars.js';
import {Struct} from '../schema/struct.js';
import {type AnyType, OptionalType, type TypeDescription} from '../schema/type.js';
import {UnionType} from '../schema/union.js';
import {BytesType, FlatBufferType, StringType} from '../schema/variable.js';
import {OWNER} from '../segment/engine.js';

/** What has another name now: `{'Struct.newField': 'oldField', newRoot: 'oldRoot'}`. */
export type Renames = Readonly<Record<string, string>>;

/** Turns a value of one type into what a field of another takes. */
type Convert = (value: unknown) => unknown;

const isInteger = (type: AnyType) =>
  type instanceof UintType ||
  type instanceof BigType ||
  type instanceof BoolType ||
  (type instanceof NumberType && type.kind !== 'f32' && type.kind !== 'f64');
const isNumber = (type: AnyType) => isInteger(type) || type instanceof NumberType;
const isString = (type: AnyType) => type instanceof StringType || type instanceof FixedStringType;
const isBytes = (type: AnyType) =>
  type instanceof BytesType || type instanceof FixedBytesType || type instanceof FlatBufferType;

/**
 * Carries the content of a store over to another schema: fields by name, so added, removed, reordered and renamed ones
 * are no matter; values that changed their type when the new one can hold them. Whatever does not fit throws, and the
 * caller throws the half-filled new store away.
 */
export class Migration {
  constructor(
    private readonly from: Side,
    private readonly to: Side,
    private readonly renames: Renames,
    /** A user's function does what cannot be done here: then what does not fit is left out. */
    private readonly lenient: boolean,
  ) {
    for (const type of Object.values(to.schema)) this.refer(type.describe());
  }

  /** The structs that refs name: their records must be found under the same numbers. */
  private readonly referred = new Set<string>();

  private refer({kind, name, of, fields}: TypeDescription): void {
    if (kind === 'ref') this.referred.add(name!);
    for (const type of of ?? []) this.refer(type);
    for (const {type} of fields ?? []) this.refer(type);
  }

  run(): void {
    const pairs: {key: string; old: string; type: AnyType; before: AnyType}[] = [];
    for (const [key, type] of Object.entries(this.to.schema)) {
      const old = this.renames[key] ?? key;
      const before = this.from.schema[old];
      if (before !== undefined) pairs.push({key, old, type, before});
      else if (this.renames[key] !== undefined)
        throw new StoreError(
          'ERR_SCHEMA_MISMATCH',
          `renames: there is no '${old}' that '${key}' could be the new name of.`,
        );
    }
    // Empty slots first: refs need somebody to point at.
    const fills = pairs.map(({key, old, type, before}) => {
      if (type instanceof CollectionType && before instanceof CollectionType)
        return this.prepare(key, old, type, before);
      const convert = this.converter(before, type, key);
      return () => {
        if (convert)
          this.to.transact(() => {
            this.to.root[key] = convert(this.from.root[old]);
          });
      };
    });
    for (const fill of fills) fill();
    for (const entry of this.from.ledger.entries()) this.to.transact(() => this.to.ledger.add(entry));
  }

  /** The slots that were taken over, each in the same life: ids stay what they are, and refs lead to the same record. */
  private readonly adopted = new Map<Slots, Slots>();

  private adopt({slots: source}: Slotted, {slots: target}: Slotted): void {
    for (let slot = 0; slot < source.used; slot++) target.adopt(slot, source.generation(slot));
    this.adopted.set(source, target);
  }

  /** Takes over the slots of a collection whose values have names; gives what fills it. */
  private prepare(
    key: string,
    old: string,
    type: CollectionType<unknown>,
    before: CollectionType<unknown>,
  ): () => void {
    const [source, target] = [this.from.collections.get(old), this.to.collections.get(key)];
    const [mine, theirs] = [
      type as unknown as {struct: AnyType; key: AnyType; of: AnyType},
      before as unknown as {struct: AnyType; key: AnyType; of: AnyType},
    ];
    const each = (put: () => void) => this.to.transact(put);
    const nothing = () => {};
    if (type.kind !== before.kind) {
      if (!this.lenient) throw this.cannot(key, before, type);
    } else if (source instanceof Table && target instanceof Table) {
      this.adopt(source, target);
      const convert = this.converter(theirs.struct, mine.struct, key);
      if (convert)
        return () => {
          for (const record of source) each(() => target.fill(record.$index, convert(record) as object));
        };
    } else if (source instanceof StoreMap || source instanceof SortedMap) {
      const [keyAs, valueAs] = [
        this.converter(theirs.key, mine.key, key),
        this.converter(theirs.of, mine.of, key),
      ];
      if (!keyAs || !valueAs) return nothing;
      const map = target as StoreMap<unknown, unknown>;
      const named = mine.of instanceof Struct && this.referred.has(mine.of.name);
      if (named) this.adopt(source, map);
      return () => {
        const {slots} = source;
        for (let slot = 0; slot < slots.used; slot++) {
          if (!slots.isLive(slot)) continue;
          const k = keyAs(source.keyAt(slot));
          if (map.has(k)) {
            if (!this.lenient || named) throw this.twice(key, k);
            continue;
          }
          const value = valueAs(source.valueAt(slot));
          each(() => void (named ? map.place(slot, k, value) : map.set(k, value)));
        }
      };
    } else if (source instanceof List) {
      const convert = this.converter(theirs.of, mine.of, key);
      const list = target as List<unknown>;
      if (!convert) return nothing;
      this.adopt(source, list);
      return () => {
        for (const [id, value] of source.entries()) each(() => list.place(id % SLOT_SPACE, convert(value)));
      };
    } else if (source instanceof Vector || source instanceof Ring) {
      const convert = this.converter(theirs.of, mine.of, key);
      if (!convert) return nothing;
      return () => {
        // Every place of it will be filled, so it may go on counting.
        if (source instanceof Ring && target instanceof Ring && target.capacity <= source.length)
          target.countFrom(source.pushed - source.length);
        for (const value of source) each(() => void (target as Vector<unknown>).push(convert(value)));
      };
    } else if (type instanceof RawType) {
      const bytes = source as Buffer;
      bytes.copy(target as Buffer, 0, 0, Math.min(bytes.length, type.bytes));
    }
    return nothing;
  }

  /** Undefined: it cannot be done, but somebody else will. */
  private converter(from: AnyType, to: AnyType, path: string): Convert | undefined {
    const found = this.find(from, to, path);
    if (found === undefined && !this.lenient) throw this.cannot(path, from, to);
    return found;
  }

  private find(from: AnyType, to: AnyType, path: string): Convert | undefined {
    if (to instanceof OptionalType) {
      const inner = this.converter(from instanceof OptionalType ? from.inner : from, to.inner, path);
      return inner && (value => (value === null ? null : inner(value)));
    }
    if (from instanceof OptionalType) {
      const inner = this.converter(from.inner, to, path);
      return inner && (value => (value === null ? undefined : inner(value)));
    }
    if (from instanceof Struct && to instanceof Struct) return this.struct(from, to);
    if (to instanceof BigType && isInteger(from)) return value => BigInt(value as number);
    if (isNumber(from) && isNumber(to)) {
      if (to instanceof BoolType) return value => Number(value) !== 0;
      return value => {
        const number = Number(value);
        const rounded = to instanceof NumberType && to.kind === 'f32' ? Math.fround(number) : number;
        if (isInteger(from) && BigInt(rounded) !== BigInt(value as number | bigint | boolean))
          throw new StoreError(
            'ERR_VALUE',
            `${path}: ${show(value)} is beyond what ${to.kind} holds exactly.`,
          );
        return number;
      };
    }
    if (from instanceof TimestampType && to instanceof TimestampType) return value => value;
    if (isString(to) && (isString(from) || from instanceof EnumType)) return value => value;
    if (to instanceof EnumType && (from instanceof EnumType || isString(from))) return value => value;
    if (isBytes(from) && isBytes(to) && !(from instanceof FlatBufferType))
      return value =>
        to instanceof FlatBufferType && (value as Uint8Array).length === 0 ? undefined : value;
    if (from instanceof RefType && to instanceof RefType) return value => this.ref(value);
    if (from instanceof ArrayType && to instanceof ArrayType && from.length === to.length) {
      const each = this.converter(from.of, to.of, `${path}[]`);
      return each && (value => [...(value as Iterable<unknown>)].map(each));
    }
    if (from instanceof UnionType && to instanceof UnionType) {
      const variants = new Map(
        Object.entries(from.variants as Fields).map(([tag, type]) => [
          tag,
          to.variants[tag] && this.converter(type, to.variants[tag], `${path}.${tag}`),
        ]),
      );
      return value => {
        const {tag, value: inner} = value as {tag: string; value: unknown};
        const convert = variants.get(tag);
        if (!convert)
          throw new StoreError(
            'ERR_SCHEMA_MISMATCH',
            `${path}: a value is a '${tag}', which the new schema does not have.`,
          );
        return {tag, value: convert(inner)};
      };
    }
    return undefined;
  }

  private struct(from: Struct<Fields>, to: Struct<Fields>): Convert {
    const fields: [string, string, Convert][] = [];
    for (const {name, type} of to.placed) {
      const old = this.renames[`${to.name}.${name}`] ?? name;
      const before = from.fields[old];
      if (before === undefined) {
        if (old !== name)
          throw new StoreError(
            'ERR_SCHEMA_MISMATCH',
            `renames: ${from.name} has no field '${old}' that ${to.name}.${name} could be the new name of.`,
          );
        continue;
      }
      const convert = this.converter(before, type, `${to.name}.${name}`);
      if (convert) fields.push([name, old, convert]);
    }
    return value =>
      Object.fromEntries(
        fields.map(([name, old, convert]) => [name, convert((value as Record<string, unknown>)[old])]),
      );
  }

  private ref(value: unknown): unknown {
    if (value === null) return null;
    const source = (value as Record<symbol, Slots>)[OWNER]!;
    return this.adopted.get(source)?.record(source.slotOf(value as Live), (value as Live).$n) ?? null;
  }

  private twice(path: string, key: unknown): StoreError {
    return new StoreError(
      'ERR_VALUE',
      `${path}: two keys become ${show(key)}; pass migrate to openStore to say which stays. The store was left as it is.`,
    );
  }

  private cannot(path: string, from: AnyType, to: AnyType): StoreError {
    return new StoreError(
      'ERR_SCHEMA_MISMATCH',
      `${path} was a ${from.kind} and is to be a ${to.kind}: pass migrate to openStore to say how. The store was left as it is.`,
    );
  }
}
