import {createHash} from 'node:crypto';
import {attachMemory} from './backend-memory.js';
import {attachSysv} from './backend-sysv.js';
import type {Backing} from './backing.js';
import {Checker, type CheckResult} from './check.js';
import {type Builder, type Collection, CollectionType} from './collection.js';
import {Engine} from './engine.js';
import {StoreError, show} from './errors.js';
import {
  at,
  beginHeader,
  claimOwner,
  HEADER_BYTES,
  type Header,
  NAME_BYTES,
  type Plan,
  publish,
  type Recognised,
  readHeader,
  readOwner,
  recognise,
  releaseOwner,
  writeHeader,
} from './header.js';
import {CELL, LOGGED, Memory} from './memory.js';
import {isAlive, NOBODY, ownIdentity, pidOf} from './process-identity.js';
import {parseSize} from './size.js';
import {ALWAYS_LIVE, compile, type Fields, Struct} from './struct.js';
import {Table, type TableLayout} from './table.js';
import {UndoLog} from './undo-log.js';

export type Schema = Fields;
/** The root record: scalars are plain properties, collections are what they are. */
export type RootOf<S extends Schema> = {
  -readonly [K in keyof S as S[K] extends CollectionType<unknown> ? never : K]: S[K]['value'];
} & {readonly [K in keyof S as S[K] extends CollectionType<unknown> ? K : never]: S[K]['value']};

export interface StoreOptions<S extends Schema> {
  /** Names the store among those of this user: letters, digits, '.', '_' and '-'. */
  name: string;
  /** Bytes, or a text like '64MB'. Used when the store is made; one that exists keeps its size. */
  size?: number | string;
  backend?: 'sysv' | 'memory';
  schema: S;
  /** Bytes of the undo log, which bounds what one transaction can change. A sixteenth of `size` unless given. */
  logSize?: number | string;
}

export interface StoreInfo {
  name: string;
  backend: Backing['kind'];
  size: number;
  /** Bytes handed out to collections; the rest is free. */
  used: number;
  /** The pid of the writer, or undefined. */
  owner: number | undefined;
  created: Date;
  /** How often it was opened for writing. */
  epoch: number;
  /** Cells that opening it wrote back because a writer died in a transaction. */
  recovered: number;
}

/** Stores this process holds as their writer: its own identity in the owner word does not say whether it still does. */
const held = new Set<string>();

export class Store<S extends Schema> {
  readonly root: RootOf<S>;
  constructor(
    private readonly engine: Engine,
    private readonly backing: Backing,
    private readonly layoutOfRoot: Struct<S>,
    private readonly recovered: number,
  ) {
    const {header} = engine;
    const opened = new Map<string, unknown>();
    for (const {name, type, offset} of layoutOfRoot.placed) {
      if (!(type instanceof CollectionType)) continue;
      const collection = type.open(engine, header.rootCell + offset / CELL, name);
      engine.opened.set(offset / CELL, collection);
      opened.set(name, collection);
    }
    this.collections = opened;
    const {Record} = compile(layoutOfRoot, engine, engine.name);
    this.root = new Record(header.rootCell, ALWAYS_LIVE, 1) as unknown as RootOf<S>;
  }

  private readonly collections: ReadonlyMap<string, unknown>;

  /**
   * Runs `fn` as one transaction: all its writes or none of them, whatever kills the process; a throw undoes them.
   * Inside another transaction it joins that one. `fn` must not be asynchronous.
   */
  transaction<R>(fn: () => R): R {
    return this.engine.transact(fn);
  }

  /** The whole segment, for native code. Write to regions of t.raw only. */
  get memory(): Uint8Array {
    this.engine.assertOpen();
    return this.engine.memory.u8;
  }

  /** Where the records of a table lie in `memory`. */
  layout(table: keyof S & string): TableLayout {
    this.engine.assertOpen();
    const collection = this.collections.get(table);
    if (!(collection instanceof Table))
      throw new StoreError(
        'ERR_OPTIONS',
        `layout(${show(table)}): the schema of store '${this.engine.name}' has no such table.`,
      );
    return collection.layout();
  }

  info(): StoreInfo {
    this.engine.assertOpen();
    const {memory, header} = this.engine;
    const owner = readOwner(memory);
    return {
      name: this.engine.name,
      backend: this.backing.kind,
      size: header.size,
      used: memory.u32[at.heapTop / 4]! * CELL,
      owner: owner === NOBODY ? undefined : pidOf(owner),
      created: new Date(header.created),
      epoch: memory.u32[at.epoch / 4]!,
      recovered: this.recovered,
    };
  }

