import {StoreError} from '../errors.js';
import {CELL} from '../segment/memory.js';
import {type AnyType, strangeness, Type} from './type.js';

/** The fields of a struct: types by name. */
export type Fields = Readonly<Record<string, AnyType>>;
/** A live record: its properties read and write the segment. */
export type RecordOf<F extends Fields> = {-readonly [K in keyof F]: F[K]['value']} & RecordMeta<F>;
/** What fills a record: any of its fields, as plain data. */
export type InitOf<F extends Fields> = {readonly [K in keyof F]?: F[K]['init'] | undefined};
/** A record as plain data, nothing in it live. */
export type PlainOf<F extends Fields> = {[K in keyof F]: F[K]['json']};

/** What every record has besides its fields. */
export interface RecordMeta<F extends Fields> {
  /** The fields as plain data, inner structs included; a ref becomes the `$id` of what it names. */
  toJSON(): PlainOf<F>;
  /**
   * Sets several fields as one transaction; inner structs, arrays and unions as plain data.
   *
   * @throws StoreError ERR_VALUE: there is no such field, or a value does not fit; nothing is written then
   */
  $set(fields: InitOf<F>): void;
}

/** Where a record lies and which life of its slot it is. Generated code keeps these names, so fields may not start with $. */
export interface Live {
  readonly $c: number; // its first cell
  readonly $g: number; // the 32-bit word that holds the generation of its slot
  readonly $n: number; // the generation it was made for
}

/** How fields and structs are named; generated code relies on it. */
export const FIELD = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** What every object has would be found in one that lacks the field. */
const RESERVED = new Set(['toJSON', 'then', ...Object.getOwnPropertyNames(Object.prototype)]);

export interface Placed {
  name: string;
  type: AnyType;
  offset: number;
}

/**
 * C's layout rules and no others: fields in the order they are declared, each at a multiple of its own alignment; the
 * whole rounded up to a cell. A C struct with _Alignas(8) and the same members has the same bytes.
 */
export function layOut(name: string, fields: Fields): {placed: Placed[]; size: number} {
  const placed: Placed[] = [];
  let offset = 0;
  for (const [field, type] of Object.entries(fields)) {
    if (!FIELD.test(field) || RESERVED.has(field))
      throw new StoreError(
        'ERR_SCHEMA',
        `${name}.${field}: a field is named by letters, digits and _, does not start with a digit, and is none of ${[...RESERVED].join(', ')}.`,
      );
    if (!(type instanceof Type))
      throw new StoreError(
        'ERR_SCHEMA',
        `${name}.${field}: expected a type such as t.u32 or a struct${strangeness(type)}.`,
      );
    offset = Math.ceil(offset / type.align) * type.align;
    placed.push({name: field, type, offset});
    offset += type.size;
  }
  return {placed, size: Math.max(CELL, Math.ceil(offset / CELL) * CELL)};
}

/** A struct, as far as its accessors go. */
export interface Layout<F extends Fields> {
  readonly name: string;
  readonly fields: F;
  readonly placed: readonly Placed[];
  /** In bytes, whole cells. */
  readonly size: number;
}
