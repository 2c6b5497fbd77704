import {inspect, types} from 'node:util';
import {optional} from '@zlr/kernel-shim/internal';
import type {Backing} from '../backends/backing.js';
import {type Collection, CollectionType, printable, unlisted} from '../collections/collection.js';
import {Table, type TableLayout} from '../collections/table.js';
import {assertFits, StoreError, show} from '../errors.js';
import {wrongHeads} from '../repair/heads.js';
import {examine} from '../repair/invariants.js';
import {Ledger, type SetAside} from '../repair/ledger.js';
import {Repair, type RepairResult} from '../repair/repair.js';
import type {Side} from '../repair/side.js';
import {verifyHeader} from '../repair/verify-header.js';
import {describesAddress, rebase} from '../schema/address.js';
import type {Fields} from '../schema/record.js';
import {ALWAYS_LIVE, compile, ownFields} from '../schema/record-class.js';
import type {Struct} from '../schema/struct.js';
import type {TypeDescription} from '../schema/type.js';
import {Checker, type CheckResult} from '../segment/check.js';
import {type Access, Engine} from '../segment/engine.js';
import {at, birthOf, hasMoved, neverMoved, publish, readOwner} from '../segment/header.js';
import {CELL, cellsOf, LOGGED, Memory} from '../segment/memory.js';
import {NOBODY, pidOf} from '../segment/process-identity.js';
import {copyConsistently, entriesTooMany, logOverfull, UndoLog} from '../segment/undo-log.js';
import {signOut} from '../segment/writers.js';
import {growInto} from './grow.js';
import {seen} from './seen.js';
import {type Changes, disposable, watchCommits} from './watch.js';

/** What stands at the root: scalars, structs and collections by name. */
export type Schema = Fields;
/** The root record: scalars are plain properties, collections are what they are. */
export type RootOf<S extends Schema> = {
  -readonly [K in keyof S as S[K] extends CollectionType<unknown> ? never : K]: S[K]['value'];
} & {readonly [K in keyof S as S[K] extends CollectionType<unknown> ? K : never]: S[K]['value']};

/** What `store.info()` tells. */
export interface StoreInfo {
  /** As it was opened. */
  name: string;
  /** Where it lies. */
  backend: 'sysv' | 'file' | 'memory';
  /** Bytes of the segment. */
  size: number;
  /** Bytes handed out to collections; the rest is free. */
  used: number;
  /** The pid of the one writer, or undefined. */
  owner: number | undefined;
  /** When it was made, or rebuilt. */
  created: Date;
  /** How often it was opened for writing. */
  epoch: number;
  /** Cells that opening it wrote back because a writer died in a transaction. */
  recovered: number;
  /** Values that were set aside and not forgotten yet; see quarantine(). */
  quarantined: number;
}

// So that these names are known, whatever `lib` and `types` a user's configuration has.
declare global {
  interface SymbolConstructor {
    readonly dispose: unique symbol;
    readonly asyncDispose: unique symbol;
  }
}

const SIGNAL = optional({what: 'an AbortSignal', fits: value => value instanceof AbortSignal});

const COPIES = 50;
const OPTIMISTIC_READS = 3;

/**
 * An open store: what `openStore` and `readStore` give. After `close()` everything of it throws `ERR_CLOSED`.
 *
 * @typeParam S - the schema
 */
