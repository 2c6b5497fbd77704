import type {Memory} from '../segment/memory.js';

/*
 * Strings in the form V8 has them: one byte a unit when all are below 256 (latin1), else two (UTF-16, little-endian).
 * No conversion, exact for every string, lone surrogates included. The length word says which:
 *
 *   bit 31   wide: two bytes a unit      bits 0..30   units
 */
export const WIDE = 2 ** 31;
export const MAX_UNITS = 2 ** 29 - 24;

export function isWide(v: string): boolean {
  const {length} = v;
  if (length > 64) return /[^\0-\xff]/.test(v);
  for (let i = 0; i < length; i++) if (v.charCodeAt(i) > 255) return true;
  return false;
}

export function writeText(memory: Memory, byte: number, v: string, wide: boolean): void {
  const {length} = v;
  // A call into C++ costs as much as some thirty stores.
  if (length > 32) memory.buffer.write(v, byte, wide ? 'utf16le' : 'latin1');
  else if (wide) {
    const {u16} = memory;
    for (let i = 0; i < length; i++) u16[byte / 2 + i] = v.charCodeAt(i);
  } else {
    const {u8} = memory;
    for (let i = 0; i < length; i++) u8[byte + i] = v.charCodeAt(i);
  }
}

interface Slices {
  latin1Slice(from: number, to: number): string;
  ucs2Slice(from: number, to: number): string;
}

/** What Buffer.toString calls in the end, without its detour over the name of the encoding. */
export function readText(memory: Memory, byte: number, units: number, wide: boolean): string {
  const buffer = memory.buffer as Buffer & Slices;
  return wide ? buffer.ucs2Slice(byte, byte + units * 2) : buffer.latin1Slice(byte, byte + units);
}
