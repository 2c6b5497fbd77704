import {types} from 'node:util';
import {StoreError} from '../errors.js';
import {compileRow, type Row} from '../schema/element.js';
import {BigType, NumberType, UintType} from '../schema/scalars.js';
import {MAX_UNITS, readText, WIDE} from '../schema/text.js';
import {type AnyType, refuse} from '../schema/type.js';
import {BytesType, StringType} from '../schema/variable.js';
import type {Checker} from '../segment/check.js';
import type {Engine} from '../segment/engine.js';
import {CELL} from '../segment/memory.js';
import {keyedHash} from './keyed-hash.js';

/*
 * Keys of hash maps. Integers lie in one cell as their type says. Strings and bytes lie in four:
 *
 *   u32 length (as in text.ts; of bytes: their number) | 28 bytes: the content, or u32 payload cell of it when it is longer
 *
 * padded with zeros to whole words, so that hashing and comparing go a word at a time.
 */
export interface KeyCodec<K> {
  readonly cells: number;
  /**
   * Makes `key` the current one and gives its hash; undefined when no such key can be in the map. With a secret of 0 the hash
   * is a quick one, which has none.
   */
  prepare(key: K, secret: number): number | undefined;
  /** The hash of the key at `cell` by a secret that is not 0; the current key stays. */
  hashAt(cell: number, secret: number): number;
  /** Throws unless `key` can be stored. */
  check(key: unknown): void;
  /** True when the key at `cell` is the current one. */
  matches(cell: number): boolean;
  /** Stores the current key into cells that need no saving. */
  store(cell: number, key: K): void;
  read(cell: number): K;
  drop(cell: number): void;
  verify(checker: Checker, cell: number, path: string): void;
}

const MIX = 0x9e3779b1;
const INLINE_WORDS = 7;

function finish(h: number): number {
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  return (h ^ (h >>> 13)) >>> 0;
}

/** The current key in words, and the length word before them. Grows with the longest key ever asked for. */
let words = new Uint32Array(64);
let count = 0;
let length = 0;

function room(n: number): void {
  if (n > words.length) words = new Uint32Array(n * 2);
}

/** Packs a string and hashes it in the same pass: four latin1 units a word, one multiplication a word. */
function packText(key: string): number {
  const n = key.length;
  room((n >> 2) + 1);
  const w = words;
  let h = n;
  let all = 0;
  let i = 0;
  let k = 0;
  for (; i + 3 < n; i += 4) {
    const [a, b, c, d] = [
      key.charCodeAt(i),
      key.charCodeAt(i + 1),
      key.charCodeAt(i + 2),
      key.charCodeAt(i + 3),
    ];
    all |= a | b | c | d;
    const word = a | (b << 8) | (c << 16) | (d << 24);
    w[k++] = word;
    h = Math.imul(h ^ word, MIX);
    h ^= h >>> 15;
  }
  if (i < n) {
    let word = 0;
    for (let shift = 0; i < n; i++, shift += 8) {
      const unit = key.charCodeAt(i);
      all |= unit;
      word |= unit << shift;
    }
    w[k++] = word;
    h = Math.imul(h ^ word, MIX);
    h ^= h >>> 15;
  }
  if (all > 255) return packWide(key);
  count = k;
  length = n;
  return finish(h);
}

function packWide(key: string): number {
  const n = key.length;
  room((n >> 1) + 1);
  let h = n;
  let k = 0;
  for (let i = 0; i < n; i += 2) {
    // Past the end charCodeAt is NaN, which the shift turns into 0.
    const word = key.charCodeAt(i) | (key.charCodeAt(i + 1) << 16);
    words[k++] = word;
    h = Math.imul(h ^ word, MIX);
    h ^= h >>> 15;
  }
  count = k;
  length = n + WIDE;
  return finish(h);
}

function packBytes(key: Uint8Array): number {
  const n = key.length;
  room((n >> 2) + 1);
  let h = n;
  let k = 0;
  for (let i = 0; i < n; i += 4) {
    const word = key[i]! | ((key[i + 1] ?? 0) << 8) | ((key[i + 2] ?? 0) << 16) | ((key[i + 3] ?? 0) << 24);
    words[k++] = word;
    h = Math.imul(h ^ word, MIX);
    h ^= h >>> 15;
  }
  count = k;
  length = n;
  return finish(h);
}

abstract class PackedKey<K> implements KeyCodec<K> {
  readonly cells = 4;
  constructor(
    protected readonly engine: Engine,
    protected readonly path: string,
  ) {}
  abstract prepare(key: K, secret: number): number | undefined;
  abstract check(key: unknown): void;
  abstract read(cell: number): K;
  protected abstract bytesOf(length: number): number;

  matches(cell: number): boolean {
    const {u32} = this.engine.memory;
    const word = cell * 2;
    if (u32[word] !== length) return false;
    const from = count <= INLINE_WORDS ? word + 1 : u32[word + 1]! * 2;
    const w = words;
    for (let i = 0; i < count; i++) if (u32[from + i] !== w[i]) return false;
    return true;
  }

  store(cell: number): void {
    const {memory, heap} = this.engine;
    const {u32} = memory;
    const word = cell * 2;
    u32[word] = length;
    let to = word + 1;
    if (count > INLINE_WORDS) {
      const payload = heap.alloc(count * 4);
      u32[word + 1] = payload;
      to = payload * 2;
    }
    for (let i = 0; i < count; i++) u32[to + i] = words[i]!;
  }

  hashAt(cell: number, secret: number): number {
    const {u32} = this.engine.memory;
    const lengthWord = u32[cell * 2]!;
    return keyedHash(
      u32,
      this.content(cell) / 4,
      Math.ceil(this.bytesOf(lengthWord) / 4),
      lengthWord,
      secret,
    );
  }

