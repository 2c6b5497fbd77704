import type {ByteBuffer} from 'flatbuffers';
import {ListType} from '../collections/list.js';
import {MapType} from '../collections/map.js';
import {RawType} from '../collections/raw.js';
import {RefType} from '../collections/ref.js';
import {RingType} from '../collections/ring.js';
import {SortedType} from '../collections/sorted.js';
import {type TableOptions, TableType} from '../collections/table.js';
import {VectorType} from '../collections/vector.js';
import {AddressType} from '../schema/address.js';
import {ArrayType} from '../schema/array.js';
import {FixedBytesType, FixedStringType} from '../schema/fixed.js';
import type {Fields} from '../schema/record.js';
import {BigType, BoolType, EnumType, NumberType, TimestampType, UintType} from '../schema/scalars.js';
import type {Struct} from '../schema/struct.js';
import type {Type} from '../schema/type.js';
import {UnionType, type Variants} from '../schema/union.js';
import {BytesType, FlatBufferType, StringType} from '../schema/variable.js';

/** A string of any length, up to 2^29-24 units; 8 bytes in its record, the content elsewhere. */
function string(): StringType;
/**
 * A string inside its record.
 *
 * @param maxBytes - bytes it may take in UTF-8, 1 to 2^20; lone surrogates, which UTF-8 cannot say, are refused
 */
function string(maxBytes: number): FixedStringType;
function string(...max: [] | [number]): StringType | FixedStringType {
  return max.length === 0 ? new StringType() : new FixedStringType(max[0]);
}

/** Bytes of any number, taken from a Uint8Array; a read gives a copy. 8 bytes in their record, the content elsewhere. */
function bytes(): BytesType;
/**
 * Bytes inside their record; a read gives a copy.
 *
 * @param count - how many, exactly: 1 to 2^20
 */
function bytes(count: number): FixedBytesType;
function bytes(...count: [] | [number]): BytesType | FixedBytesType {
  return count.length === 0 ? new BytesType() : new FixedBytesType(count[0]);
}

/**
 * The types a schema is written in. A schema that cannot be throws `ERR_SCHEMA` as soon as its types are made; a value that
 * does not fit its type throws `ERR_VALUE` when it is written.
 */
export const t = {
  /** An integer from 0 to 255. */
  u8: new NumberType('u8'),
  /** An integer from 0 to 65,535. */
  u16: new NumberType('u16'),
  /** An integer from 0 to 2^32-1. */
  u32: new NumberType('u32'),
  /** An integer from -128 to 127. */
  i8: new NumberType('i8'),
  /** An integer from -32,768 to 32,767. */
  i16: new NumberType('i16'),
  /** An integer from -2^31 to 2^31-1. */
  i32: new NumberType('i32'),
  /** A bigint from 0 to 2^64-1. JSON has no bigint: where 2^53-1 is enough, `t.uint` is a number. */
  u64: new BigType('u64'),
  /** A bigint from -2^63 to 2^63-1. */
  i64: new BigType('i64'),
  /** An integer from 0 to 2^53-1 as a number, in 8 bytes: for counts, sizes, offsets. */
  uint: new UintType(),
  /** A number, rounded to 4 bytes. */
  f32: new NumberType('f32'),
  /** A number as JavaScript has it, 8 bytes. */
  f64: new NumberType('f64'),
  /** true or false, 1 byte. */
  bool: new BoolType(),
  /**
   * One of up to 256 names, stored as its number in one byte. A new record has the first.
   *
   * @example
   * const Conn = struct('Conn', {stage: t.enum('reading', 'sending')});
   * conn.stage = 'sending'; // 'sendign' does not compile
   */
  enum: <const N extends readonly [string, ...string[]]>(...names: N): EnumType<N[number]> =>
    new EnumType<N[number]>(names),
  /** A time, in milliseconds since 1970: reads as a Date, takes a Date or the milliseconds. 8 bytes. */
  timestamp: new TimestampType(),
  /** A pointer as C has it, into the segment. JavaScript reads a byte offset in `store.memory` or null, and writes one or a live record. */
  address: new AddressType(),
  string,
  bytes,
  /**
   * A finished FlatBuffer, read where it lies. Takes `builder.asUint8Array()`, reads as the generated table, or null when
   * nothing was stored.
   *
   * @param rootAs - the generated function that finds the root, such as `Monster.getRootAsMonster`
   */
  flatbuffer: <T>(rootAs: (bytes: ByteBuffer) => T): FlatBufferType<T> => new FlatBufferType(rootAs),
  /**
   * Values of one type inside the record, as a C array. Reads as a live {@link FixedArray}, takes as many values.
   *
   * @param of - a type; a struct too
   * @param length - how many, 1 to 2^20
   */
  array: <V, I, J>(of: Type<V, I, J>, length: number): ArrayType<V, I, J> => new ArrayType(of, length),
  /**
   * One of several types, with a tag that says which.
   *
   * @example
   * const Job = struct('Job', {target: t.union({path: t.string(), port: t.u16})});
   * job.target = {tag: 'port', value: 8080};
   * if (job.target.tag === 'path') open(job.target.value); // a string here
   */
  union: <const U extends Variants>(variants: U): UnionType<U> => new UnionType(variants),
  /**
   * Names a record of a collection, or null; null again when that record is removed.
   *
   * @param to - gives the struct: a function, so that structs may name each other and themselves
   */
  ref: <F extends Fields>(to: () => Struct<F>): RefType<F> => new RefType(to),
  /**
   * At the root: records of one struct, named by stable ids. Opens as a {@link Table}.
   *
   * @example
   * const schema = {conns: t.table(Conn), few: t.table(Conn, {capacity: 16})};
   */
  table: <F extends Fields>(of: Struct<F>, options: TableOptions = {}): TableType<F> =>
    new TableType(of, options),
  /**
   * At the root: a hash map. Opens as a {@link StoreMap}.
   *
   * @param key - `t.string()`, `t.bytes()` or a type of integers
   * @param of - the type of the values; a struct too
   */
  map: <K, KI, V, VI, VJ>(key: Type<K, KI, unknown>, of: Type<V, VI, VJ>): MapType<K, KI, V, VI, VJ> =>
    new MapType(key, of),
  /**
   * At the root: a map in the order of its keys, with ranges. Opens as a {@link SortedMap}.
   *
   * @param key - a type of numbers, strings, bytes or times
   * @param of - the type of the values; a struct too
   */
  sorted: <K, KI, V, VI, VJ>(key: Type<K, KI, unknown>, of: Type<V, VI, VJ>): SortedType<K, KI, V, VI, VJ> =>
    new SortedType(key, of),
  /** At the root: values in a row, as many as there is room for. Opens as a {@link Vector}. */
  vector: <V, I, J>(of: Type<V, I, J>): VectorType<V, I, J> => new VectorType(of),
  /**
   * At the root: the last values pushed. Opens as a {@link Ring}.
   *
   * @param capacity - values it keeps, 1 to 2^30; all their room is taken when the store is made
   */
  ring: <V, I, J>(of: Type<V, I, J>, capacity: number): RingType<V, I, J> => new RingType(of, capacity),
  /** At the root: values in an order of your own, each with an id that stays. Opens as a {@link List}. */
  list: <V, I, J>(of: Type<V, I, J>): ListType<V, I, J> => new ListType(of),
  /**
   * At the root: a page-aligned region as a live Buffer, outside every transaction: whoever writes there orders its own
   * writes. A store that has one does not grow.
   *
   * @param byteLength - its size; all of it is taken when the store is made
   */
  raw: (byteLength: number): RawType => new RawType(byteLength),
};
