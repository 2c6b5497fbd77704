import {types} from 'node:util';
import type {ByteBuffer} from 'flatbuffers';
import * as flatbuffers from 'flatbuffers';
import {StoreError} from '../errors.js';
import type {Checker} from '../segment/check.js';
import type {Engine} from '../segment/engine.js';
import {CELL} from '../segment/memory.js';
import {isWide, MAX_UNITS, readText, WIDE, writeText} from './text.js';
import {type Access, type Captures, refuse, Type, type TypeDescription} from './type.js';

/*
 * A value of any length, in a heap block of its own; in the record:
 *
 *   u32 first payload cell, or 0 | u32 length          empty: both 0
 *
 * A write fills a fresh block, then swaps the cell: the old content is intact until the transaction commits.
 */
abstract class VariableType<V, I = V> extends Type<V, I> {
  override readonly size = CELL;
  override readonly align = CELL;
  override readonly single = false;
  protected abstract read(engine: Engine, cell: number, length: number, path: string): V;
  /** Throws unless `v` fits. */
  protected abstract fit(v: unknown, path: string): void;
  /** Bytes of the content and the length word that tells them. */
  protected abstract measure(v: I): {bytes: number; length: number};
  protected abstract fill(engine: Engine, byte: number, v: I, length: number): void;
  protected abstract bytesOf(length: number): number;

  override describe(): TypeDescription {
    return {kind: this.kind, size: this.size};
  }

  override access(byte: number, path: string, captures: Captures): Access {
    const {engine} = captures;
    const {memory, heap} = engine;
    const cell = captures.element(8, byte);
    const word = captures.element(4, byte);
    const read = captures.add((payload: number, length: number) => {
      if (payload === 0 ? length !== 0 : this.bytesOf(length) > heap.room(payload))
        throw new StoreError('ERR_CORRUPT', `${path}: its length goes beyond its block; run check().`);
      return this.read(engine, payload, length, path);
    });
    const fit = captures.add((v: unknown) => this.fit(v, path));
    const store = captures.add((target: number, v: I) => {
      const {bytes, length} = this.measure(v);
      const payload = bytes === 0 ? 0 : heap.alloc(bytes);
      if (payload !== 0) this.fill(engine, payload * CELL, v, length);
      memory.u32[target * 2] = payload;
      memory.u32[target * 2 + 1] = length;
    });
    const free = captures.add((payload: number) => heap.free(payload));
    return {
      get: `${read}(U32[${word}],U32[${captures.element(4, byte + 4)}])`,
      check: `${fit}(v);`,
      init: `${store}(${cell},v);`,
      // The new block first: a full heap throws before anything changed. The old one is named by what the log saved.
      set: `{const old=U32[${word}];${store}(${cell},v);${free}(old);}`,
      drop: `${free}(U32[${word}]);`,
    };
  }

  override verify(checker: Checker, cell: number, byte: number, path: string): void {
    const {u32} = checker.engine.memory;
    const word = cell * 2 + byte / 4;
    if (u32[word] === 0 && u32[word + 1] === 0) return;
    checker.block(u32[word]!, this.bytesOf(u32[word + 1]!), path);
  }
}

/** A string of any length: u32 first cell of the content | u32 length. */
export class StringType extends VariableType<string> {
  override readonly kind = 'string';
  protected override read({memory}: Engine, cell: number, length: number): string {
    return length === 0
      ? ''
      : readText(memory, cell * CELL, length >= WIDE ? length - WIDE : length, length >= WIDE);
  }
  protected override fit(v: unknown, path: string): void {
    if (typeof v !== 'string' || v.length > MAX_UNITS) refuse(path, 'a string', v);
  }
  protected override measure(v: string): {bytes: number; length: number} {
    return isWide(v) ? {bytes: v.length * 2, length: v.length + WIDE} : {bytes: v.length, length: v.length};
  }
  protected override fill({memory}: Engine, byte: number, v: string, length: number): void {
    writeText(memory, byte, v, length >= WIDE);
  }
  protected override bytesOf(length: number): number {
    return length >= WIDE ? (length - WIDE) * 2 : length;
  }
}

/** Bytes of any number. A read gives a copy. */
export class BytesType extends VariableType<Uint8Array> {
  override readonly kind = 'bytes';
  protected override read({memory}: Engine, cell: number, length: number): Uint8Array {
    return memory.u8.slice(cell * CELL, cell * CELL + length);
  }
  protected override fit(v: unknown, path: string): void {
    if (!types.isUint8Array(v) || v.length >= WIDE) refuse(path, 'a Uint8Array', v);
  }
  protected override measure(v: Uint8Array): {bytes: number; length: number} {
    return {bytes: v.length, length: v.length};
  }
  protected override fill({memory}: Engine, byte: number, v: Uint8Array): void {
    memory.u8.set(v, byte);
  }
  protected override bytesOf(length: number): number {
    return length;
  }
}

/**
 * A finished FlatBuffer, kept as it is and read where it lies: a read gives the generated table over the segment, or
 * null when nothing was stored; it is good until the field is written again. A write takes the builder's asUint8Array().
 */
export class FlatBufferType<T> extends VariableType<T | null, Uint8Array> {
  override readonly kind = 'flatbuffer';
  constructor(private readonly rootAs: (bytes: ByteBuffer) => T) {
    super();
    if (typeof rootAs !== 'function')
      throw new StoreError(
        'ERR_SCHEMA',
        't.flatbuffer expects the generated function that finds the root, such as Monster.getRootAsMonster.',
      );
  }
  protected override read({memory}: Engine, cell: number, length: number): T | null {
    if (length === 0) return null;
    return this.rootAs(new flatbuffers.ByteBuffer(memory.u8.subarray(cell * CELL, cell * CELL + length)));
  }
  override detach(table: unknown): unknown {
    const {bb} = (table ?? {}) as {bb?: ByteBuffer};
    return bb ? this.rootAs(new flatbuffers.ByteBuffer(bb.bytes().slice())) : table;
  }
  protected override fit(v: unknown, path: string): void {
    if (!types.isUint8Array(v) || v.length < 8)
      refuse(path, 'a finished FlatBuffer as a Uint8Array (builder.asUint8Array())', v);
  }
  protected override measure(v: Uint8Array): {bytes: number; length: number} {
    return {bytes: v.length, length: v.length};
  }
  protected override fill({memory}: Engine, byte: number, v: Uint8Array): void {
    memory.u8.set(v, byte);
  }
  protected override bytesOf(length: number): number {
    return length;
  }
}
