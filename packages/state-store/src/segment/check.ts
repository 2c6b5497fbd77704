import {StoreError} from '../errors.js';
import type {Engine} from './engine.js';
import {at} from './header.js';
import {CLASSES, classOf, ENCLOSED, FREE, USED} from './heap.js';
import {CELL} from './memory.js';

/** What `store.check()` found. */
export interface CheckResult {
  /** True when there is no problem. */
  ok: boolean;
  /** What is wrong, each with the path of what it concerns; the first 100. */
  problems: string[];
}

/** Enough to see what is going on; a broken list can have millions. */
const MOST = 100;

/** Walks all that can be reached from the root, then all that cannot. Reads only, believes nothing, always ends. */
export class Checker {
  readonly problems: string[] = [];
  protected readonly reached = new Map<number, string>();
  readonly extents = new Map<number, {end: number; path: string}>();
  constructor(readonly engine: Engine) {}

  /** Notes that `path` owns these cells above the limit of the heap. */
  extent(start: number, cells: number, path: string): void {
    this.extents.set(start, {end: start + cells, path});
  }

  /** An address of t.address: within the segment, if there is one. */
  address(cell: number, path: string): void {
    const {memory} = this.engine;
    const address = memory.u64[cell]!;
    const base = memory.u64[at.base / CELL]!;
    if (address !== 0n && (address < base || address >= base + BigInt(memory.byteLength)))
      this.problem(path, `the address ${address} lies outside the segment`);
  }

  /** Reads what may be damaged; undefined when it is, which its own verify tells. */
  attempt<R>(read: () => R): R | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return undefined;
    }
  }

  problem(path: string, what: string): void {
    if (this.problems.length < MOST) this.problems.push(`${path}: ${what}`);
  }

  /** Notes that `path` owns the block at `payload` and uses `bytes` of it. False when there is no such block. */
  block(payload: number, bytes: number, path: string): boolean {
    const {heap, memory} = this.engine;
    const block = payload - 1;
    if (!(block >= heap.start && block < heap.top) || memory.u32[block * 2 + 1] !== USED) {
      this.problem(path, `names cell ${payload} as its block, but there is none`);
      return false;
    }
    const owner = this.reached.get(block);
    if (owner !== undefined) this.problem(path, `shares its block at cell ${payload} with ${owner}`);
    this.reached.set(block, path);
    const room = (memory.u32[block * 2]! - 1) * CELL;
    if (bytes > room) {
      this.problem(path, `needs ${bytes} bytes, its block has ${room}`);
      return false;
    }
    return true;
  }

  /** Of the extents noted: those that growing left among the blocks, and what is wrong with the others. */
  layout(): {enclosed: [number, number][]; faults: [path: string, what: string][]} {
    const {heap, memory} = this.engine;
    const heapEnd = memory.u32[at.heap / 4 + 1]!;
    const enclosed: [number, number][] = [];
    const faults: [string, string][] = [];
    let from = heap.limit;
    for (const [start, {end, path}] of [...this.extents].sort(([a], [b]) => a - b)) {
      if (start < heap.limit) {
        const before = enclosed.at(-1)?.[1] ?? heap.start;
        if (start < before) faults.push([path, `its extent at cell ${start} lies before cell ${before}`]);
        enclosed.push([start, end]);
        continue;
      }
      // Extents begin on a cache line, so up to seven cells lie idle between two.
      if (start < from || start > from + 7)
        faults.push([path, `its extent at cell ${start} does not join what ends at ${from}`]);
      from = end;
    }
    if (heapEnd - from > 7 || heapEnd < from)
      faults.push(['heap', `nobody owns the extents from cell ${from} to ${heapEnd}`]);
    return {enclosed, faults};
  }

  /** The heap itself: blocks end to end, each reached or on the free list of its class, none on both or neither. */
  heap(): void {
    const {heap, memory} = this.engine;
    const {u32} = memory;
    const heapEnd = u32[at.heap / 4 + 1]!;
    if (heap.top < heap.start || heap.top > heap.limit || heap.limit > heapEnd) {
      this.problem(
        'heap',
        `its top ${heap.top} lies outside ${heap.start}..${heap.limit} or its limit beyond ${heapEnd}`,
      );
      return;
    }
    const {enclosed, faults} = this.layout();
    for (const [path, what] of faults) this.problem(path, what);
    const free = new Set<number>();
    const blocks = new Set<number>();
    for (let block = heap.start; block < heap.top; ) {
      const cells = u32[block * 2]!;
      const state = u32[block * 2 + 1]!;
      if (
        cells < (state === ENCLOSED ? 1 : 2) ||
        block + cells > heap.top ||
        (state !== USED && state !== FREE && state !== ENCLOSED)
      ) {
        this.problem('heap', `the block at cell ${block} has ${cells} cells and state ${state}`);
        return;
      }
      blocks.add(block);
      if (state === FREE) free.add(block);
      else if (state === ENCLOSED) {
        while (enclosed.length > 0 && enclosed[0]![0] > block && enclosed[0]![1] <= block + cells)
          enclosed.shift();
      } else if (!this.reached.has(block))
        this.problem(
          'heap',
          `the block at cell ${block} (${cells * CELL} bytes) is in use but nobody owns it`,
        );
      block += cells;
    }
    for (const [block, path] of this.reached)
      if (!blocks.has(block)) this.problem(path, `its block at cell ${block} is no block of the heap`);
    for (let i = 0; i < CLASSES; i++) {
      for (let block = u32[at.free / 4 + i]!; block !== 0; block = u32[block * 2 + 2]!) {
        if (!free.delete(block)) {
          this.problem(
            'heap',
            `the free list of class ${i} names cell ${block}, which is not free or listed already`,
          );
          break;
        }
        if (classOf(u32[block * 2]!) !== i)
          this.problem('heap', `the block at cell ${block} lies in the free list of class ${i}, not its own`);
      }
    }
    for (const [start] of enclosed)
      this.problem('heap', `the extent at cell ${start} lies where blocks should be`);
    const joining = u32[at.joining / 4]!;
    for (const block of free)
      if (joining === 0 || block < joining)
        this.problem('heap', `the free block at cell ${block} is on no free list`);
  }
}
