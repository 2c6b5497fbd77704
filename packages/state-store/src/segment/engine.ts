import {StoreError, show} from '../errors.js';
import {at, HEADER_BYTES, type Header, hasMoved, MOVED, stateOf} from './header.js';
import {Heap, SegmentFull} from './heap.js';
import {Joiner} from './join.js';
import {lock, unlock} from './lock.js';
import {CELL, DIRECT, INDIRECT, LOGGED, type Memory} from './memory.js';
import type {Tenure} from './tenure.js';
import type {UndoLog} from './undo-log.js';

function refusePromise(result: object): void {
  if (typeof (result as {then?: unknown}).then === 'function')
    throw new StoreError(
      'ERR_TRANSACTION',
      'the function of a transaction returned a promise: a transaction ends when its function returns. Await first, then write inside store.transaction(() => ...).',
    );
}

/** 'one': the only writer. 'many': one of several, by a lock. 'none': a reader. */
export type Access = 'one' | 'many' | 'none';

/** By this property a live record names the slots it lies in. */
export const OWNER = Symbol('slots');

/** The slots of a collection, as far as an engine knows them. */
export interface Lives {
  readonly engine: Engine;
  /** Part of taking over from a writer that died. */
  recover(): void;
}

/** What every collection and every generated accessor works on: one attached segment with its log. */
export class Engine {
  closed = false;
  /** The collections at the root, by the offset of their heads in cells. */
  readonly opened = new Map<number, unknown>();
  /** The collections that refs can name, by their numbers. */
  readonly numbered = new Map<number, Lives>();
  readonly heap: Heap;
  private readonly joiner: Joiner;
  /** Makes the segment larger; undefined when it must stay as it is. */
  grow: (() => void) | undefined;
  /**
   * Told of each field of a record that is written or given up, by its byte in the segment. Generated code looks for it once,
   * when it is made: nothing is told to nobody.
   */
  written: ((byte: number) => void) | undefined;
  /** Attaches the segment that took the place of this one. */
  follow: (() => void) | undefined;

  constructor(
    readonly name: string,
    readonly where: string,
    readonly memory: Memory,
    readonly log: UndoLog,
    readonly header: Header,
    readonly access: Access,
    /** True when the segment stays where it is: generated code may then take its views for constants. */
    readonly settled = false,
    /** Of one of several writers. */
    readonly tenure?: Tenure,
  ) {
    this.heap = new Heap(memory, log, name, header.heapCell);
    this.joiner = new Joiner(memory, log, this.heap, name);
    if (access === 'one') memory.enter(DIRECT);
    else memory.share();
  }

  get readonly(): boolean {
    return this.access === 'none';
  }

  /** The address the segment is mapped at; only asked when the schema has t.address. */
  base(): bigint {
    return this.memory.u64[at.base / CELL]!;
  }

  /** Runs `fn` on each item, in transactions of as many as the log has room for at `cells` saved cells an item. */
  inSteps<T>(items: readonly T[], cells: number, fn: (item: T, index: number) => void): void {
    const step = Math.max(Math.floor(this.log.capacity / 2 / cells), 1);
    for (let from = 0; from < items.length; from += step)
      this.transact(() => {
        for (let i = from; i < Math.min(from + step, items.length); i++) fn(items[i]!, i);
      });
  }

  private looking = false;

  /** Runs users' code that may look, but not write. */
  look<R>(fn: () => R): R {
    const {memory} = this;
    const {mode} = memory;
    memory.enter(INDIRECT);
    this.looking = true;
    try {
      return fn();
    } finally {
      this.looking = false;
      memory.enter(mode);
    }
  }

  assertWritable(): void {
    this.assertOpen();
    if (this.looking)
      throw new StoreError(
        'ERR_READONLY',
        `store '${this.name}' is being validated: validate may look, but not write.`,
      );
    if (this.readonly)
      throw new StoreError(
        'ERR_READONLY',
        `store '${this.name}' was opened with readonly: true; only a writer may change it.`,
      );
  }

  assertOpen(): void {
    if (this.closed)
      throw new StoreError(
        'ERR_CLOSED',
        `store '${this.name}' was closed; open it again with openStore to use it.`,
      );
  }

