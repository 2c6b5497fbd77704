import {StoreError, show} from './errors.js';
import type {Header} from './header.js';
import {Heap} from './heap.js';
import {INDIRECT, type Memory} from './memory.js';
import {OWNER, type Slots} from './slots.js';
import {transact, type UndoLog} from './undo-log.js';

/** What every collection and every generated accessor works on: one attached segment with its log. */
export class Engine {
  closed = false;
  /** The collections at the root, by the offset of their heads in cells. */
  readonly opened = new Map<number, unknown>();
  /** The collections that refs can name, by their numbers. */
  readonly numbered = new Map<number, Slots>();
  readonly heap: Heap;
  constructor(
    readonly name: string,
    readonly memory: Memory,
    readonly log: UndoLog,
    readonly header: Header,
    readonly readonly: boolean,
  ) {
    this.heap = new Heap(memory, log, name, header.heapCell);
    if (readonly) memory.mode = INDIRECT;
  }

  assertWritable(): void {
    if (this.closed)
      throw new StoreError(
        'ERR_CLOSED',
        `store '${this.name}' was closed; open it again with openStore to use it.`,
      );
    if (this.readonly)
      throw new StoreError(
        'ERR_READONLY',
        `store '${this.name}' was opened with readonly: true; only its one writer may change it.`,
      );
  }

  assertOpen(): void {
    if (this.closed)
      throw new StoreError(
        'ERR_CLOSED',
        `store '${this.name}' was closed; open it again with openStore to use it.`,
      );
  }

  /** Runs `fn` inside a transaction: the one that is open, or one of its own. */
  transact<R>(fn: () => R): R {
    if (this.memory.mode === INDIRECT) this.assertWritable();
    return transact(this.memory, this.log, fn);
  }

  /** A setter that cannot simply store: several cells at once, or a memory that is not simply writable. */
  set(record: object, field: string, value: unknown): void {
    this.transact(() => {
      (record as Record<string, unknown>)[field] = value;
    });
  }

  stale(what: string): never {
    this.assertOpen();
    throw new StoreError(
      'ERR_STALE',
      `this ${what} was removed (its slot may hold another one by now); get a fresh one from its collection.`,
    );
  }

  /** The collection a live record belongs to, if it is one of this store. */
  slotsOf(record: unknown): Slots | undefined {
    const slots = (record as Record<symbol, Slots | undefined> | null | undefined)?.[OWNER];
    return slots?.engine === this ? slots : undefined;
  }

  object(value: unknown, path: string): object {
    if (typeof value === 'object' && value !== null) return value;
    throw new StoreError(
      'ERR_VALUE',
      `${path}: ${show(value)} does not fit; expected an object with the fields of its struct.`,
    );
  }

  unassignable(path: string): never {
    throw new StoreError(
      'ERR_VALUE',
      `${path} is a collection: change what is in it by its methods, it cannot be assigned.`,
    );
  }
}
