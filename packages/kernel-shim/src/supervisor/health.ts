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
  /** How much more there is each hour, as the last 60 thresholds show it (an hour by default), and not before 30 of them have passed. */
  rssBytesPerHour?: number;
  heapBytesPerHour?: number;
  descriptorsPerHour?: number;
}

/** A limit counts when so many beats in a row are beyond it: a peak that passes is no age. */
export const AGED_BEATS = 3;

const NAMES = {
  rssBytes: 'resident memory in bytes',
  heapBytes: "V8's heap in bytes",
  delayMs: 'event-loop delay in ms',
  descriptors: 'open descriptors',
  rssBytesPerHour: 'growth of resident memory in bytes per hour',
  heapBytesPerHour: "growth of V8's heap in bytes per hour",
  descriptorsPerHour: 'growth of open descriptors per hour',
} satisfies Record<keyof Aging, string>;

/** Which limit is exceeded, in words; undefined: none. */
export function exceeded(health: Health, trend: Trend, limits: Aging): string | undefined {
  const values: Record<keyof Aging, number | undefined> = {
    ...health,
    rssBytesPerHour: trend.perHour('rssBytes'),
    heapBytesPerHour: trend.perHour('heapBytes'),
    descriptorsPerHour: trend.perHour('descriptors'),
  };
  for (const key of Object.keys(NAMES) as (keyof Aging)[]) {
    const limit = limits[key];
    const value = values[key];
    if (limit !== undefined && value !== undefined && value > limit)
      return `${NAMES[key]}: ${Math.round(value)}, the limit is ${limit}`;
  }
  return undefined;
}

type Measure = 'rssBytes' | 'heapBytes' | 'descriptors';
type Least = Record<Measure, number | undefined>;

const PERIODS = 60;
const PERIODS_LEAST = 30;
const HOUR_MS = 3_600_000;

/**
 * Of each period the least that there was, since between two collections garbage grows in every process; over the last of them the
 * straight line that fits best (least squares).
 */
export class Trend {
  readonly #periodMs: number;
  readonly #periods: {number: number; least: Least}[] = [];

  constructor(periodMs: number) {
    this.#periodMs = periodMs;
  }

  add(nowMs: number, {rssBytes, heapBytes, descriptors}: Health): void {
    const number = Math.floor(nowMs / this.#periodMs);
    const last = this.#periods.at(-1);
    if (last?.number !== number) {
      this.#periods.push({number, least: {rssBytes, heapBytes, descriptors}});
      if (this.#periods.length > PERIODS + 1) this.#periods.shift();
      return;
    }
    for (const [key, value] of Object.entries({rssBytes, heapBytes, descriptors}) as [Measure, number?][])
      if (value !== undefined) last.least[key] = Math.min(value, last.least[key] ?? value);
  }

  /** Undefined: it is too early to say. */
  perHour(key: Measure): number | undefined {
    const points: [x: number, y: number][] = [];
    // The last one has not ended yet.
    for (const {number, least} of this.#periods.slice(0, -1))
      if (least[key] !== undefined) points.push([(number * this.#periodMs) / HOUR_MS, least[key]]);
    if (points.length < PERIODS_LEAST) return undefined;
    const mean = (of: 0 | 1): number => points.reduce((sum, point) => sum + point[of], 0) / points.length;
    const [x0, y0] = [mean(0), mean(1)];
    const above = points.reduce((sum, [x, y]) => sum + (x - x0) * (y - y0), 0);
    return above / points.reduce((sum, [x]) => sum + (x - x0) ** 2, 0);
  }
}
