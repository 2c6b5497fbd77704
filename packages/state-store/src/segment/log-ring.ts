/*
 * The shape of the undo log: a ring of entries of three words.
 *
 *   entry k, 12 bytes at place k mod capacity:  u32 cell | u32 old low word | u32 old high word
 */
export const ENTRY_WORDS = 3;
const LEAST_ENTRIES = 64;
export const LEAST_LOG_CELLS = (LEAST_ENTRIES * ENTRY_WORDS) / 2;

/** Entries that fit into `cells` cells: a power of two, so that places stay right when head wraps around. */
export function logCapacity(cells: number): number {
  return 2 ** Math.floor(Math.log2((cells * 2) / ENTRY_WORDS));
}
