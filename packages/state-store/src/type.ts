import type {Engine} from './engine.js';
import {StoreError, show} from './errors.js';

/** The schema as plain data: what is fingerprinted, stored in the segment and compared. */
export interface TypeDescription {
  kind: string;
  size: number;
  name?: string;
  length?: number;
  names?: readonly string[];
  of?: TypeDescription[];
  fields?: {name: string; offset: number; type: TypeDescription}[];
}

/**
 * How generated code reads and writes one field. The texts see `c`, the first cell of the record, and the typed arrays
 * U8 I8 U16 I16 U32 I32 F32 F64 U64 I64; `check` and `set` see the new value as `v`.
 */
export interface Access {
  get: string;
  /** Throws unless `v` fits; must come before anything is written. */
  check: string;
  /** Stores `v`, all cells of the field saved already. */
  set: string;
  /** Stores `v` into zeroed cells of a record nobody has seen yet. The same as `set` unless given. */
  init?: string;
  /** Gives back what the field owns outside its record, before the record goes. */
  drop?: string;
}

/** Values that generated code needs by reference; everything else is spelled out in its text. */
export class Captures {
  readonly names: string[] = [];
  readonly values: unknown[] = [];
  constructor(readonly engine: Engine) {}
  add(value: unknown): string {
    const known = this.values.indexOf(value);
    if (known >= 0) return this.names[known]!;
    const name = `K${this.values.length}`;
    this.names.push(name);
    this.values.push(value);
    return name;
  }
}

/** `V`: what a read gives. `I`: what a write takes. Both exist for the compiler alone. */
export abstract class Type<V, I = V> {
  declare readonly value: V;
  declare readonly init: I;
  abstract readonly kind: string;
  abstract readonly size: number;
  abstract readonly align: number;
  /** One machine store writes it whole, so that outside a transaction it needs no log. */
  abstract readonly single: boolean;
  abstract describe(): TypeDescription;
  abstract access(byte: number, path: string, captures: Captures): Access;
}

export type AnyType = Type<unknown, unknown>;

/** Called by generated code when a value does not fit its field. */
export function refuse(path: string, expected: string, value: unknown): never {
  throw new StoreError(
    'ERR_VALUE',
    `${path}: ${show(value)} (${typeof value}) does not fit; expected ${expected}.`,
  );
}
