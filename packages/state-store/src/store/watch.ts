import type {Bell} from '../backends/bell.js';
import {at} from '../segment/header.js';
import type {Memory} from '../segment/memory.js';
import {isSame, type Seen} from './seen.js';

/** What `store.watch()` gives. */
export interface Change<T> {
  /** Changes with every transaction; not consecutive. */
  version: number;
  /** What `select` gave. */
  value: T;
}

const LOOK_MS = 50;

/** What `store.watch()` is: to be looped over by `for await`, and given up by `return()`, by leaving the loop or by `await using`. */
export interface Changes<T> extends AsyncGenerator<Change<T>, void, void> {
  /** The same as `return()`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Node 20 has the symbol, but its generators do not know it yet. */
export function disposable<T>(changes: AsyncGenerator<Change<T>, void, void>): Changes<T> {
  return Object.assign(changes, {
    async [Symbol.asyncDispose]() {
      await changes.return();
    },
  });
}

/**
 * Sleeps until a transaction commits, without polling: the watcher arms the bell in the segment and looks once more; a
 * writer that commits after finds it armed, disarms it and rings. Both sides store first and then load, atomically, so
 * one of them sees the other. Whoever moves the store rings in any case: only one who looks finds that it moved. Who may only
 * read cannot arm it, and looks now and then.
 */
export async function* watchCommits<T>(
  /** Of where the store is now; undefined once it is closed. */
  memory: () => Memory | undefined,
  bell: Pick<Bell, 'listen'> & {armed: boolean},
  /** Undefined: every commit is reported. */
  look: (() => Seen<T>) | undefined,
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
    let last = look?.().kept;
    while (!signal?.aborted) {
      const woken = new Promise<void>(resolve => {
        wake = resolve;
      });
      now = memory();
      if (now === undefined) return;
      if (bell.armed) now.atomics.store(now.u32, at.armed / 4, 1);
      const version = tail(now);
      if (version === seen) {
        const timer = bell.armed ? undefined : setTimeout(wake, LOOK_MS);
        await woken;
        clearTimeout(timer);
        continue;
      }
      seen = version;
      if (look === undefined) {
        yield {version, value: undefined as T};
        continue;
      }
      const {value, kept} = look();
      if (isSame(kept, last)) continue;
      last = kept;
      yield {version, value};
    }
  } finally {
    stop();
    signal?.removeEventListener('abort', aborted);
  }
}
