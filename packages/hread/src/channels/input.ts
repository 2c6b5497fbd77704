import type {Channel, ChannelRecord} from './channel.js';
import {type Extents, Word} from './extents.js';

/** Where held input lies in the pool: the bytes [start, end), in one piece. */
export interface Span {
  start: number;
  end: number;
}

/**
 * The held bytes as far as they lie in one piece: all of them, up to a large extent. Valid until the next event of this
 * channel.
 */
export function firstSpan<R extends ChannelRecord>(extents: Extents, channel: Channel<R>): Span {
  const {holdHead, consumed} = channel.record;
  const {held} = channel;
  // What was consumed in a transaction that still goes on may lie in extents that were not given back yet.
  let extent = holdHead - 1;
  while (held > 0 && extents.getLong(extent, Word.base) + extents.sizeOf(extent) <= consumed)
    extent = extents.get(extent, Word.next) - 1;
  if (held === 0) return {start: 0, end: 0};
  const into = consumed - extents.getLong(extent, Word.base);
  const start = extents.offsetOf(extent) + into;
  return {start, end: start + Math.min(held, extents.sizeOf(extent) - into)};
}

/** A copy of the first `length` held bytes. */
export function copyHeld<R extends ChannelRecord>(
  extents: Extents,
  channel: Channel<R>,
  length: number,
): Buffer {
  const {start, end} = firstSpan(extents, channel);
  if (end - start >= length) return Buffer.from(extents.memory.subarray(start, start + length));
  const bytes = Buffer.allocUnsafe(length);
  const {consumed} = channel.record;
  let extent = channel.record.holdHead - 1;
  for (let at = 0; at < length; extent = extents.get(extent, Word.next) - 1) {
    const into = consumed + at - extents.getLong(extent, Word.base);
    const size = extents.sizeOf(extent);
    if (into >= size) continue; // consumed, but not given back yet
    const offset = extents.offsetOf(extent);
    at += extents.memory.copy(bytes, at, offset + into, offset + Math.min(size, into + length - at));
  }
  return bytes;
}
