/** What a generation last said of itself. */
export interface Health {
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** By how much its event loop was late. */
  readonly delayMs: number;
  /** Open ones; counted only where there is a limit. */
  readonly descriptors: number | undefined;
}

/** Beyond one of these a generation has grown old, and is followed by a fresh one before it fails. */
export interface Aging {
  rssBytes?: number;
  heapBytes?: number;
  delayMs?: number;
  descriptors?: number;
}

/** A limit counts when so many beats in a row are beyond it: a peak that passes is no age. */
export const AGED_BEATS = 3;

const NAMES = {
  rssBytes: 'resident memory in bytes',
  heapBytes: "V8's heap in bytes",
  delayMs: 'event-loop delay in ms',
  descriptors: 'open descriptors',
} satisfies Record<keyof Aging, string>;

/** Which limit is exceeded, in words; undefined: none. */
export function exceeded(health: Health, limits: Aging): string | undefined {
  for (const key of Object.keys(NAMES) as (keyof Aging)[]) {
    const limit = limits[key];
    const value = health[key];
    if (limit !== undefined && value !== undefined && value > limit)
      return `${NAMES[key]}: ${value}, the limit is ${limit}`;
  }
  return undefined;
}
