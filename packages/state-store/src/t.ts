import {FixedBytesType, FixedStringType} from './fixed.js';
import {RawType} from './raw.js';
import {BigType, BoolType, EnumType, NumberType, UintType} from './scalars.js';
import type {Fields, Struct} from './struct.js';
import {type TableOptions, TableType} from './table.js';

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
  /** A string of at most `maxBytes` bytes in UTF-8, inside its record. */
  string: (maxBytes: number): FixedStringType => new FixedStringType(maxBytes),
  /** Exactly `count` bytes, inside its record. */
  bytes: (count: number): FixedBytesType => new FixedBytesType(count),
  /** Records of one struct, named by stable ids. */
  table: <F extends Fields>(of: Struct<F>, options: TableOptions): TableType<F> => new TableType(of, options),
  /** A page-aligned region outside every transaction, as a live Buffer. */
  raw: (byteLength: number): RawType => new RawType(byteLength),
};
