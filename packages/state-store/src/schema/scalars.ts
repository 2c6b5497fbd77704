import {StoreError} from '../errors.js';
import type {Checker} from '../segment/check.js';
import {type Access, type Captures, refuse, Type, type TypeDescription} from './type.js';

interface NumberRule {
  size: 1 | 2 | 4 | 8;
  array: string;
  expected: string;
  /** True when a number `v` fits. */
  fits: string;
}

// A range check by the same machine operation that the store would do: what changes in it does not fit.
const NUMBERS = {
  u8: {size: 1, array: 'U8', expected: 'an integer from 0 to 255', fits: 'v===(v&255)'},
  u16: {size: 2, array: 'U16', expected: 'an integer from 0 to 65535', fits: 'v===(v&65535)'},
  u32: {size: 4, array: 'U32', expected: 'an integer from 0 to 4294967295', fits: 'v===v>>>0'},
  i8: {size: 1, array: 'I8', expected: 'an integer from -128 to 127', fits: 'v===v<<24>>24'},
  i16: {size: 2, array: 'I16', expected: 'an integer from -32768 to 32767', fits: 'v===v<<16>>16'},
  i32: {size: 4, array: 'I32', expected: 'an integer from -2147483648 to 2147483647', fits: 'v===(v|0)'},
  f32: {size: 4, array: 'F32', expected: 'a number', fits: ''},
  f64: {size: 8, array: 'F64', expected: 'a number', fits: ''},
} as const satisfies Record<string, NumberRule>;

/** `t.u8` to `t.i32`, `t.f32`, `t.f64`. */
export class NumberType extends Type<number> {
  override readonly size: number;
  override readonly align: number;
  override readonly single = true;
  constructor(override readonly kind: keyof typeof NUMBERS) {
    super();
    this.size = this.align = NUMBERS[kind].size;
  }
  override describe(): TypeDescription {
    return {kind: this.kind, size: this.size};
  }
  override access(byte: number, path: string, captures: Captures): Access {
    const {array, size, expected, fits: inRange} = NUMBERS[this.kind];
    const place = `${array}[${captures.element(size, byte)}]`;
    const fits = `typeof v==='number'${inRange === '' ? '' : `&&${inRange}`}`;
    return {
      get: place,
      fits,
      check: `if(!(${fits}))${captures.add(refuse)}(${JSON.stringify(path)},${JSON.stringify(expected)},v);`,
      set: `${place}=v;`,
    };
  }
}

/** `t.u64` and `t.i64`. */
export class BigType extends Type<bigint> {
  override readonly size = 8;
  override readonly align = 8;
  override readonly single = true;
  constructor(override readonly kind: 'u64' | 'i64') {
    super();
  }
  override describe(): TypeDescription {
    return {kind: this.kind, size: 8};
  }
  override access(byte: number, path: string, captures: Captures): Access {
    const unsigned = this.kind === 'u64';
    const place = `${unsigned ? 'U64' : 'I64'}[${captures.element(8, byte)}]`;
    const expected = unsigned ? 'a bigint from 0n to 2n**64n-1n' : 'a bigint from -(2n**63n) to 2n**63n-1n';
    const wrap = unsigned ? 'BigInt.asUintN' : 'BigInt.asIntN';
    return {
      get: place,
      check: `if(typeof v!=='bigint'||${wrap}(64,v)!==v)${captures.add(refuse)}(${JSON.stringify(path)},${JSON.stringify(expected)},v);`,
      set: `${place}=v;`,
    };
  }
}

// One 64-bit store of two 32-bit halves: put together here, moved as a double. The high half of a safe integer is below
// 2^21, so the pattern is a denormal or tiny number, never a NaN whose bits a move might change.
const halves = new Uint32Array(2);
const whole = new Float64Array(halves.buffer);

