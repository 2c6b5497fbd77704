import type {UndoLog} from '../segment/undo-log.js';

/** More would take more memory than they save time. */
const MOST = 2 ** 17;
/** What a longer key costs in memory is seldom worth it. */
const LONGEST = 64;

/**
 * A key cut out of a request would keep the whole request alive. Where a string has been the name of a property, V8 has one
 * flat copy of it for all, and every string object of that content refers to this one and to nothing else.
 */
const names: Record<string, true> = Object.create(null);
function flat(key: string): string {
  names[key] = true;
  delete names[key];
  return key;
}

/**
 * What string keys were found to name before, slots or records: V8 keeps the hash of a string in it, so that the same string object
 * is found here without being read. Of this process alone; good only where it is the one writer, so that no key gets
 * another slot unseen. What a transaction found is forgotten with all the rest when one is undone.
 */
export class KnownKeys<T> {
  private readonly found = new Map<unknown, T>();
  private undos: number;

  constructor(private readonly log: UndoLog) {
    this.undos = log.undos;
  }

  /** Undefined: not known here. */
  get(key: unknown): T | undefined {
    if (this.undos !== this.log.undos) this.clear();
    return this.found.get(key);
  }

  learn(key: string, found: T): void {
    if (key.length > LONGEST) return;
    if (this.found.size >= MOST) this.found.clear();
    this.found.set(flat(key), found);
  }

  forget(key: unknown): void {
    if (this.found.size > 0) this.found.delete(key);
  }

  clear(): void {
    this.found.clear();
    this.undos = this.log.undos;
  }
}
