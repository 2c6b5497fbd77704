import {StoreError, show} from '../errors.js';
import {ArrayType} from '../schema/array.js';
import {FixedBytesType, FixedStringType} from '../schema/fixed.js';
import {BigType, BoolType, EnumType, NumberType, TimestampType, UintType} from '../schema/scalars.js';
import {Struct} from '../schema/struct.js';
import type {AnyType} from '../schema/type.js';
import {UnionType} from '../schema/union.js';
import {BytesType, FlatBufferType, StringType} from '../schema/variable.js';

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
 * How a value that has no parts becomes one of another type: the same value, or an error ERR_VALUE. Whether the other type
 * holds it is for that to say. Undefined: there is no such way.
 */
export function exactly(from: AnyType, to: AnyType, path: string): ((value: unknown) => unknown) | undefined {
  if (isNumber(from) && isNumber(to)) return value => number(value as number | bigint | boolean, to, path);
  if (from instanceof TimestampType && to instanceof TimestampType) return value => value;
  if (isString(to) && (isString(from) || from instanceof EnumType)) return value => value;
  if (to instanceof EnumType && (from instanceof EnumType || isString(from))) return value => value;
  // A FlatBuffer reads as a table of generated code; the schema of a store gives it as the bytes it is.
  if (isBytes(from) && isBytes(to) && !(from instanceof FlatBufferType)) return value => value;
  return undefined;
}

function number(value: number | bigint | boolean, to: AnyType, path: string): number | bigint | boolean {
  const inexact = (): never => {
    throw new StoreError('ERR_VALUE', `${path}: ${show(value)} is nothing that ${to.kind} holds exactly.`);
  };
  if (to instanceof BoolType) {
    if (typeof value === 'boolean') return value;
    return Number(value) === 0 ? false : Number(value) === 1 ? true : inexact();
  }
  if (to instanceof BigType)
    return typeof value === 'number' && !Number.isInteger(value) ? inexact() : BigInt(value);
  const as = Number(value);
  if (typeof value === 'bigint' && BigInt(as) !== value) inexact();
  if (to instanceof NumberType && to.kind === 'f32' && !Object.is(Math.fround(as), as)) inexact();
  return as;
}

/** What a type reads as before anything is written: for places of an array that were not there. */
export function emptyOf(type: AnyType): unknown {
  if (type instanceof BoolType) return false;
  if (type instanceof BigType) return 0n;
  if (type instanceof UintType || type instanceof NumberType || type instanceof TimestampType) return 0;
  if (type instanceof EnumType) return type.names[0];
  if (isString(type)) return '';
  if (type instanceof FixedBytesType) return new Uint8Array(type.size);
  if (type instanceof BytesType) return new Uint8Array();
  if (type instanceof Struct) return {};
  if (type instanceof ArrayType) return Array.from({length: type.length}, () => emptyOf(type.of));
  if (type instanceof UnionType) {
    const [tag, variant] = Object.entries(type.variants as Record<string, AnyType>)[0]!;
    return {tag, value: emptyOf(variant)};
  }
  return null; // optional, ref, address
}
