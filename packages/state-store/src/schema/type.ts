import {StoreError, show} from '../errors.js';
import type {Checker} from '../segment/check.js';
import type {Engine} from '../segment/engine.js';
import {CELL} from '../segment/memory.js';

/** A type as plain data: what is fingerprinted, stored in the segment and compared. */
export interface TypeDescription {
  /** Such as 'u8', 'string', 'struct' or 'table'; docs/state-store/format.md lists them. */
  kind: string;
  /** Bytes in the record around it. */
  size: number;
  /** Of a struct, or of the one that a ref names. */
  name?: string;
  /** Of what has a fixed number of values or bytes. */
  length?: number;
  /** Of an enum; the tags of a union. */
  names?: readonly string[];
  /** What it is made of: the values of a collection, key and value of a map, the variants of a union. */
  of?: TypeDescription[];
  /** Of a struct, each with its offset in bytes. */
  fields?: {name: string; offset: number; type: TypeDescription}[];
}

/**
 * How generated code reads and writes one field. The texts see `c`, the first cell of the record, and the typed arrays
 * U8 I8 U16 I16 U32 I32 F32 F64 U64 I64; `check` and `set` see the new value as `v`.
 */
export interface Access {
  get: string;
  /** An expression: true if `v` can be stored as it is. Given where that is quickly told. */
  fits?: string;
  /** Throws unless `v` fits; must come before anything is written. */
  check: string;
  /** Stores `v`, all cells of the field saved already. */
  set: string;
  /** Stores `v` into zeroed cells of a record nobody has seen yet. The same as `set` unless given. */
  init?: string;
  /** Gives back what the field owns outside its record, before the record goes. */
  drop?: string;
}

/** The text that makes `size` bytes zero, `byte` bytes behind cell `c`: what every type takes for its first value. */
export function zeros(byte: number, size: number): string {
  if (size > 32) return `U8.fill(0,c*8+${byte},c*8+${byte + size});`;
  let text = '';
  for (let at = byte; at < byte + size; )
    if (at % CELL === 0 && at + CELL <= byte + size) {
      text += `F64[c+${at / CELL}]=0;`;
      at += CELL;
    } else text += `U8[c*8+${at++}]=0;`;
  return text;
}

/** A byte, counted from a cell, that says what lies there: as long as it has this value, what was found there is there. */
export interface Guard {
  byte: number;
  value: number;
}

/** The same bytes counted from a cell that lies `byte` bytes further. */
export function seenFrom(byte: number, guards: readonly Guard[]): Guard[] {
  return guards.map(guard => ({...guard, byte: guard.byte - byte}));
}

/** Values that generated code needs by reference; everything else is spelled out in its text. */
export class Captures {
  readonly names: string[] = [];
  readonly values: unknown[] = [];
  private variables = 0;
  /**
   * Put behind an index that cannot leave 32 bits, not even one that counts bytes: it spares the machine code the tests for
   * an overflow. A segment that may yet grow has none.
   */
  readonly int: '|0' | '';
  constructor(
    readonly engine: Engine,
    /** How the text names the generation word and the generation of the record around it. */
    readonly g = 'this.#g',
    readonly n = 'this.#n',
    /** What must hold besides, for handles to what is described here to be live; counted from cell `c`. */
    public guards: readonly Guard[] = [],
  ) {
    this.int = engine.settled && engine.memory.byteLength <= 2 ** 31 ? '|0' : '';
  }
  /** The index of the element of a view that lies `byte` bytes behind cell `c`. */
  element(size: number, byte: number): string {
    if (size === CELL && byte === 0) return 'c';
    const perCell = CELL / size;
    const scaled = perCell === 1 ? 'c' : this.int ? `(c<<${Math.log2(perCell)})` : `c*${perCell}`;
    return `${byte === 0 ? scaled : `${scaled}+${byte / size}`}${this.int}`;
  }
  /** The access of what is there only while a guard holds. */
  under(guard: Guard, access: () => Access): Access {
    const {guards} = this;
    this.guards = [...guards, guard];
    try {
      return access();
    } finally {
      this.guards = guards;
    }
  }
  /** A name for a variable of the generated text that no other access uses. */
  variable(): string {
    return `x${this.variables++}`;
  }
  add(value: unknown): string {
    const known = this.values.indexOf(value);
    if (known >= 0) return this.names[known]!;
    const name = `K${this.values.length}`;
    this.names.push(name);
    this.values.push(value);
    return name;
  }
}