export class Store<S extends Schema> {
  /** The state itself: scalars as plain properties, collections by their names. */
  readonly root: RootOf<S>;
  private readonly addressed: boolean;
  private readonly collections = new Map<string, unknown>();
  private readonly ledger: Ledger;
  /** What wakes those who watch, and what ends their listening. */
  private readonly watchers = new Map<() => void, () => void>();
  constructor(
    private readonly engine: Engine,
    private backing: Backing,
    private readonly schema: Struct<S>,
    private readonly recovered: number,
    maxSize: number | undefined,
  ) {
    const {header} = engine;
    this.ledger = new Ledger(engine);
    for (const {name, type, offset} of schema.placed) {
      if (!(type instanceof CollectionType)) continue;
      const opened = type.open(engine, header.rootCell + offset / CELL, name);
      const collection = types.isUint8Array(opened) ? opened : unlisted(opened as object);
      if (!types.isUint8Array(collection)) printable(collection);
      engine.opened.set(offset / CELL, collection);
      this.collections.set(name, collection);
    }
    const {Record} = compile(schema, engine, engine.name);
    this.root = ownFields(new Record(header.rootCell, ALWAYS_LIVE, 1), schema) as unknown as RootOf<S>;
    engine.follow = () => this.follow();
    engine.log.bell = () => this.backing.bell.ring();
    this.addressed = describesAddress(schema.describe());
    if (this.addressed && !engine.readonly) this.rebase();
    if (maxSize !== undefined) engine.grow = () => this.grow(maxSize);
  }

  /**
   * Runs `fn` as one transaction: all its writes or none of them, whatever kills the process; an error undoes them.
   * Inside another transaction it joins that one.
   *
   * @param fn - must not be asynchronous: await first, then write. Where there is no room for it, what is free is joined or
   *   the store grows (see `maxSize`), and it runs once more
   * @returns what `fn` gives; what it throws goes on to the caller
   * @throws StoreError ERR_TRANSACTION: it changed more than the undo log holds (see `logSize`), or `fn` gave a promise;
   *   ERR_FULL: the store has no room; ERR_READONLY: it was opened for reading; ERR_BUSY: with several writers, another one
   *   kept the lock for 10 s
   * @example
   * store.transaction(() => {
   *   from.balance -= 5;
   *   to.balance += 5;
   * });
   */
  transaction<R>(fn: () => R): R {
    return this.engine.transact(fn);
  }

  /**
   * Runs `fn` on the state between two transactions, whoever writes meanwhile; never makes a writer wait.
   *
   * @param fn - may run several times, and must give plain data: live records may be those of a copy
   * @returns what `fn` gives
   * @throws StoreError ERR_BUSY: it is written faster than it can be copied
   */
  read<R>(fn: (root: RootOf<S>) => R): R {
    return this.still(store => fn(store.root));
  }

  /** Runs `fn` on this store, or a copy of it, that nobody writes meanwhile. */
  private still<R>(fn: (store: Store<S>) => R): R {
    const {engine} = this;
    engine.assertOpen();
    if (engine.access === 'one') return fn(this);
    if (engine.memory.mode === LOGGED) return fn(this);
    this.followIfMoved();
    const {memory} = engine;
    const load = (offset: number) => memory.atomics.load(memory.u32, offset / 4);
    for (let i = 0; i < OPTIMISTIC_READS; i++) {
      const before = load(at.logTail);
      if (load(at.logHead) !== before) continue;
      try {
        const result = fn(this);
        if (load(at.logHead) === before) return result;
      } catch (error) {
        // What was half written may throw anything; only on a still store does it mean something.
        if (load(at.logHead) === before) throw error;
      }
    }
    const snapshot = this.snapshot();
    try {
      return fn(snapshot);
    } finally {
      snapshot.close();
    }
  }

