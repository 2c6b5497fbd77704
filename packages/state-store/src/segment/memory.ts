import {StoreError} from '../errors.js';

/** The unit of everything in a segment: offsets are counted in cells of 8 bytes, so that 32 bits reach 32 GiB. */
export const CELL = 8;

/** Whole cells; the bytes of a file that was cut off may end anywhere. */
export function cellsOf(bytes: Uint8Array): number {
  return Math.floor(bytes.length / CELL);
}

/** What a write must do first. One number, so that the hot path of a setter tests it once. */
export const DIRECT = 0; // no transaction is open and a single store needs none
export const LOGGED = 1; // a transaction is open: save the old cell, then store
export const INDIRECT = 2; // closed, read-only or shared by several writers: take the slow path

export type Mode = typeof DIRECT | typeof LOGGED | typeof INDIRECT;

/**
 * What handles compare their stamp with, the moment they were last seen to be live: while nothing has ended since, they
 * need not look at the generation of their slot. One comparison more must not be needed for a write, so that `direct` is
 * the stamp that may also write by a mere store, and no stamp at all in the other modes.
 */
export interface Validity {
  /** Counts what ended. */
  epoch: number;
  /** The epoch. Beside other writers, whose ends are not seen here: a number the epoch never is. */
  stamp: number;
  direct: number;
  /** Let go of: the bytes may be there, but they are nobody's here. */
  closed: boolean;
}
const NO_STAMP = -1;
const NO_DIRECT = -2;

/** The part of Atomics a store uses. Tests put another one in to see every single store. */
export interface AtomicStores {
  load(array: Uint32Array, index: number): number;
  load(array: BigUint64Array, index: number): bigint;
  store(array: Uint32Array, index: number, value: number): number;
  store(array: BigUint64Array, index: number, value: bigint): bigint;
  compareExchange(array: Uint32Array, index: number, expected: number, value: number): number;
  compareExchange(array: BigUint64Array, index: number, expected: bigint, value: bigint): bigint;
}

/**
 * The typed views of one attached segment. Everything that touches the segment goes through one of these,
 * so that growing (new views) and closing (no views) happen in one place.
 */
export class Memory {
  u8!: Uint8Array;
  i8!: Int8Array;
  u16!: Uint16Array;
  i16!: Int16Array;
  u32!: Uint32Array;
  i32!: Int32Array;
  f32!: Float32Array;
  f64!: Float64Array;
  u64!: BigUint64Array;
  i64!: BigInt64Array;
  buffer!: Buffer;
  mode: Mode = DIRECT;
  readonly validity: Validity = {epoch: 0, stamp: 0, direct: 0, closed: false};
  atomics: AtomicStores = Atomics;
  private readonly listeners: (() => void)[] = [];

  constructor(bytes: Uint8Array) {
    this.attach(bytes);
  }

  attach(bytes: Uint8Array): void {
    const {buffer, byteOffset} = bytes;
    const length = cellsOf(bytes) * CELL;
    if (byteOffset % CELL !== 0)
      throw new StoreError(
        'ERR_BACKEND',
        `segment at offset ${byteOffset} of its buffer is not aligned to ${CELL}`,
      );
    this.u8 = new Uint8Array(buffer, byteOffset, length);
    this.i8 = new Int8Array(buffer, byteOffset, length);
    this.u16 = new Uint16Array(buffer, byteOffset, length / 2);
    this.i16 = new Int16Array(buffer, byteOffset, length / 2);
    this.u32 = new Uint32Array(buffer, byteOffset, length / 4);
    this.i32 = new Int32Array(buffer, byteOffset, length / 4);
    this.f32 = new Float32Array(buffer, byteOffset, length / 4);
    this.f64 = new Float64Array(buffer, byteOffset, length / 8);
    this.u64 = new BigUint64Array(buffer, byteOffset, length / 8);
    this.i64 = new BigInt64Array(buffer, byteOffset, length / 8);
    this.buffer = Buffer.from(buffer as ArrayBuffer, byteOffset, length);
    for (const listener of this.listeners) listener();
  }

  get byteLength(): number {
    return this.u8.length;
  }

  /** Generated accessors keep the views in variables of their own and are told when these change. */
  onAttach(listener: () => void): void {
    this.listeners.push(listener);
    listener();
  }

  /** Every change of the mode comes here, so that handles see it in what they compare anyway. */
  enter(mode: Mode): void {
    this.mode = mode;
    this.validity.direct = mode === DIRECT ? this.validity.stamp : NO_DIRECT;
  }

  /** Others may end records as well: every access looks. */
  share(): void {
    this.enter(INDIRECT);
    this.validity.stamp = NO_STAMP;
  }

  /** Some record has ended, or may have: every handle looks again before its next access. */
  invalidate(): void {
    const {validity} = this;
    validity.epoch++;
    if (validity.stamp === NO_STAMP) return;
    validity.stamp = validity.epoch;
    if (this.mode === DIRECT) validity.direct = validity.epoch;
  }

  /** Points every view at nothing: a late access finds no bytes instead of unmapped pages. */
  detach(): void {
    this.share();
    this.validity.epoch++; // every access looks
    this.validity.closed = true;
    this.attach(new Uint8Array(0));
  }
}
