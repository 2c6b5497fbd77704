import type {Engine} from '../segment/engine.js';
import {at} from '../segment/header.js';
import {CLASSES, ENCLOSED, FREE, USED} from '../segment/heap.js';
import {CELL} from '../segment/memory.js';

/** A piece of the heap, as it is to be; `torn`: its header has to be written. */
export interface Stretch {
  start: number;
  end: number;
  state: number;
  torn: boolean;
}

/** First cell, cell behind. */
export type Area = readonly [number, number];

export interface HeapPlan {
  stretches: Stretch[];
  top: number;
}

/**
 * Finds the blocks of a heap whose headers may be damaged. Where they do not lead on, they are found again at the next block
 * that somebody names, at the next extent, or at the top: what lies between becomes one block. It is that of who names it,
 * if the blocks before it led there and somebody does; else nobody's. A name that points into a block counts for nothing
 * if that block ends where another begins; one above the top, if they led there and do not lead on to it.
 *
 * @param named the blocks somebody names. Only those whose headers say USED are where blocks are found again
 * @param extents where extents lie below the limit, as [first cell, cell behind]
 * @returns undefined when it cannot be told
 */
export function planHeap(
  {memory, heap}: Engine,
  named: Iterable<number>,
  extents: readonly Area[],
): HeapPlan | undefined {
  const {u32} = memory;
  const {limit, top} = heap;
  const all = new Set(named);
  const names = [...all].filter(block => u32[block * 2 + 1] === USED).sort((a, b) => a - b);
  const areas = join(extents);
  const stretches: Stretch[] = [];
  const valid = (block: number): boolean => {
    const [cells, state] = [u32[block * 2]!, u32[block * 2 + 1]!];
    const known = state === USED || state === FREE || state === ENCLOSED;
    return known && cells >= (state === ENCLOSED ? 1 : 2) && block + cells <= limit;
  };
  let block = heap.start;
  let n = 0; // the first name that is not behind us
  let a = 0; // the first area that is not
  /** The end of the block that begins here, if its header can be believed. */
  const ending = (): number | undefined => {
    if (!valid(block)) return undefined;
    const [end, state] = [block + u32[block * 2]!, u32[block * 2 + 1]!];
    for (let k = a; k < areas.length && areas[k]![0] < end; k++)
      if (state !== ENCLOSED || areas[k]![1] > end) return undefined;
    const leadsOn = end === top || (end < limit && valid(end));
    const next = names[names[n] === block ? n + 1 : n];
    if (next !== undefined && next < end && (state === ENCLOSED || !leadsOn)) return undefined;
    if (block < top && end > top && !leadsOn && !(names.at(-1)! >= top)) return undefined;
    return end;
  };
  /** Blocks above an old top: a header that says so and a name that says so agree. */
  const leadOn = (): boolean => {
    let at = block;
    while (at < names[n]! && valid(at)) at += u32[at * 2]!;
    return at === names[n] && valid(at);
  };
  while (block !== top || leadOn()) {
    for (; n < names.length && names[n]! < block; n++);
    for (; a < areas.length && areas[a]![1] <= block; a++);
    const area = areas[a];
    if (area && area[0] <= block) return undefined; // there is no room for a header before it
    if (block > top && n === names.length && !area && !valid(block)) break;
    const end = ending();
    if (names[n] === block) n++;
    if (end !== undefined) {
      stretches.push({start: block, end, state: u32[block * 2 + 1]!, torn: false});
      block = end;
      continue;
    }
    const wall = area ? area[0] - 1 : Number.POSITIVE_INFINITY;
    const next = Math.min(
      names[n] ?? Number.POSITIVE_INFINITY,
      wall,
      block < top && top <= limit ? top : Number.POSITIVE_INFINITY,
    );
    if (next === Number.POSITIVE_INFINITY) break; // the top itself is wrong
    if (next < block) return undefined;
    if (next > block) stretches.push({start: block, end: next, state: USED, torn: true});
    block = next;
    if (next !== wall) continue;
    stretches.push({start: next, end: area![1], state: ENCLOSED, torn: true});
    block = area![1];
  }
  if (a < areas.length && areas[a]![1] > block) return undefined;
  // A block has at least two cells, but one that nobody may have can have one.
  for (const stretch of stretches) if (stretch.end - stretch.start === 1) stretch.state = ENCLOSED;
  return {stretches, top: block};
}

/** Extents that lie end to end, up to the cells that align them, have one block around them. */
function join(extents: readonly Area[]): Area[] {
  const joined: Area[] = [];
  for (const [from, to] of [...extents].sort(([a], [b]) => a - b)) {
    const last = joined.at(-1);
    if (last && from <= last[1] + 7) joined[joined.length - 1] = [last[0], Math.max(to, last[1])];
    else joined.push([from, to]);
  }
  return joined;
}

/** Writes the headers that are torn. A block at a time: what is done stays done. */
export function mendChain(engine: Engine, {stretches, top}: HeapPlan): void {
  const {memory, log} = engine;
  const torn = stretches.filter(stretch => stretch.torn);
  engine.inSteps(torn, 1, ({start, end, state}) => {
    log.save(start);
    memory.u32[start * 2] = end - start;
    memory.u32[start * 2 + 1] = state;
  });
  if (memory.u32[at.heapTop / 4] === top) return;
  engine.transact(() => {
    log.save(at.heapTop / CELL);
    memory.u32[at.heapTop / 4] = top;
  });
}

/**
 * Extents lie end to end from the end of the heap downwards, and the heap's limit is where the last one begins. Where it says
 * something else while they leave no gap, it is the limit that is old.
 */
export function settleLimit(engine: Engine, extents: readonly Area[]): void {
  const {memory, log, heap} = engine;
  let lowest = memory.u32[at.heap / 4 + 1]!;
  for (const [from, to] of [...extents].sort(([a], [b]) => b - a)) {
    if (from < heap.top) break; // what growing left among the blocks
    if (to > lowest || to < lowest - 7) return;
    lowest = from;
  }
  if (lowest === heap.limit || lowest < heap.top) return;
  engine.transact(() => {
    log.save(at.heapLimit / CELL);
    memory.u32[at.heapLimit / 4] = lowest;
  });
}

/** The free lists anew. A kill on the way leaves free blocks that are on none: then they are not used until the next repair, or joining. */
export function relistFree(engine: Engine, free: readonly Stretch[]): void {
  const {memory, log, heap} = engine;
  engine.transact(() => {
    log.saveRange(at.free / CELL, (CLASSES * 4) / CELL);
    memory.u32.fill(0, at.free / 4, at.free / 4 + CLASSES);
    log.save(at.joining >> 3);
    memory.u32[at.joining / 4] = 0;
  });
  engine.inSteps(free, 3, ({start, end}) => heap.list(start, end - start));
}
