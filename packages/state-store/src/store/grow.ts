import type {Backing} from '../backends/backing.js';
import type {Engine} from '../segment/engine.js';
import {at, sizeOf, updateSize} from '../segment/header.js';
import {SegmentFull} from '../segment/heap.js';
import {CELL} from '../segment/memory.js';

const PAGE = 4096;

/**
 * Moves a store into a segment twice as large, up to `maxSize`. Every offset stays what it was: the new room comes behind
 * the old end, and what lay between the blocks and the extents becomes an idle block that joins them.
 *
 *   before   | blocks | free room | extents |
 *   after    | blocks | idle      | extents, as one block nobody frees | free room |
 */
export function growInto(engine: Engine, backing: Backing, maxSize: number): Backing {
  const {memory, log, heap} = engine;
  const size = sizeOf(memory);
  const to = Math.min(Math.ceil((size * 2) / PAGE) * PAGE, maxSize);
  if (to <= size)
    throw new SegmentFull(
      `store '${engine.name}' is full and has its maxSize of ${maxSize} bytes.`,
      Number.POSITIVE_INFINITY,
    );
  heap.assertJoinable(); // nothing may fail from here on: what is changed would be half here and half there
  const larger = backing.enlarge(to);
  const {mode} = memory;
  memory.attach(larger.bytes);
  const before = log.begin();
  const {u32} = memory;
  const [top, limit, end] = [heap.top, heap.limit, size / CELL];
  if (end > top) heap.enclose(top, limit, end);
  log.saveRange(at.heapTop >> 3, 1);
  log.saveRange(at.heapLimit >> 3, 1);
  u32[at.heapTop / 4] = end;
  u32[at.heapLimit / 4] = to / CELL;
  log.saveRange(0, 64 / CELL);
  log.saveRange(128 / CELL, 64 / CELL);
  updateSize(memory, to);
  log.commit(before);
  memory.enter(mode);
  backing.replace(larger);
  return larger;
}