  /** Runs `fn` as one transaction, or as a part of the one that is open; a throw undoes exactly what `fn` did. */
  private transactAnyhow<R>(fn: () => R): R {
    const {memory, log} = this;
    if (memory.mode === LOGGED) {
      const point = log.savepoint();
      try {
        const result = fn();
        if (typeof result === 'object' && result !== null) refusePromise(result);
        return result;
      } catch (error) {
        log.rollbackTo(point);
        throw error;
      }
    }
    for (;;) {
      if (memory.mode === INDIRECT) this.enter();
      const before = log.begin();
      try {
        const result = fn();
        if (typeof result === 'object' && result !== null) refusePromise(result);
        log.commit(before);
        return result;
      } catch (error) {
        log.rollback(before);
        if (!this.enlarge(error)) throw error;
      } finally {
        if (this.access === 'many') unlock(memory);
      }
    }
  }

  /** The same without what only nested, shared and failed transactions need: this is the hot path. */
  transact<R>(fn: () => R): R {
    const {memory, log} = this;
    if (memory.mode !== DIRECT) return this.transactAnyhow(fn);
    log.begin();
    try {
      const result = fn();
      if (typeof result === 'object' && result !== null) refusePromise(result);
      log.commit(DIRECT);
      return result;
    } catch (error) {
      log.rollback(DIRECT);
      return this.again(error, fn);
    }
  }

  /** After `fn` failed in a transaction of its own that was undone: again, if a larger segment may help. */
  again<R>(error: unknown, fn: () => R): R {
    if (!this.enlarge(error)) throw error;
    return this.transact(fn);
  }

  private enlarge(error: unknown): boolean {
    if (!(error instanceof SegmentFull)) return false;
    if (this.joiner.makeRoom(error, this.grow !== undefined)) return true;
    this.grow?.();
    return this.grow !== undefined;
  }

  private enter(): void {
    this.assertWritable();
    const {memory, log} = this;
    let died = lock(memory, this.tenure!, this.where);
    let locked = true;
    try {
      while (hasMoved(memory)) {
        // A file that grew is the same file, and its lock is held already.
        if (stateOf(memory) === MOVED) {
          unlock(memory);
          locked = false;
        }
        this.follow!();
        if (!locked) died = lock(memory, this.tenure!, this.where);
        locked = true;
      }
      // Only now: what a dead writer left may lie in the room that it made.
      if (!died) log.reload();
      else {
        log.recover(this.where);
        for (const slots of this.numbered.values()) slots.recover();
      }
    } catch (error) {
      if (locked) unlock(memory);
      throw error;
    }
  }

  /** A setter that cannot simply store: several cells at once, or a memory that is not simply writable. */
  set(record: object, field: string, value: unknown): void {
    this.transact(() => {
      (record as Record<string, unknown>)[field] = value;
    });
  }

  /** A handle found that it is not live. Comes back, to look again, if its segment had gone because the store has grown. */
  stale(what: string): void {
    this.assertOpen();
    if (hasMoved(this.memory)) {
      this.follow!();
      return;
    }
    const live = this.memory.u32[at.live / 4]!;
    if (live !== 1) this.corrupt('its header', `says that its root is in life ${live}`);
    throw new StoreError(
      'ERR_STALE',
      `this ${what} was removed (its slot may hold another one by now); get a fresh one from its collection.`,
    );
  }

  /** The collection a live record belongs to, if it is one of this store. */
  slotsOf(record: unknown): Lives | undefined {
    const slots = (record as Record<symbol, Lives | undefined> | null | undefined)?.[OWNER];
    return slots?.engine === this ? slots : undefined;
  }

  object(value: unknown, path: string): object {
    if (typeof value === 'object' && value !== null) return value;
    throw new StoreError(
      'ERR_VALUE',
      `${path}: ${show(value)} does not fit; expected an object with the fields of its struct.`,
    );
  }

  /** The segment says something that no store can say. */
  corrupt(path: string, what: string): never {
    throw new StoreError(
      'ERR_CORRUPT',
      `${this.where}: ${path} ${what}; the store is damaged. Look at it with readStore or a dump, then destroy it.`,
    );
  }

  /** Throws unless these cells lie behind the header and inside the segment. */
  assertInside(path: string, cell: number, cells: number): void {
    if (!(cell >= HEADER_BYTES / CELL && cell + cells <= this.memory.byteLength / CELL))
      this.corrupt(path, `names cells ${cell} to ${cell + cells}, which are not there`);
  }

  unassignable(path: string): never {
    throw new StoreError(
      'ERR_VALUE',
      `${path} is a collection: change what is in it by its methods, it cannot be assigned.`,
    );
  }
}