/** A number from 0 to 2^53-1, stored as a little-endian u64 so that C reads a uint64_t. */
export class UintType extends Type<number> {
  override readonly size = 8;
  override readonly align = 8;
  override readonly single = true;
  override readonly kind = 'uint';
  override describe(): TypeDescription {
    return {kind: 'uint', size: 8};
  }
  override access(byte: number, path: string, captures: Captures): Access {
    const low = `U32[${captures.element(4, byte)}]`;
    const high = `U32[${captures.element(4, byte + 4)}]`;
    const [h, w] = [captures.add(halves), captures.add(whole)];
    return {
      get: `(${low}+${high}*4294967296)`,
      fits: `Number.isSafeInteger(v)&&v>=0`,
      check: `if(!Number.isSafeInteger(v)||v<0)${captures.add(refuse)}(${JSON.stringify(path)},${'"an integer from 0 to 2**53-1"'},v);`,
      // Mostly the high half stays as it is: then the low half alone is the one store.
      set: `{const l=v>>>0,q=(v-l)/4294967296;if(${high}===q)${low}=l;else{${h}[0]=l;${h}[1]=q;F64[${captures.element(8, byte)}]=${w}[0];}}`,
    };
  }
}

/** A uint8_t of 0 or 1. */
export class BoolType extends Type<boolean> {
  override readonly kind = 'bool';
  override readonly size = 1;
  override readonly align = 1;
  override readonly single = true;
  override describe(): TypeDescription {
    return {kind: 'bool', size: 1};
  }
  override access(byte: number, path: string, captures: Captures): Access {
    const place = `U8[${captures.element(1, byte)}]`;
    return {
      get: `(${place}!==0)`,
      fits: `typeof v==='boolean'`,
      check: `if(typeof v!=='boolean')${captures.add(refuse)}(${JSON.stringify(path)},'true or false',v);`,
      set: `${place}=v?1:0;`,
    };
  }
  override verify(checker: Checker, cell: number, byte: number, path: string): void {
    const stored = checker.engine.memory.u8[cell * 8 + byte]!;
    if (stored > 1) checker.problem(path, `a bool of ${stored}`);
  }
}

/** One of a list of names `N`, stored as its number in one byte. */
export class EnumType<N extends string> extends Type<N> {
  override readonly kind = 'enum';
  override readonly size = 1;
  override readonly align = 1;
  override readonly single = true;
  constructor(readonly names: readonly N[]) {
    super();
    if (names.length < 1 || names.length > 256)
      throw new StoreError('ERR_SCHEMA', `t.enum: ${names.length} names; expected 1 to 256.`);
    if (new Set(names).size !== names.length)
      throw new StoreError('ERR_SCHEMA', `t.enum: a name stands twice in ${names.join(', ')}.`);
    for (const name of names)
      if (typeof name !== 'string') throw new StoreError('ERR_SCHEMA', 't.enum takes strings.');
  }
  override describe(): TypeDescription {
    return {kind: 'enum', size: 1, names: this.names};
  }
  override access(byte: number, path: string, captures: Captures): Access {
    const place = `U8[${captures.element(1, byte)}]`;
    const names = captures.add(this.names);
    const numbers = captures.add(new Map(this.names.map((name, i) => [name, i])));
    return {
      get: `${names}[${place}]`,
      check: `v=${numbers}.get(v)??${captures.add(refuse)}(${JSON.stringify(path)},${JSON.stringify(`one of ${this.names.join(', ')}`)},v);`,
      set: `${place}=v;`,
    };
  }
  override verify(checker: Checker, cell: number, byte: number, path: string): void {
    const stored = checker.engine.memory.u8[cell * 8 + byte]!;
    if (stored >= this.names.length) checker.problem(path, `name number ${stored} of ${this.names.length}`);
  }
}

/** The milliseconds of a Date, of whatever realm; NaN of anything else. */
export function timeOf(v: unknown): number {
  try {
    return Date.prototype.getTime.call(v); // it looks at the object itself, not at whose class made it
  } catch {
    return Number.NaN;
  }
}

/** Milliseconds since 1970 as a little-endian i64. Reads as a Date; writes take a Date or the milliseconds. */
export class TimestampType extends Type<Date, Date | number, Date> {
  override readonly kind = 'timestamp';
  override readonly size = 8;
  override readonly align = 8;
  override readonly single = true;
  override describe(): TypeDescription {
    return {kind: 'timestamp', size: 8};
  }
  override access(byte: number, path: string, captures: Captures): Access {
    const place = `I64[${captures.element(8, byte)}]`;
    const expected = 'a valid Date or its milliseconds';
    return {
      get: `new Date(Number(${place}))`,
      check: `v=typeof v==='number'?v:${captures.add(timeOf)}(v);if(!Number.isInteger(v)||Math.abs(v)>864e13)${captures.add(refuse)}(${JSON.stringify(path)},${JSON.stringify(expected)},v);`,
      set: `${place}=BigInt(v);`,
    };
  }
}