  /** Lets go of the store; it stays for the next one. Records and collections throw from now on. */
  close(): void {
    if (this.engine.closed) return;
    this.release();
    this.backing.detach();
  }

  /** Removes the store and all that is in it. */
  destroy(): void {
    this.engine.assertWritable();
    this.release();
    this.backing.destroy();
  }

  /** Looks through the whole store for anything that cannot be: structure, refs, free lists, leaks. Changes nothing. */
  check(): CheckResult {
    this.engine.assertOpen();
    const checker = new Checker(this.engine);
    const {rootCell} = this.engine.header;
    for (const {name, type, offset} of this.layoutOfRoot.placed) {
      const collection = this.collections.get(name) as Partial<Collection> | undefined;
      if (collection === undefined) type.verify(checker, rootCell, offset, name);
      else collection.verify?.(checker);
    }
    checker.heap();
    return {ok: checker.problems.length === 0, problems: checker.problems};
  }

  /** All that is in the store as plain data. */
  toJSON(): {[K in keyof S]: S[K]['json']} {
    return (this.root as unknown as {toJSON(): {[K in keyof S]: S[K]['json']}}).toJSON();
  }

  private release(): void {
    const {engine, backing} = this;
    if (engine.memory.mode === LOGGED)
      throw new StoreError(
        'ERR_TRANSACTION',
        `store '${engine.name}' cannot be closed inside a transaction.`,
      );
    releaseOwner(engine.memory, ownIdentity());
    held.delete(backing.where);
    engine.closed = true;
    engine.memory.detach();
  }
}

/** Makes the store, or opens the one that is there: then what a dead writer left half done is undone first. */
export async function openStore<const S extends Schema>(options: StoreOptions<S>): Promise<Store<S>> {
  if (typeof options !== 'object' || options === null)
    throw new StoreError('ERR_OPTIONS', 'openStore expects an object with name, size, backend and schema.');
  const {name, backend = 'sysv', schema} = options;
  if (typeof name !== 'string' || !/^[A-Za-z0-9._-]+$/.test(name) || name.length > NAME_BYTES)
    throw new StoreError(
      'ERR_OPTIONS',
      `name: ${show(name)}; expected 1 to ${NAME_BYTES} letters, digits, '.', '_' or '-'.`,
    );
  const root = new Struct('Root', schema);
  const size = options.size === undefined ? undefined : parseSize(options.size, 'size');
  if (backend !== 'sysv' && backend !== 'memory')
    throw new StoreError('ERR_OPTIONS', `backend: ${show(backend)}; expected 'sysv' or 'memory'.`);
  const backing = backend === 'sysv' ? attachSysv(name, size) : attachMemory(name, size);
  return enter(backing, name, root, options.logSize);
}

export function fingerprint(root: Struct<Fields>): Buffer {
  return createHash('sha256').update(JSON.stringify(root.describe())).digest().subarray(0, 16);
}

/** Turns an attached segment into a store: recognises or builds it, claims it, recovers it. */
export function enter<S extends Schema>(
  backing: Backing,
  name: string,
  root: Struct<S>,
  logSize: number | string | undefined,
  memory = new Memory(backing.bytes),
): Store<S> {
  const kind = recognise(memory.u8);
  try {
    refuseForeign(memory, backing, kind);
    claim(memory, backing);
  } catch (error) {
    memory.detach();
    backing.detach();
    throw error;
  }
  let built = kind === 'ours';
  try {
    if (!built) build(memory, backing, name, root, logSize);
    built = true;
    const header = readHeader(memory, backing.where);
    if (header.name !== name)
      throw new StoreError(
        'ERR_FOREIGN',
        `${backing.where} is that of store '${header.name}', whose key happens to be the same; it was left untouched. Choose another name.`,
      );
    if (!header.fingerprint.equals(fingerprint(root)))
      throw new StoreError(
        'ERR_SCHEMA_MISMATCH',
        `${backing.where} was made with another schema; it was left untouched. Open it with that schema, or destroy it.`,
      );
    const log = new UndoLog(memory, header.logCell, header.logCells);
    const recovered = log.recover(backing.where);
    memory.u32[at.epoch / 4] = memory.u32[at.epoch / 4]! + 1;
    return new Store(new Engine(name, memory, log, header, false), backing, root, recovered);
  } catch (error) {
    releaseOwner(memory, ownIdentity());
    held.delete(backing.where);
    memory.detach();
    if (built) backing.detach();
    else backing.destroy();
    throw error;
  }
}

