import {types} from 'node:util';
import {StoreError} from '../errors.js';
import type {Checker} from '../segment/check.js';
import type {Engine} from '../segment/engine.js';
import type {Memory} from '../segment/memory.js';
import {type Access, type Captures, refuse, Type, type TypeDescription} from './type.js';

function length(what: string, n: number): number {
  if (!Number.isSafeInteger(n) || n < 1 || n > 1 << 20)
    throw new StoreError('ERR_SCHEMA', `${what}(${n}): expected a length from 1 to ${1 << 20} bytes.`);
  return n;
}

/** UTF-8 bytes of `v`, or -1 when it holds a lone surrogate, which UTF-8 cannot say. */
export function utf8Length(v: string): number {
  let ascii = true;
  for (let i = 0; i < v.length; i++)
    if (v.charCodeAt(i) > 127) {
      ascii = false;
      break;
    }
  if (ascii) return v.length;
  return /\p{Surrogate}/u.test(v) ? -1 : Buffer.byteLength(v, 'utf8');
}

/** Returns the bytes written. Short ASCII is stored byte by byte: a call into C++ costs more than 24 stores. */
export function writeUtf8(memory: Memory, byte: number, v: string, max: number): number {
  const {length} = v;
  if (length <= 24) {
    const {u8} = memory;
    let i = 0;
    for (; i < length; i++) {
      const unit = v.charCodeAt(i);
      if (unit > 127) break;
      u8[byte + i] = unit;
    }
    if (i === length) return length;
  }
  return memory.buffer.write(v, byte, max, 'utf8');
}

export function checkString(v: unknown, max: number, path: string): void {
  const expected = `a string of at most ${max} bytes in UTF-8`;
  if (typeof v !== 'string') refuse(path, expected, v);
  const bytes = utf8Length(v);
  if (bytes < 0) refuse(path, 'a string without lone surrogates (UTF-8 has no form for them)', v);
  if (bytes > max) refuse(path, expected, v);
}

/** A string of at most `max` bytes inside its record: u32 length, then the bytes. In C: struct {uint32_t length; char bytes[max];}. */
export class FixedStringType extends Type<string> {
  override readonly kind = 'fixedString';
  override readonly size: number;
  override readonly align = 4;
  override readonly single = false;
  constructor(readonly max: number) {
    super();
    this.size = 4 + length('t.string', max);
  }
  override describe(): TypeDescription {
    return {kind: this.kind, size: this.size, length: this.max};
  }
  override access(byte: number, path: string, captures: Captures): Access {
    const {max} = this;
    const {memory} = captures.engine;
    const head = captures.element(4, byte);
    const read = (at: number, bytes: number): string => {
      if (bytes > max)
        throw new StoreError('ERR_CORRUPT', `${path}: its length says ${bytes} of at most ${max} bytes.`);
      return bytes === 0 ? '' : memory.buffer.toString('utf8', at, at + bytes);
    };
    const check = (v: unknown) => checkString(v, max, path);
    const write = (at: number, v: string) => writeUtf8(memory, at, v, max);
    return {
      get: `${captures.add(read)}(${captures.element(1, byte + 4)},U32[${head}])`,
      check: `${captures.add(check)}(v);`,
      set: `U32[${head}]=${captures.add(write)}(${captures.element(1, byte + 4)},v);`,
    };
  }
  override verify(checker: Checker, cell: number, byte: number, path: string): void {
    const length = checker.engine.memory.u32[cell * 2 + byte / 4]!;
    if (length > this.max) checker.problem(path, `its length says ${length} of at most ${this.max} bytes`);
  }
}

/** Exactly `count` bytes inside its record. A read gives a copy; a write takes as many bytes. In C: uint8_t[count]. */
export class FixedBytesType extends Type<Uint8Array> {
  override readonly kind = 'fixedBytes';
  override readonly size: number;
  override readonly align = 1;
  override readonly single = false;
  constructor(readonly count: number) {
    super();
    this.size = length('t.bytes', count);
  }
  override describe(): TypeDescription {
    return {kind: this.kind, size: this.size, length: this.count};
  }
  override access(byte: number, path: string, captures: Captures): Access {
    const {count} = this;
    const {memory}: Engine = captures.engine;
    const read = (at: number) => memory.u8.slice(at, at + count);
    const check = (v: unknown) => {
      if (!types.isUint8Array(v) || v.length !== count) refuse(path, `a Uint8Array of ${count} bytes`, v);
    };
    const write = (at: number, v: Uint8Array) => memory.u8.set(v, at);
    return {
      get: `${captures.add(read)}(${captures.element(1, byte)})`,
      check: `${captures.add(check)}(v);`,
      set: `${captures.add(write)}(${captures.element(1, byte)},v);`,
    };
  }
}