  /**
   * A copy of the whole store as it is between two transactions, read-only and of this process alone; as large as the
   * store. `close()` frees it.
   *
   * @throws StoreError ERR_BUSY: it is written faster than it can be copied
   */
  snapshot(): Store<S> {
    this.engine.assertOpen();
    this.followIfMoved();
    const {header, name, access} = this.engine;
    for (let i = 0; i < COPIES; i++) {
      const how = access === 'one' ? 'alone' : this.backing.writable ? 'beside' : 'unseen';
      const bytes = copyConsistently(this.engine.memory, header.logCell, header.logCells, how);
      if (bytes === undefined) {
        const count = entriesTooMany(this.engine.memory, header.logCells);
        if (count !== undefined) logOverfull(this.backing.where, count, this.engine.log.capacity);
        continue;
      }
      const memory = new Memory(bytes);
      publish(memory); // it may have moved meanwhile, the copy did not
      const engine = new Engine(
        name,
        `a snapshot of ${this.backing.where}`,
        memory,
        new UndoLog(memory, header.logCell, header.logCells),
        header,
        'none',
      );
      const backing = {...this.backing, tenure: undefined, bytes, detach() {}};
      const copy = new Store(engine, backing, this.schema, 0, undefined);
      for (const slots of engine.numbered.values()) slots.recover();
      return copy;
    }
    throw new StoreError(
      'ERR_BUSY',
      `store '${name}' is written faster than it can be copied: its undo log of ${header.logCells * CELL} bytes came round ${COPIES} times during a copy. Make the store with a larger logSize.`,
    );
  }

  /**
   * Waits for transactions of whatever process, without polling. Several commits may come as one. A lone store of a number,
   * a boolean or an enum outside a transaction wakes nobody.
   *
   * @param select - runs as in `read` after each commit; only a change of what it gives is reported, however deep it lies and
   *   whatever it is made of: maps, sets, dates, bytes, records, NaN. What it throws ends the iteration. Without it, every
   *   commit is reported
   * @param options - `signal` ends the iteration; so does `close()`
   * @throws StoreError ERR_SCHEMA_MISMATCH: the store was rebuilt, open it again; ERR_NOT_FOUND: it was destroyed
   * @example
   * for await (const {value} of store.watch(root => root.served)) console.log(value);
   */
  watch<T = undefined>(select?: (root: RootOf<S>) => T, options: {signal?: AbortSignal} = {}): Changes<T> {
    this.engine.assertOpen();
    assertFits('watch', options, {signal: SIGNAL});
    const {signal} = options;
    if (select !== undefined && typeof select !== 'function')
      throw new StoreError('ERR_OPTIONS', `select: ${show(select)}; watch expects a function of the root.`);
    const look = select && (() => this.read(root => seen(select(root))));
    const memory = () => {
      if (this.engine.closed) return undefined;
      this.followIfMoved();
      return this.engine.memory;
    };
    const listen = (rung: () => void) => {
      const hear = this.backing.bell.listen(rung);
      const stop = () => {
        hear();
        this.watchers.delete(rung);
      };
      this.watchers.set(rung, stop);
      return stop;
    };
    return disposable(watchCommits(memory, {listen, armed: this.backing.writable}, look, signal));
  }

  /** The whole segment, for native code. Write to regions of `t.raw` only. Another array after the store grew. */
  get memory(): Uint8Array {
    this.engine.assertOpen();
    this.followIfMoved();
    return this.engine.memory.u8;
  }

  /**
   * Of backend 'memory': what another thread needs to open this store.
   *
   * @throws StoreError ERR_BACKEND: it is on another backend
   */
  get shared(): SharedArrayBuffer {
    this.engine.assertOpen();
    const {buffer} = this.backing.bytes;
    if (!types.isSharedArrayBuffer(buffer))
      throw new StoreError(
        'ERR_BACKEND',
        `store '${this.engine.name}' is on backend '${this.backing.kind}'; only one on backend 'memory' can be handed to another thread.`,
      );
    return buffer;
  }

  /**
   * Where the records of a table lie in `memory`.
   *
   * @param table - its name; it must have been declared with a `capacity`
   * @throws StoreError ERR_OPTIONS: there is no such table, or it has no `capacity`
   */
  layout(table: keyof S & string): TableLayout {
    this.engine.assertOpen();
    this.followIfMoved();
    const collection = this.collections.get(table);
    if (!(collection instanceof Table))
      throw new StoreError(
        'ERR_OPTIONS',
        `layout(${show(table)}): the schema of store '${this.engine.name}' has no such table.`,
      );
    return collection.layout();
  }

