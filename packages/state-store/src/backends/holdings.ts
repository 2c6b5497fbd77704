import {StoreError} from '../errors.js';

/*
 * The stores that this thread has open for writing, by where they lie. One list, however often this package is loaded: the
 * kernel would refuse the second opening too, but cannot say where the first one is.
 */
export interface Holding {
  /** The line that opened it. */
  readonly opened: string;
  /** What it was opened as, once that is done. */
  store?: unknown;
  /** How many share it. */
  shares: number;
}

const LIST = Symbol.for('@zlr/state-store: held for writing, 1');

function list(): Map<string, Holding> {
  const global = globalThis as {[LIST]?: Map<string, Holding>};
  global[LIST] ??= new Map();
  return global[LIST];
}

export function holdingAt(place: string): Holding | undefined {
  return list().get(place);
}

/** @throws StoreError ERR_BUSY: it is open already */
export function hold(place: string, where: string, opened: string): Holding {
  const there = holdingAt(place);
  if (there)
    throw new StoreError(
      'ERR_BUSY',
      `${where} is being written by process ${process.pid} (this one); it was opened ${there.opened}. Use that one, close it first, or open it with share: true, which hands it out.`,
    );
  const holding = {opened, shares: 1};
  list().set(place, holding);
  return holding;
}

/** The store moved, its holder with it. */
export function moveHolding(from: string, to: string): void {
  const holding = list().get(from);
  if (from === to || !holding) return;
  list().delete(from);
  list().set(to, holding);
}

export function letGoOf(place: string): void {
  list().delete(place);
}