  drop(cell: number): void {
    const {u32} = this.engine.memory;
    if (!this.inline(u32[cell * 2]!)) this.engine.heap.free(u32[cell * 2 + 1]!);
  }

  verify(checker: Checker, cell: number, path: string): void {
    const {u32} = this.engine.memory;
    const bytes = this.bytesOf(u32[cell * 2]!);
    if (!this.inline(u32[cell * 2]!) && !checker.block(u32[cell * 2 + 1]!, bytes, `${path} (its key)`))
      return;
    // Its padding is compared, too.
    const found = checker.attempt(() => this.prepare(this.read(cell), 0) !== undefined && this.matches(cell));
    if (found === false) checker.problem(`${path} (its key)`, 'is not padded with zeros');
  }

  protected inline(lengthWord: number): boolean {
    return this.bytesOf(lengthWord) <= INLINE_WORDS * 4;
  }

  /** The byte where the content of the key at `cell` begins. */
  protected content(cell: number): number {
    const {u32} = this.engine.memory;
    if (this.inline(u32[cell * 2]!)) return cell * CELL + 4;
    const payload = u32[cell * 2 + 1]!;
    if (this.bytesOf(u32[cell * 2]!) > this.engine.heap.room(payload))
      throw new StoreError(
        'ERR_CORRUPT',
        `${this.path}: the length of a key goes beyond its block; run check().`,
      );
    return payload * CELL;
  }
}

class StringKey extends PackedKey<string> {
  prepare(key: string, secret: number): number | undefined {
    if (typeof key !== 'string') return undefined;
    const quick = packText(key);
    return secret === 0 ? quick : keyedHash(words, 0, count, length, secret);
  }
  check(key: unknown): void {
    if (typeof key !== 'string' || key.length > MAX_UNITS) refuse(`${this.path} (its key)`, 'a string', key);
  }
  read(cell: number): string {
    const lengthWord = this.engine.memory.u32[cell * 2]!;
    const wide = lengthWord >= WIDE;
    // The content of an inline key begins at an odd word: wide units there are still aligned to two bytes.
    return readText(this.engine.memory, this.content(cell), wide ? lengthWord - WIDE : lengthWord, wide);
  }
  protected bytesOf(lengthWord: number): number {
    return lengthWord >= WIDE ? (lengthWord - WIDE) * 2 : lengthWord;
  }
}

class BytesKey extends PackedKey<Uint8Array> {
  prepare(key: Uint8Array, secret: number): number | undefined {
    if (!types.isUint8Array(key)) return undefined;
    const quick = packBytes(key);
    return secret === 0 ? quick : keyedHash(words, 0, count, length, secret);
  }
  check(key: unknown): void {
    if (!types.isUint8Array(key)) refuse(`${this.path} (its key)`, 'a Uint8Array', key);
  }
  read(cell: number): Uint8Array {
    const from = this.content(cell);
    return this.engine.memory.u8.slice(from, from + this.engine.memory.u32[cell * 2]!);
  }
  protected bytesOf(lengthWord: number): number {
    return lengthWord;
  }
}

const halves = new Uint32Array(2);

function hashInteger(key: number | bigint, secret: number): number | undefined {
  let [low, high] = [0, 0];
  if (typeof key === 'number') [low, high] = [key | 0, Math.floor(key / 2 ** 32) | 0];
  else if (typeof key === 'bigint')
    [low, high] = [Number(BigInt.asIntN(32, key)), Number(BigInt.asIntN(32, key >> 32n))];
  else return undefined;
  if (secret === 0) return finish(Math.imul(low, MIX) ^ Math.imul(high, 0x85ebca77));
  [halves[0], halves[1]] = [low, high];
  return keyedHash(halves, 0, 2, 0, secret);
}

class IntegerKey implements KeyCodec<number | bigint> {
  readonly cells = 1;
  private current: number | bigint = 0;
  private readonly row: Row<number | bigint>;
  constructor(
    private readonly engine: Engine,
    type: AnyType,
    path: string,
  ) {
    this.row = compileRow(type, engine, `${path} (its key)`);
  }
  prepare(key: number | bigint, secret: number): number | undefined {
    this.current = key;
    return hashInteger(key, secret);
  }
  hashAt(cell: number, secret: number): number {
    return hashInteger(this.read(cell), secret)!;
  }
  check(): void {} // storing it checks
  matches(cell: number): boolean {
    return this.row.get(cell, 0, 0, 0) === this.current;
  }
  store(cell: number, key: number | bigint): void {
    this.engine.memory.f64[cell] = 0;
    this.row.init(cell, 0, key);
  }
  read(cell: number): number | bigint {
    return this.row.get(cell, 0, 0, 0);
  }
  drop(): void {}
  verify(): void {}
}

export function isKeyType(type: unknown): type is AnyType {
  if (type instanceof NumberType) return type.kind !== 'f32' && type.kind !== 'f64';
  return (
    type instanceof StringType ||
    type instanceof BytesType ||
    type instanceof UintType ||
    type instanceof BigType
  );
}

export function keyCells(type: AnyType): number {
  return type instanceof StringType || type instanceof BytesType ? 4 : 1;
}

export function keyCodec<K>(type: AnyType, engine: Engine, path: string): KeyCodec<K> {
  const codec =
    type instanceof StringType
      ? new StringKey(engine, path)
      : type instanceof BytesType
        ? new BytesKey(engine, path)
        : new IntegerKey(engine, type, path);
  return codec as unknown as KeyCodec<K>;
}
