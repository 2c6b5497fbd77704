import assert from 'node:assert/strict';
import type {Backing} from '../../src/backends/backing.js';
import {busy} from '../../src/backends/busy.js';
import {ThreadSeats} from '../../src/backends/thread-seats.js';
import {enter} from '../../src/opening/enter.js';
import {Struct} from '../../src/schema/struct.js';
import {recognise} from '../../src/segment/header.js';
import {type AtomicStores, Memory} from '../../src/segment/memory.js';
import {Tenure} from '../../src/segment/tenure.js';
import type {Schema, Store} from '../../src/store/store.js';

/** One store to the segment: what an instruction, or a part of a bulk copy, left behind. */
export interface Recorded {
  offset: number;
  bytes: Uint8Array;
}

type Numbers = Uint8Array | Float64Array | BigUint64Array;

/** A memory that sees every store, by way of proxies around its typed arrays. */
class RecordingMemory extends Memory {
  declare recorded: Recorded[] | undefined;
  override attach(bytes: Uint8Array): void {
    super.attach(bytes);
    this.watch();
  }

  private watch(): void {
    for (const name of [
      'u8',
      'i8',
      'u16',
      'i16',
      'u32',
      'i32',
      'f32',
      'f64',
      'u64',
      'i64',
      'buffer',
    ] as const) {
      const real = this[name] as unknown as Numbers;
      Object.defineProperty(this, name, {value: this.proxy(real), configurable: true, writable: true});
    }
    const real = (array: object, index: number): [Numbers, number] => [
      (array as {real?: Numbers}).real ?? (array as Numbers),
      index,
    ];
    this.atomics = {
      load: (array: object, index: number) => real(array, index)[0][index],
      store: (array: object, index: number, value: never) => {
        const [target] = real(array, index);
        target[index] = value;
        this.note(target, index, index + 1);
        return value;
      },
      compareExchange: (array: object, index: number, expected: bigint, value: never) => {
        const [target] = real(array, index);
        const before = target[index];
        if (before === (expected as never)) {
          target[index] = value;
          this.note(target, index, index + 1);
        }
        return before;
      },
    } as unknown as AtomicStores;
    for (const listener of (this as unknown as {listeners: (() => void)[]}).listeners ?? []) listener();
  }

  /** A bulk write counts as two stores, so that it is cut in its middle as well. */
  private note(array: Numbers, from: number, to: number): void {
    if (!this.recorded || to <= from) return;
    const width = array.BYTES_PER_ELEMENT;
    const middle = to - from > 1 ? Math.floor((from + to) / 2) : to;
    for (const [a, b] of [
      [from, middle],
      [middle, to],
    ] as const) {
      if (b <= a) continue;
      const bytes = new Uint8Array(
        array.buffer as ArrayBuffer,
        array.byteOffset + a * width,
        (b - a) * width,
      ).slice();
      this.recorded.push({offset: array.byteOffset + a * width - this.origin, bytes});
    }
  }

  private origin = 0;

  private proxy(real: Numbers): Numbers {
    const memory = this;
    return new Proxy(real, {
      get(target, key) {
        if (key === 'real') return target;
        const value = Reflect.get(target, key, target) as unknown;
        if (typeof value !== 'function' || key === 'constructor') return value;
        if (key === 'fill')
          return (v: never, from = 0, to = target.length) => {
            target.fill(v, from, to);
            memory.note(target, from, to);
          };
        if (key === 'set')
          return (source: ArrayLike<never>, at = 0) => {
            target.set(source, at);
            memory.note(target, at, at + source.length);
          };
        if (key === 'copyWithin')
          return (at: number, from: number, to: number) => {
            target.copyWithin(at, from, to);
            memory.note(target, at, at + to - from);
          };
        if (key === 'write')
          return (text: string, at: number, ...rest: never[]) => {
            const written = (target as Buffer).write(text, at, ...rest);
            memory.note(target, at, at + written);
            return written;
          };
        return value.bind(target);
      },
      set(target, key, value) {
        const index = Number(key);
        target[index] = value as never;
        memory.note(target, index, index + 1);
        return true;
      },
    });
  }
}

export class Recorder {
  readonly bytes: Uint8Array;
  readonly memory: RecordingMemory;
  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.memory = new RecordingMemory(this.bytes);
  }
  start(): void {
    this.memory.recorded = [];
  }
  stop(): Recorded[] {
    const recorded = this.memory.recorded!;
    this.memory.recorded = undefined;
    return recorded;
  }
}

export function bytesOf(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes);
}

let count = 0;

/** Opens a store over bytes of one's own; zeros make a new one. */
export function openBytes<const S extends Schema>(
  bytes: Uint8Array,
  schema: S,
  memory = new Memory(bytes),
  logSize = '24KB',
): Store<S> {
  const seen = new Memory(bytes);
  seen.atomics = memory.atomics;
  const seats = new ThreadSeats(seen);
  const backing: Backing = {
    kind: 'memory',
    bytes,
    created: bytes.every(byte => byte === 0),
    place: `bytes ${count}`,
    where: `bytes ${count++}`,
    tenure: recognise(bytes) === 'foreign' ? undefined : new Tenure(seats),
    writable: true,
    bell: {ring() {}, listen: () => () => {}, remove() {}},
    address: () => 0n,
    abandoned: () => true,
    appear() {},
    blank: () => assert.fail(),
    enlarge: () => assert.fail(),
    replace() {},
    successor: () => backing,
    detach: () => backing.tenure?.leave(),
    destroy() {},
  };
  if (backing.tenure?.alone() === false) throw busy(backing.where, seats, seen, 'one');
  return enter(backing, 'bytes', new Struct('Root', schema), {logSize, memory});
}
