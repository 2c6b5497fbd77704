import type {ByteBuffer} from 'flatbuffers';
import {AddressType} from './address.js';
import {ArrayType} from './array.js';
import {FixedBytesType, FixedStringType} from './fixed.js';
import {ListType} from './list.js';
import {MapType} from './map.js';
import {RawType} from './raw.js';
import {RefType} from './ref.js';
import {RingType} from './ring.js';
import {BigType, BoolType, EnumType, NumberType, TimestampType, UintType} from './scalars.js';
import {SortedType} from './sorted.js';
import type {Fields, Struct} from './struct.js';
import {type TableOptions, TableType} from './table.js';
import type {Type} from './type.js';
import {UnionType, type Variants} from './union.js';
import {BytesType, FlatBufferType, StringType} from './variable.js';
import {VectorType} from './vector.js';

/** A string of any length; or, inside its record, of at most `maxBytes` bytes in UTF-8. */
function string(): StringType;
function string(maxBytes: number): FixedStringType;
function string(...max: [] | [number]): StringType | FixedStringType {
  return max.length === 0 ? new StringType() : new FixedStringType(max[0]);
}

/** Bytes of any number; or, inside their record, exactly `count`. */
function bytes(): BytesType;
function bytes(count: number): FixedBytesType;
function bytes(...count: [] | [number]): BytesType | FixedBytesType {
  return count.length === 0 ? new BytesType() : new FixedBytesType(count[0]);
}

/** The types a schema is written in. */
export const t = {
  u8: new NumberType('u8'),
  u16: new NumberType('u16'),
  u32: new NumberType('u32'),
  i8: new NumberType('i8'),
  i16: new NumberType('i16'),
  i32: new NumberType('i32'),
  u64: new BigType('u64'),
  i64: new BigType('i64'),
  /** A number from 0 to 2^53-1, eight bytes. */
  uint: new UintType(),
  f32: new NumberType('f32'),
  f64: new NumberType('f64'),
  bool: new BoolType(),
  enum: <const N extends readonly [string, ...string[]]>(...names: N): EnumType<N[number]> =>
    new EnumType<N[number]>(names),
  /** Milliseconds since 1970; reads as a Date. */
  timestamp: new TimestampType(),
  /** A C pointer into the segment; JavaScript sees a byte offset. */
  address: new AddressType(),
  string,
  bytes,
  /** A finished FlatBuffer, read where it lies: pass the generated function that finds the root. */
  flatbuffer: <T>(rootAs: (bytes: ByteBuffer) => T): FlatBufferType<T> => new FlatBufferType(rootAs),
  /** `length` values of one type, inside the record. */
  array: <V, I, J>(of: Type<V, I, J>, length: number): ArrayType<V, I, J> => new ArrayType(of, length),
  /** One of several types: {tag, value}. */
  union: <const U extends Variants>(variants: U): UnionType<U> => new UnionType(variants),
  /** Names a record of a table, or null; null again when that record is removed. */
  ref: <F extends Fields>(to: () => Struct<F>): RefType<F> => new RefType(to),
  /** Records of one struct, named by stable ids. */
  table: <F extends Fields>(of: Struct<F>, options: TableOptions = {}): TableType<F> =>
    new TableType(of, options),
  /** A hash map; keys are strings, bytes or integers. */
  map: <K, KI, V, VI, VJ>(key: Type<K, KI, unknown>, of: Type<V, VI, VJ>): MapType<K, KI, V, VI, VJ> =>
    new MapType(key, of),
  /** A map in the order of its keys, with ranges. */
  sorted: <K, KI, V, VI, VJ>(key: Type<K, KI, unknown>, of: Type<V, VI, VJ>): SortedType<K, KI, V, VI, VJ> =>
    new SortedType(key, of),
  vector: <V, I, J>(of: Type<V, I, J>): VectorType<V, I, J> => new VectorType(of),
  /** The last `capacity` values pushed. */
  ring: <V, I, J>(of: Type<V, I, J>, capacity: number): RingType<V, I, J> => new RingType(of, capacity),
  list: <V, I, J>(of: Type<V, I, J>): ListType<V, I, J> => new ListType(of),
  /** A page-aligned region outside every transaction, as a live Buffer. */
  raw: (byteLength: number): RawType => new RawType(byteLength),
};