/** Nothing is written to a segment that is not ours. */
function refuseForeign(memory: Memory, backing: Backing, kind: Recognised): void {
  if (kind === 'foreign' || (kind === 'empty' && !backing.created && !vacant(memory, backing)))
    throw new StoreError(
      'ERR_FOREIGN',
      `${backing.where} is not a zlr store; it was left untouched. Choose another name, or remove it yourself if nobody needs it.`,
    );
  if (kind === 'ours') readHeader(memory, backing.where);
}

/** An empty segment whose maker died before its first store: nobody else has it and it holds nothing but zeros. */
function vacant(memory: Memory, backing: Backing): boolean {
  return backing.abandoned() && memory.u8.subarray(HEADER_BYTES).every(byte => byte === 0);
}

function claim(memory: Memory, backing: Backing): void {
  const own = ownIdentity();
  const owner = readOwner(memory);
  const busy = (pid: number): never => {
    throw new StoreError(
      'ERR_BUSY',
      `${backing.where} is being written by process ${pid}${pid === process.pid ? ' (this one)' : ''}; a store has one writer. Close it there first.`,
    );
  };
  if (held.has(backing.where)) busy(process.pid);
  // A process that replaced itself by exec keeps pid and start time: its own word is no other writer.
  if (owner !== own && isAlive(owner)) busy(pidOf(owner));
  if (!claimOwner(memory, owner, own)) busy(pidOf(readOwner(memory)));
  held.add(backing.where);
}

function build(
  memory: Memory,
  backing: Backing,
  name: string,
  root: Struct<Fields>,
  logSize: number | string | undefined,
): void {
  const size = memory.byteLength;
  const description = Buffer.from(JSON.stringify(root.describe()));
  const logBytes =
    logSize === undefined ? Math.min(Math.max(size / 16, 2 ** 14), 2 ** 24) : parseSize(logSize, 'logSize');
  const logCells = Math.floor(logBytes / CELL);
  const logCell = HEADER_BYTES / CELL;
  const schemaCell = logCell + logCells;
  const rootCell = roundUp(schemaCell + Math.ceil(description.length / CELL), 64 / CELL);
  const rootCells = root.size / CELL;
  const heapEnd = size / CELL;
  if (rootCell + rootCells > heapEnd)
    tooSmall(size, (rootCell + rootCells) * CELL, 'its header, undo log and root');
  beginHeader(memory);
  // A maker that died half-way may have left anything behind the header.
  if (!backing.created) memory.u8.fill(0, HEADER_BYTES);
  memory.u8.set(description, schemaCell * CELL);
  const plan: Plan = {
    name,
    size,
    fingerprint: fingerprint(root),
    logCell,
    logCells,
    schemaCell,
    schemaBytes: description.length,
    rootCell,
    rootCells,
    heapCell: rootCell + rootCells,
    heapEnd,
  };
  const engine = new Engine(name, memory, new UndoLog(memory, logCell, logCells), plan as Header, false);
  let number = 0;
  const builder: Builder = {
    engine,
    nextNumber() {
      if (++number > 63)
        throw new StoreError('ERR_SCHEMA', 'a store has at most 63 tables, maps, lists and sorted maps.');
      return number;
    },
    reserve(cells, what, align = CELL) {
      const cell = roundUp(plan.heapCell, align / CELL);
      if (cell + cells > heapEnd) tooSmall(size, (cell + cells) * CELL, what);
      plan.heapCell = cell + cells;
      return cell;
    },
  };
  for (const {type, offset} of root.placed)
    if (type instanceof CollectionType) type.build(builder, rootCell + offset / CELL);
  writeHeader(memory, plan);
  publish(memory);
}

function tooSmall(size: number, needed: number, what: string): never {
  throw new StoreError(
    'ERR_FULL',
    `size: ${size} bytes are too few, ${what} alone reach to byte ${needed}; open the store with a larger size.`,
  );
}

function roundUp(n: number, multiple: number): number {
  return Math.ceil(n / multiple) * multiple;
}
