import type {Bell} from './bell.js';
import {at} from './header.js';
import type {Memory} from './memory.js';

/** What `store.watch()` gives. */
export interface Change<T> {
  /** Changes with every transaction; not consecutive. */
  version: number;
  /** What `select` gave. */
  value: T;
}

/**
 * Sleeps until a transaction commits, without polling: the watcher arms the bell in the segment and looks once more; a
 * writer that commits after finds it armed, disarms it and rings. Both sides store first and then load, atomically, so
 * one of them sees the other.
 */
export async function* watchCommits<T>(
  memory: () => Memory,
  bell: Bell,
  select: () => T,
  signal?: AbortSignal,
): AsyncGenerator<Change<T>, void, void> {
  let wake: () => void = () => {};
  const stop = bell.listen(() => wake());
  const aborted = () => wake();
  signal?.addEventListener('abort', aborted);
  const load = (offset: number) => memory().atomics.load(memory().u32, offset / 4);
  try {
    let seen = load(at.logTail);
    let last = JSON.stringify(select(), plainly);
    while (!signal?.aborted) {
      const woken = new Promise<void>(resolve => {
        wake = resolve;
      });
      memory().atomics.store(memory().u32, at.armed / 4, 1);
      const version = load(at.logTail);
      if (version === seen) {
        await woken;
        continue;
      }
      seen = version;
      const value = select();
      const now = JSON.stringify(value, plainly);
      if (now === last && value !== undefined) continue;
      last = now;
      yield {version, value};
    }
  } finally {
    stop();
    signal?.removeEventListener('abort', aborted);
  }
}

function plainly(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value;
}