  /** Size, use, owner and history, as of now. */
  info(): StoreInfo {
    this.engine.assertOpen();
    this.followIfMoved();
    const {memory, header, name} = this.engine;
    const owner = readOwner(memory);
    const words = memory.u32;
    return {
      name,
      backend: this.backing.kind,
      size: memory.byteLength,
      used: memory.byteLength - (words[at.heapLimit / 4]! - words[at.heapTop / 4]!) * CELL,
      owner: owner === NOBODY ? undefined : pidOf(owner),
      created: new Date(header.created),
      epoch: words[at.epoch / 4]!,
      recovered: this.recovered,
      quarantined: this.ledger.size,
    };
  }

  /**
   * What was set aside because a check refused it, oldest first: plain data, whatever schema it was of.
   *
   * @throws StoreError ERR_CORRUPT: the chain of entries is damaged, see `repair`
   */
  quarantine(): SetAside[] {
    return this.still(store => store.ledger.entries());
  }

  /**
   * Gives up an entry for good; its room is free again.
   *
   * @param entry - as `quarantine` gave it
   * @returns false when there is none like it
   * @throws StoreError ERR_READONLY
   */
  forget(entry: SetAside): boolean {
    return this.engine.transact(() => this.ledger.remove(entry));
  }

  /**
   * Looks through the whole store for anything that cannot be: structure, refs, free lists, leaks. Changes nothing.
   *
   * @throws StoreError ERR_TRANSACTION: inside a transaction that has written, which gives back at its end what it no longer needs
   */
  check(): CheckResult {
    this.engine.assertOpen();
    if (this.engine.memory.mode === LOGGED && this.engine.log.changed)
      throw new StoreError(
        'ERR_TRANSACTION',
        `check() of store '${this.engine.name}' inside a transaction that has written: what is half done would look like damage; call it before, or outside.`,
      );
    this.followIfMoved();
    const checker = new Checker(this.engine);
    verifyHeader(checker);
    const {memory, header} = this.engine;
    for (const {path, word, is, should} of wrongHeads(memory, header, this.schema))
      checker.problem(path, `its head has ${is} at byte ${word * 4} of the segment, not ${should}`);
    this.walk(checker);
    this.ledger.verify(checker);
    checker.heap();
    return {ok: checker.problems.length === 0, problems: checker.problems};
  }

  /**
   * Makes a damaged store whole again, as far as can be told: what is damaged is set aside, the rest lives on. For stray
   * writes of native code, or a disk that kept some pages and lost others.
   *
   * @throws StoreError ERR_FULL: there is no room for the entries, what was done stays done; ERR_BUSY: others write it;
   * ERR_TRANSACTION: inside a transaction; ERR_READONLY
   */
  repair(): RepairResult {
    return new Repair(this.engine, this.side(), this.schema, () => this.check()).run();
  }

  /** The schema, as it stands in the segment. */
  describe(): TypeDescription {
    return this.schema.describe();
  }

  /** All that is in the store as plain data. `JSON.stringify` cannot take it where a `t.u64` or `t.i64` is: it has no bigint. */
  toJSON(): {[K in keyof S]: S[K]['json']} {
    return (this.root as unknown as {toJSON(): {[K in keyof S]: S[K]['json']}}).toJSON();
  }

  /** Backend 'file': returns when all that was written is on the disk. The others have nothing to do. */
  sync(): void {
    this.engine.assertOpen();
    this.backing.sync?.();
  }

  /**
   * Lets go of the store, a `file` after a `sync()`; it stays for the next one. A second call does nothing. One that is shared
   * (see `share`) stays open until each who has it has called this.
   *
   * @throws StoreError ERR_TRANSACTION: called inside a transaction
   */
  close(): void {
    if (this.engine.closed) return;
    if (this.sharers > 1) {
      this.sharers--;
      return;
    }
    if (!this.engine.readonly) this.backing.sync?.();
    this.release();
    this.backing.detach();
  }

