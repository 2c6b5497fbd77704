import type {Bell} from '../backends/bell.js';
import {at} from '../segment/header.js';
import type {Memory} from '../segment/memory.js';

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
 * one of them sees the other. Whoever moves the store rings in any case: only one who looks finds that it moved.
 */
export async function* watchCommits<T>(
  /** Of where the store is now; undefined once it is closed. */
  memory: () => Memory | undefined,
  bell: Pick<Bell, 'listen'>,
  select: () => T,
  signal?: AbortSignal,
): AsyncGenerator<Change<T>, void, void> {
  let wake: () => void = () => {};
  const stop = bell.listen(() => wake());
  const aborted = () => wake();
  signal?.addEventListener('abort', aborted);
  const tail = (now: Memory) => now.atomics.load(now.u32, at.logTail / 4);
  try {
    let now = memory();
    if (now === undefined) return;
    let seen = tail(now);
    let last = JSON.stringify(select(), plainly);
    while (!signal?.aborted) {
      const woken = new Promise<void>(resolve => {
        wake = resolve;
      });
      now = memory();
      if (now === undefined) return;
      now.atomics.store(now.u32, at.armed / 4, 1);
      const version = tail(now);
      if (version === seen) {
        await woken;
        continue;
      }
      seen = version;
      const value = select();
      const shown = JSON.stringify(value, plainly);
      if (shown === last && value !== undefined) continue;
      last = shown;
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