/** Why a value that looks like a type is none: it was made by another copy of this package, as a plugin brings one. */
export function strangeness(value: unknown): string {
  const looksLikeOne = typeof (value as Partial<Type<unknown>> | null | undefined)?.describe === 'function';
  return looksLikeOne
    ? ' of this copy of @zlr/state-store: it was made by another copy, and a program must use one (npm ls @zlr/state-store)'
    : '';
}

/**
 * What all that `t` makes has in common. `value`, `init` and `json` exist for the compiler alone.
 *
 * @typeParam V - what a read gives
 * @typeParam I - what a write takes
 * @typeParam J - what toJSON gives
 */
export abstract class Type<V, I = V, J = V> {
  /** What a read gives, as a type: `typeof Visit.value`. */
  declare readonly value: V;
  /** What a write takes. */
  declare readonly init: I;
  /** What toJSON gives. */
  declare readonly json: J;
  /** Such as 'u8' or 'table'. */
  abstract readonly kind: string;
  /** Bytes in the record around it. */
  abstract readonly size: number;
  /** Its offset in the record is a multiple of this, in bytes. */
  abstract readonly align: number;
  /** @internal One machine store writes it whole, so that outside a transaction it needs no log. */
  abstract readonly single: boolean;
  /** @internal Made of several values, of which a later one may be refused when earlier ones are written. */
  get compound(): boolean {
    return false;
  }
  /** The type as plain data. */
  abstract describe(): TypeDescription;
  /** @internal */
  abstract access(byte: number, path: string, captures: Captures): Access;
  /** @internal Part of check(): looks at the field `byte` bytes behind `cell` and trusts nothing there. */
  verify(_checker: Checker, _cell: number, _byte: number, _path: string): void {}
  /**
   * @internal What is to be written, or was read, so that it stays when its place is written over: live records and views
   * become objects and arrays. Records that a ref names stay records.
   */
  detach(value: unknown): unknown {
    return value;
  }
  /** @internal A value as plain data, nothing in it live. */
  plain(value: V): J {
    return value as unknown as J;
  }
  /** The same type, or null: null until something is written. One byte more, rounded up. */
  optional(): Type<V | null, I | null, J | null> {
    return new OptionalType(this);
  }
}

/** A type of whatever values. */
// biome-ignore lint/suspicious/noExplicitAny: the one place where "some type" must match every V, I and J, in both directions
export type AnyType = Type<any, any, any>;

/** The value, then one byte: 1 when there is one. In C: struct {T value; uint8_t present;}. */
export class OptionalType<V, I, J> extends Type<V | null, I | null, J | null> {
  override readonly kind = 'optional';
  override readonly size: number;
  override readonly align: number;
  override readonly single = false;
  constructor(readonly inner: Type<V, I, J>) {
    super();
    this.align = inner.align;
    this.size = Math.ceil((inner.size + 1) / inner.align) * inner.align;
  }
  override describe(): TypeDescription {
    return {kind: 'optional', size: this.size, of: [this.inner.describe()]};
  }
  override access(byte: number, path: string, captures: Captures): Access {
    const {
      get,
      check,
      set,
      init = set,
      drop = '',
    } = captures.under({byte: byte + this.inner.size, value: 1}, () =>
      this.inner.access(byte, path, captures),
    );
    const gone = this.compound ? 'M.invalidate();' : '';
    const present = `U8[c*8+${byte + this.inner.size}]`;
    const dropped = drop ? `if(${present}!==0){${drop}}` : '';
    // Asked before the inner check, which may put another value in the place of v: null, of a union of optional values.
    const given = captures.variable();
    return {
      get: `(${present}!==0?${get}:null)`,
      check: `var ${given}=v!==undefined&&v!==null;if(${given}){${check}}`,
      set: `if(!${given}){${dropped}${gone}${zeros(byte, this.size)}}else if(${present}!==0){${set}}else{${init}${present}=1;}`,
      init: `if(${given}){${init}${present}=1;}`,
      drop: dropped,
    };
  }
  override get compound(): boolean {
    return this.inner.compound;
  }
  override detach(value: unknown): unknown {
    return value === null || value === undefined ? value : this.inner.detach(value);
  }
  override plain(value: V | null): J | null {
    return value === null ? null : this.inner.plain(value);
  }
  override verify(checker: Checker, cell: number, byte: number, path: string): void {
    const present = checker.engine.memory.u8[cell * 8 + byte + this.inner.size]!;
    if (present > 1) checker.problem(path, `its presence byte is ${present}`);
    if (present === 1) this.inner.verify(checker, cell, byte, path);
  }
}

/** Called by generated code when a value does not fit its field. */
export function refuse(path: string, expected: string, value: unknown): never {
  throw new StoreError(
    'ERR_VALUE',
    `${path}: ${show(value)} (${typeof value}) does not fit; expected ${expected}.`,
  );
}