  /**
   * Removes the store and all that is in it.
   *
   * @throws StoreError ERR_READONLY: it was opened for reading; ERR_TRANSACTION: called inside a transaction
   */
  destroy(): void {
    this.engine.assertWritable();
    this.release();
    this.backing.destroy();
    this.backing.bell.remove();
  }

  /** For `using`: the same as `close()`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** For `await using`: the same as `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** @internal The segment itself is nothing to print. */
  [inspect.custom](): string {
    return this.engine.closed ? `Store '${this.engine.name}' (closed)` : `Store ${inspect(this.info())}`;
  }

  /** @internal Sets aside what the structs' own validate refuses. */
  examine(): SetAside[] {
    return examine(this.engine, this.ledger, this.collections.values());
  }

  /** @internal How many have it, by `share`. */
  sharers = 1;

  /** @internal Where it lies by now. */
  get carrier(): Backing {
    return this.backing;
  }

  /** @internal The schema and the access it was opened with. */
  get openedAs(): {schema: Struct<S>; access: Access} {
    return {schema: this.schema, access: this.engine.access};
  }

  /** @internal What a migration needs of either side. */
  side(): Side {
    return {
      engine: this.engine,
      schema: this.schema,
      root: this.root as Record<string, unknown>,
      collections: this.collections,
      ledger: this.ledger,
      transact: fn => this.engine.transact(fn),
    };
  }

  private walk(checker: Checker): void {
    const {rootCell} = this.engine.header;
    for (const {name, type, offset} of this.schema.placed) {
      const collection = this.collections.get(name) as Partial<Collection> | undefined;
      if (collection === undefined) type.verify(checker, rootCell, offset, name);
      else collection.verify?.(checker);
    }
  }

  private rebase(): void {
    rebase(this.engine, this.backing.address(), checker => this.walk(checker));
  }

  private release(): void {
    const {engine} = this;
    if (engine.memory.mode === LOGGED)
      throw new StoreError(
        'ERR_TRANSACTION',
        `store '${engine.name}' cannot be closed inside a transaction.`,
      );
    const {tenure} = this.backing;
    if (tenure && engine.memory.byteLength > 0) signOut(engine.memory, tenure);
    engine.closed = true;
    engine.memory.detach();
    for (const [wake, stop] of this.watchers) {
      stop(); // who stands between two changes, and never asks for the next, keeps no process alive
      wake();
    }
  }

  private followIfMoved(): void {
    if (hasMoved(this.engine.memory)) this.follow();
  }

  /** Offsets are the same in the larger segment, so every record and collection goes on. */
  private follow(): void {
    const next = this.backing.successor();
    if (birthOf(next.bytes) !== this.engine.header.birth) {
      next.detach();
      throw new StoreError(
        'ERR_SCHEMA_MISMATCH',
        `store '${this.engine.name}' was rebuilt, for another schema or to make it compact; open it again.`,
      );
    }
    // What holds the same store is larger, or it was not moved to: else whoever looks whether it moved would never end.
    if (cellsOf(next.bytes) * CELL <= this.engine.memory.byteLength) {
      next.detach();
      neverMoved(next.where);
    }
    this.engine.memory.attach(next.bytes);
    this.backing.detach();
    this.backing = next;
  }

  private grow(maxSize: number): void {
    const {engine} = this;
    for (const [name, collection] of this.collections)
      if (types.isUint8Array(collection))
        throw new StoreError(
          'ERR_FULL',
          `store '${engine.name}' is full and cannot grow: its region '${name}' is in use as plain memory. Open it with a larger size.`,
        );
    const larger = growInto(engine, this.backing, maxSize);
    this.backing.detach();
    this.backing = larger;
    larger.bell.ring();
    if (this.addressed) this.rebase();
  }
}
