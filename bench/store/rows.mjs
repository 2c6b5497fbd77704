// The record of the benches, 64 bytes in ten fields, as plain data. Its schema is in a file of its own (schema.mjs): an
// object literal with the same keys in the same order would share its hidden class with the plain objects and make them slower.

/** @param {number} i */
export function row(i) {
  return {
    hits: i % 1000,
    misses: 0,
    balance: i + 0.5,
    bytes: i * 3,
    seen: 0,
    score: i + 0.25,
    weight: 0.125,
    limit: 1e6 + 0.5,
    kind: i & 7,
    flags: 0,
  };
}
/** @typedef {ReturnType<typeof row>} Row */

export const ROW_BYTES = 64;
/** Byte offsets within a record. */
export const HITS = 0;
export const BALANCE = 8;

const DRAWS = 2 ** 17;

/**
 * Indices drawn beforehand: drawing them costs more than some contenders do.
 * @param {() => number} random @param {number} below
 */
export function draw(random, below) {
  return Uint32Array.from({length: DRAWS}, () => Math.floor(random() * below));
}
export const DRAW_MASK = DRAWS - 1;

/**
 * Records as a binary layout, for contenders that bring no allocator.
 * @param {number} count
 */
export function rowBytes(count) {
  const bytes = new ArrayBuffer(count * ROW_BYTES);
  const view = new DataView(bytes);
  for (let i = 0; i < count; i++) {
    const {hits, balance, bytes: total, score, weight, limit, kind} = row(i);
    const at = i * ROW_BYTES;
    view.setUint32(at + HITS, hits, true);
    view.setFloat64(at + BALANCE, balance, true);
    view.setBigUint64(at + 16, BigInt(total), true);
    view.setFloat64(at + 32, score, true);
    view.setFloat64(at + 40, weight, true);
    view.setFloat64(at + 48, limit, true);
    view.setUint32(at + 56, kind, true);
  }
  return bytes;
}

/** @param {number} count */
export function rowObjects(count) {
  return Array.from({length: count}, (_, i) => row(i));
}
