import type {Memory} from './memory.js';

/** Hands out cells of a segment that is being built; nothing is logged, for nothing can be seen yet. */
export interface Builder {
  readonly memory: Pick<Memory, 'u32'>;
  /** First of `cells` fresh, zeroed cells; `align` in bytes. */
  reserve(cells: number, what: string, align?: number): number;
  /** A number of its own for each collection, 1 to 63, by which refs name it. */
  nextNumber(): number;
}
