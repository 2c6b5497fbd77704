import {isDeepStrictEqual, types} from 'node:util';
import {StoreError} from '../errors.js';
import {OWNER} from '../segment/engine.js';

/** What has an order of its own, and what a comparison would take for another thing although it is the same. */
class Kept {
  constructor(
    readonly kind: string,
    readonly parts: readonly unknown[],
  ) {}
}

/**
 * A copy of what was seen in a store, to compare with what is seen later: whatever is done to the value meanwhile, this stays.
 * Live records and collections become plain data; a record that has a slot is the same only in the same life of it.
 */
function keep(value: unknown, known = new Map<object, unknown>()): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const met = known.get(value);
  if (met !== undefined) return met;
  const each = (part: unknown) => keep(part, known);
  if (types.isDate(value)) return new Kept('date', [Date.prototype.getTime.call(value)]);
  if (types.isAnyArrayBuffer(value)) return new Uint8Array(value).slice();
  if (ArrayBuffer.isView(value)) {
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return new Kept(Object.prototype.toString.call(value), [bytes.slice()]);
  }
  if (types.isMap(value) || types.isSet(value)) {
    const parts: unknown[] = [];
    const kept = new Kept(types.isMap(value) ? 'map' : 'set', parts);
    known.set(value, kept);
    for (const part of value) parts.push(types.isMap(value) ? (part as unknown[]).map(each) : each(part));
    return kept;
  }
  if (types.isNativeError(value)) return new Kept('error', [`${value}`, each({...value})]);
  if (types.isRegExp(value) || types.isBoxedPrimitive(value) || types.isProxy(value)) return value;
  const {toJSON} = value as {toJSON?: unknown};
  if (typeof toJSON === 'function') {
    const plain = each(toJSON.call(value));
    if (!(OWNER in value)) return plain;
    const {$g, $n} = value as unknown as {$g: number; $n: number};
    return new Kept('record', [$g, $n, plain]);
  }
  const copy = (Array.isArray(value) ? [] : Object.create(Object.getPrototypeOf(value))) as object;
  known.set(value, copy);
  if (Array.isArray(value)) (copy as unknown[]).length = value.length;
  for (const key of Object.keys(value))
    Object.defineProperty(copy, key, {
      value: each((value as Record<string, unknown>)[key]),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  return copy;
}

/** What `select` gave, and a copy of it as it was then: later it may be of a snapshot that was let go, or have changed. */
export interface Seen<T> {
  value: T;
  kept: unknown;
}

export function seen<T>(value: T): Seen<T> {
  if (types.isPromise(value))
    throw new StoreError(
      'ERR_OPTIONS',
      'select of watch returned a promise: it must give what is in the store, and not wait.',
    );
  return {value, kept: keep(value)};
}

/** Whether two copies that `keep` made are of the same. NaN is itself, 0 is not -0. */
export const isSame = isDeepStrictEqual;
