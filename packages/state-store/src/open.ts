import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {attachFile} from './backend-file.js';
import {attachMemory} from './backend-memory.js';
import {attachSysv} from './backend-sysv.js';
import type {Backing} from './backing.js';
import {type Builder, CollectionType} from './collection.js';
import {type Access, Engine} from './engine.js';
import {StoreError, show} from './errors.js';
import {
  at,
  beginHeader,
  claimOwner,
  HEADER_BYTES,
  type Header,
  hasMoved,
  MOVED,
  NAME_BYTES,
  type Plan,
  publish,
  READY,
  type Recognised,
  readHeader,
  readOwner,
  recognise,
  releaseOwner,
  stateOf,
  writeHeader,
} from './header.js';
import {restoreHeads} from './heads.js';
import type {SetAside} from './ledger.js';
import {
  delist,
  enlist,
  forgetOtherBoots,
  hasOtherBoot,
  lock,
  noteOtherBoot,
  otherWriter,
  unlock,
} from './lock.js';
import {LEAST_LOG_CELLS} from './log-ring.js';
import {CELL, Memory} from './memory.js';
import {Migration, type Renames} from './migrate.js';
import {isAlive, NOBODY, nameOf, ownIdentity} from './process-identity.js';
import type {RepairResult} from './repair.js';
import {decodeSchema, encodeSchema, schemaFrom} from './schema-blob.js';
import {assertHolds, parseSize} from './size.js';
import {type RootOf, type Schema, Store} from './store.js';
import {type Fields, Struct} from './struct.js';
import {Type} from './type.js';
import {UndoLog} from './undo-log.js';

/** Of `openStore`. Sizes are bytes, or texts like '512KB', '64MB', '2GB' in units of 1024. */
export interface StoreOptions<S extends Schema> {
  /** Names the store among those of this user: 1 to 60 letters, digits, '.', '_' and '-'. */
  name: string;
  /** Needed to make a store; at most 4 GiB on Node 20. One that exists keeps its size, but is no smaller than this once it is rebuilt. */
  size?: number | string;
  /** Where it lies: a SysV segment (the default), a file, or this process alone. */
  backend?: 'sysv' | 'file' | 'memory';
  /** Of backend 'file': the file. On disk it survives a reboot, on a tmpfs such as /dev/shm it is as fast as 'sysv'. */
  path?: string;
  /** Of backend 'memory': `store.shared` of another thread, to open its store here. */
  shared?: SharedArrayBuffer;
  /** What stands at the root. `readStore` goes without: the store holds its own. */
  schema: S;
  /** Reads only, beside any writers; any number of readers. The store must be there. */
  readonly?: boolean;
  /** 'many': several processes or threads write, at most 64, one transaction at a time. All of them must say so. The default is 'one'. */
  writers?: 'one' | 'many';
  /** When the store is full it grows, up to this; a transaction that was under way runs a second time. */
  maxSize?: number | string;
  /** Of the undo log, which bounds what one transaction can change: 12 bytes for each cell of 8. A sixteenth of `size`, 16 KB to 768 KB, unless given. */
  logSize?: number | string;
  /** For a schema that changed: what has another name now, as `{'Struct.newField': 'oldField', newRoot: 'oldRoot'}`. */
  renames?: Renames;
  /** For a schema that changed in ways that names and wider types do not explain: fills what was left empty, in one transaction. `from` is the old root, live and read-only. */
  migrate?: (from: Record<string, unknown>, to: RootOf<S>) => void;
  /** Rebuilds the store without gaps before it is opened. */
  compact?: boolean;
  /** Looks at what is there, after recovery; a throw refuses it: `openStore` throws `ERR_INVALID`, the store stays as it is. */
  validate?: (root: RootOf<S>) => void;
}

/** The compiler sees to it that none is missing. */
const OPTIONS = {
  name: true,
  size: true,
  backend: true,
  path: true,
  shared: true,
  schema: true,
  readonly: true,
  writers: true,
  maxSize: true,
  logSize: true,
  renames: true,
  migrate: true,
  compact: true,
  validate: true,
} satisfies Record<keyof StoreOptions<Schema>, true>;

/** Stores this thread holds as a writer: its own identity in the owner word does not say whether it still does. */
const held = new Set<string>();

/**
 * Makes the store, or opens the one that is there: then what a dead writer left half done is undone first, and what was
 * made with another schema is carried over. A store that is refused is left as it was.
 *
 * @throws StoreError ERR_OPTIONS, ERR_SCHEMA: it was asked for what cannot be;
 *   ERR_NOT_FOUND: there is no store, and no `size` to make one or `readonly: true`;
 *   ERR_BUSY: another process writes it, or is about to remove it;
 *   ERR_BACKEND, ERR_LIMIT, ERR_FULL: the backend is missing, or the kernel, the disk or `size` has too little room;
 *   ERR_FOREIGN, ERR_VERSION, ERR_CORRUPT: what is there is no store of this user, of another format, or damaged;
 *   ERR_SCHEMA_MISMATCH, ERR_VALUE: it cannot be carried over, or a reader's schema is another one;
 *   ERR_INVALID: `validate` refused it
 * @example
 * const store = await openStore({name: 'shop', size: '1MB', schema: {starts: t.uint}});
 * store.root.starts++;
 */
export async function openStore<const S extends Schema>(options: StoreOptions<S>): Promise<Store<S>> {
  if (typeof options !== 'object' || options === null)
    throw new StoreError('ERR_OPTIONS', 'openStore expects an object with name, size, backend and schema.');
  const unknown = Object.keys(options).find(option => !(option in OPTIONS));
  if (unknown !== undefined)
    throw new StoreError(
      'ERR_OPTIONS',
      `there is no option ${show(unknown)}; there are ${Object.keys(OPTIONS).join(', ')}.`,
    );
  const {name, readonly = false, writers = 'one', schema} = options;
  if (typeof name !== 'string' || !/^[A-Za-z0-9._-]+$/.test(name) || name.length > NAME_BYTES)
    throw new StoreError(
      'ERR_OPTIONS',
      `name: ${show(name)}; expected 1 to ${NAME_BYTES} letters, digits, '.', '_' or '-'.`,
    );
  if (writers !== 'one' && writers !== 'many')
    throw new StoreError('ERR_OPTIONS', `writers: ${show(writers)}; expected 'one' or 'many'.`);
  if (typeof schema !== 'object' || schema === null || schema instanceof Type)
    throw new StoreError(
      'ERR_OPTIONS',
      `schema: ${show(schema)}; expected an object of types by name, such as {starts: t.uint, conns: t.table(Conn)}.`,
    );
  const size = options.size === undefined || readonly ? undefined : parseSize(options.size, 'size');
  const maxSize = options.maxSize === undefined ? undefined : parseSize(options.maxSize, 'maxSize');
  for (const [option, bytes] of Object.entries({size, maxSize}))
    if (bytes !== undefined) assertHolds(options.backend ?? 'sysv', bytes, option);
  const root = new Struct('Root', schema);
  const backing = attach(options as unknown as StoreOptions<Schema>, size);
  const access = readonly ? 'none' : writers;
  return enter(backing, name, root, {
    access,
    logSize: options.logSize,
    maxSize,
    validate: options.validate,
    change: {
      size,
      renames: options.renames ?? {},
      migrate: options.migrate,
      compact: options.compact ?? false,
    },
  });
}

/**
 * Opens a store for reading by the schema it holds itself. Only `name`, `backend`, `path` and `shared` are looked at.
 *
 * @throws StoreError ERR_NOT_FOUND: there is none; ERR_OPTIONS, ERR_BACKEND, ERR_FOREIGN, ERR_VERSION, ERR_CORRUPT: as `openStore`
 */
export async function readStore(
  options: Omit<StoreOptions<Schema>, 'schema' | 'readonly'>,
): Promise<Store<Schema>> {
  return openDescribed(options, 'none');
}

/**
 * Repairs a store that nobody has open for writing, by the schema it holds itself: `repair` of the store, and what must
 * come before it can be opened.
 *
 * @param place - only `name`, `backend` and `path` are looked at
 * @throws StoreError ERR_BUSY: it is being written; ERR_CORRUPT: it cannot even be opened; as `readStore` and `repair` besides
 */
export async function repairStore(
  place: Omit<StoreOptions<Schema>, 'schema' | 'readonly'>,
): Promise<RepairResult> {
  const store = openDescribed(place, 'one');
  try {
    return store.repair();
  } finally {
    store.close();
  }
}

function openDescribed(
  options: Omit<StoreOptions<Schema>, 'schema' | 'readonly'>,
  access: Access,
): Store<Schema> {
  const backing = attach(options as StoreOptions<Schema>, undefined);
  const memory = new Memory(backing.bytes);
  try {
    const header = readHeader(memory, backing.where);
    const description = decodeSchema(
      memory.u8.slice(header.schemaCell * CELL, header.schemaCell * CELL + header.schemaBytes),
      backing.where,
    );
    return enter(backing, header.name, new Struct('Root', schemaFrom(description)), {
      access,
      described: true,
      mend: access !== 'none',
    });
  } catch (error) {
    backing.detach();
    throw error;
  }
}

export function attach(
  {name, path, backend = 'sysv', shared}: StoreOptions<Schema>,
  size: number | undefined,
): Backing {
  switch (backend) {
    case 'sysv':
      return attachSysv(name, size);
    case 'memory':
      return attachMemory(name, size, shared);
    case 'file':
      if (typeof path !== 'string' || path === '')
        throw new StoreError('ERR_OPTIONS', `path: ${show(path)}; backend 'file' needs the path of a file.`);
      return attachFile(name, path, size);
    default:
      throw new StoreError('ERR_OPTIONS', `backend: ${show(backend)}; expected 'sysv', 'file' or 'memory'.`);
  }
}

export interface Entry<S extends Schema> {
  access?: Access;
  logSize?: number | string | undefined;
  maxSize?: number | undefined;
  validate?: ((root: RootOf<S>) => void) | undefined;
  memory?: Memory;
  /** What may be done about another schema. */
  change?: {
    size: number | undefined;
    renames: Renames;
    migrate: ((from: Record<string, unknown>, to: RootOf<S>) => void) | undefined;
    compact: boolean;
  };
  /** The schema is the store's own, so there is nothing to compare. */
  described?: boolean;
  /** It is opened to be repaired. */
  mend?: boolean;
}

/** Turns an attached segment into a store: recognises or builds it, claims it, recovers it. */
export function enter<S extends Schema>(
  backing: Backing,
  name: string,
  root: Struct<S>,
  entry: Entry<S>,
): Store<S> {
  const {access = 'one', memory = new Memory(backing.bytes), ...rest} = entry;
  let kind: Recognised;
  let next: Backing | undefined;
  let doubtful = false;
  try {
    next = overtaken(memory, backing);
    kind = recognise(memory.u8);
    if (!next) {
      // All that can be refused is refused before the first store: a claim is one already.
      refuse(memory, backing, name, root, kind, entry);
      if (access !== 'none') doubtful = claim(memory, backing, access);
      if (kind === 'ours') next = overtaken(memory, backing);
      if (next) release(memory, backing, access);
    }
  } catch (error) {
    memory.detach();
    backing.detach();
    throw error;
  }
  if (next) {
    memory.detach();
    backing.detach();
    return enter(next, name, root, {access, ...rest});
  }
  let built = kind === 'ours';
  let locked = false;
  try {
    if (!built) {
      build(memory, backing, name, root, entry.logSize);
      publish(memory);
    }
    built = true;
    if (kind !== 'ours' && access === 'many') {
      enlist(memory, backing.where);
      releaseOwner(memory, ownIdentity());
    }
    const header = readHeader(memory, backing.where);
    const log = new UndoLog(memory, header.logCell, header.logCells);
    let recovered = 0;
    if (access !== 'none') {
      recovered = recover(memory, backing, log, access);
      locked = access === 'many'; // until the collections have looked after theirs too, below
      memory.u32[at.epoch / 4] = memory.u32[at.epoch / 4]! + 1;
      // Of several who come after a stop of the machine the others wait for the lock, and find that the first one looked.
      if (doubtful && hasOtherBoot(memory)) {
        lookThrough(memory, backing, name, log, header, root, entry.maxSize);
        if (memory.byteLength !== backing.bytes.length) {
          // It grew to have room for what was set aside.
          if (locked) unlock(memory);
          locked = false;
          release(memory, backing, access);
          return enter(backing.successor(), name, root, {access, ...rest});
        }
      }
      const {change} = entry;
      if (change && (change.compact || !header.fingerprint.equals(fingerprint(root)))) {
        const old = new Engine(name, backing.where, memory, log, header, 'none');
        rebuild(backing, old, root, entry, change);
        const {change: _done, ...unchanged} = rest;
        locked = false; // the lock went with the old segment
        release(memory, backing, access);
        return enter(backing.successor(), name, root, {access, ...unchanged});
      }
    }
    if (entry.mend) mendHeads(memory, backing, log, header, root);
    const store = new Store(
      new Engine(
        name,
        backing.where,
        memory,
        log,
        header,
        access,
        access === 'one' && entry.maxSize === undefined,
      ),
      backing,
      root,
      recovered,
      entry.maxSize,
      () => release(memory, backing, access),
    );
    if (locked) unlock(memory);
    locked = false;
    if (access !== 'none') examine(store, backing);
    validate(store, entry.validate);
    return store;
  } catch (error) {
    if (locked) unlock(memory);
    release(memory, backing, access);
    memory.detach();
    if (built) backing.detach();
    else backing.destroy();
    throw error;
  }
}

/**
 * Makes the store anew under another schema, or without gaps, and puts it in the place of the old one by one store or one
 * rename. Until then the old one is as it was.
 */
function rebuild<S extends Schema>(
  backing: Backing,
  old: Engine,
  root: Struct<S>,
  entry: Entry<S>,
  change: NonNullable<Entry<S>['change']>,
): void {
  const other = otherWriter(old.memory);
  if (other !== undefined)
    throw new StoreError(
      'ERR_BUSY',
      `${backing.where} is also written by ${nameOf(other)}; it can be rebuilt only by one that is alone.`,
    );
  const {name} = old;
  const before = describedBy(old.memory, backing, old.header);
  const from = new Store(old, backing, before, 0, undefined, () => {});
  const place = backing.blank(Math.max(old.memory.byteLength, change.size ?? 0));
  try {
    const memory = new Memory(place.bytes);
    claimOwner(memory, NOBODY, ownIdentity());
    const plan = build(memory, place, name, root, entry.logSize);
    const log = new UndoLog(memory, plan.logCell, plan.logCells);
    const to = new Store(
      new Engine(name, place.where, memory, log, plan as Header, 'one'),
      place,
      root,
      0,
      undefined,
      () => {},
    );
    new Migration(from.side(), to.side(), change.renames, change.migrate !== undefined).run();
    const {migrate} = change;
    if (migrate) to.transaction(() => migrate(from.side().root, to.root));
    const {ok, problems} = to.check();
    assert(ok, problems.join('; '));
    backing.replace(place);
    place.bell.ring();
  } catch (error) {
    place.destroy();
    throw error;
  }
}

function recover(memory: Memory, backing: Backing, log: UndoLog, access: Access): number {
  if (access === 'many') lock(memory, backing.where);
  // A single writer that died before left the lock alone; one of several that died left it to whoever comes next.
  return log.recover(backing.where);
}

/** What is damaged in the heads of collections would send all that is read and written elsewhere. */
function mendHeads(
  memory: Memory,
  backing: Backing,
  log: UndoLog,
  header: Header,
  root: Struct<Fields>,
): void {
  const mended = restoreHeads(memory, log, header, root);
  if (mended.length > 0)
    process.emitWarning(`${backing.where}: the heads of ${mended.join(', ')} were damaged and made anew.`, {
      code: 'ZLR_REPAIR',
    });
}

/** The struct that a store says its root is. */
function describedBy(memory: Memory, backing: Backing, header: Header): Struct<Fields> {
  const start = header.schemaCell * CELL;
  const bytes = memory.u8.slice(start, start + header.schemaBytes);
  return new Struct('Root', schemaFrom(decodeSchema(bytes, backing.where)));
}

/** The writer before died with its boot. For who is alone, or holds the lock: under its own schema, before anything else. */
function lookThrough(
  memory: Memory,
  backing: Backing,
  name: string,
  log: UndoLog,
  header: Header,
  wanted: Struct<Fields>,
  maxSize: number | undefined,
): void {
  const root = header.fingerprint.equals(fingerprint(wanted)) ? wanted : describedBy(memory, backing, header);
  mendHeads(memory, backing, log, header, root);
  const engine = new Engine(name, backing.where, memory, log, header, 'one');
  doubt(new Store(engine, backing, root, 0, maxSize, () => {}), backing);
  forgetOtherBoots(memory);
}

/** A disk may have kept some of its pages and lost others. */
function doubt(store: Store<Schema>, backing: Backing): void {
  if (store.check().ok) return;
  const {setAside, problems} = store.repair();
  report(backing, setAside);
  if (problems.length > 0)
    throw new StoreError(
      'ERR_CORRUPT',
      `${backing.where} was being written when its machine stopped, and is damaged: ${problems.slice(0, 3).join('; ')}.`,
    );
}

/** Runs the structs' own validate, on a store that is mended first if they came upon damage. */
function examine(store: Store<Schema>, backing: Backing): void {
  try {
    report(backing, store.examine());
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'ERR_CORRUPT') throw error;
    const {setAside, problems} = store.repair();
    report(backing, setAside);
    if (problems.length > 0) throw error;
    report(backing, store.examine());
  }
}

/** Nothing is set aside in silence. */
function report(backing: Backing, setAside: SetAside[]): void {
  const [first] = setAside;
  if (first === undefined) return;
  const {length} = setAside;
  const what = length === 1 ? 'a value was' : `${length} values were`;
  process.emitWarning(
    `${backing.where}: ${what} set aside, ${length === 1 ? '' : 'the first '}from '${first.collection}': ${first.reason}. Nothing of it is lost: see store.quarantine() or zlr inspect --quarantine.`,
    {code: 'ZLR_QUARANTINE'},
  );
}

function validate<S extends Schema>(store: Store<S>, check: ((root: RootOf<S>) => void) | undefined): void {
  try {
    check?.(store.root);
  } catch (cause) {
    throw new StoreError(
      'ERR_INVALID',
      `store '${store.info().name}' was refused by your validate: ${(cause as Error).message}`,
      {cause},
    );
  }
}

/** The segment that took the place of this one since it was attached: its writer goes on meanwhile. */
function overtaken(memory: Memory, backing: Backing): Backing | undefined {
  if (!hasMoved(memory)) return undefined;
  const next = backing.successor();
  if (next.bytes.length > memory.byteLength || (memory.byteLength > 0 && stateOf(memory) === MOVED))
    return next;
  next.detach(); // it is damaged, as will be said
  return undefined;
}

/** Nothing is written to a segment that is not ours. */
function refuse(
  memory: Memory,
  backing: Backing,
  name: string,
  root: Struct<Fields>,
  kind: Recognised,
  entry: Entry<never>,
): void {
  if (kind === 'foreign' || (kind === 'empty' && !backing.created && !vacant(memory, backing)))
    throw new StoreError(
      'ERR_FOREIGN',
      `${backing.where} is not a zlr store; it was left untouched. Choose another name, or remove it yourself if nobody needs it.`,
    );
  if (kind !== 'ours') {
    if (entry.access === 'none')
      throw new StoreError(
        'ERR_NOT_FOUND',
        `${backing.where} is not finished yet; its writer is still making it, or died over it.`,
      );
    return;
  }
  const header = readHeader(memory, backing.where);
  if (header.name !== name)
    throw new StoreError(
      'ERR_FOREIGN',
      `${backing.where} is that of store '${header.name}', not of '${name}'; it was left untouched. Choose another name.`,
    );
  if (
    !entry.described &&
    (entry.access === 'none' || !entry.change) &&
    !header.fingerprint.equals(fingerprint(root))
  )
    throw new StoreError(
      'ERR_SCHEMA_MISMATCH',
      `${backing.where} was made with another schema; it was left untouched. Open it with that schema, or destroy it.`,
    );
}

/** An empty segment whose maker died before its first store: nobody else has it and it holds nothing but zeros. */
function vacant(memory: Memory, backing: Backing): boolean {
  return backing.abandoned() && memory.u8.subarray(HEADER_BYTES).every(byte => byte === 0);
}

/** Makes this thread a writer. True when one before died with another boot. */
function claim(memory: Memory, backing: Backing, access: 'one' | 'many'): boolean {
  const own = ownIdentity();
  const owner = readOwner(memory);
  const busy = (who: bigint): never => {
    throw new StoreError(
      'ERR_BUSY',
      `${backing.where} is being written by ${nameOf(who)}; close it there first, or open it with writers: 'many' in both.`,
    );
  };
  /** Who must not be there beside this access. */
  const rival = () => {
    const owner = readOwner(memory);
    if (owner !== own && isAlive(owner)) return owner;
    return access === 'one' ? otherWriter(memory) : undefined;
  };
  if (held.has(backing.place)) busy(own);
  // A process that replaced itself by exec keeps pid and start time: its own word is no other writer.
  const before = rival();
  if (before !== undefined) busy(before);
  const doubtful = stateOf(memory) === READY && noteOtherBoot(memory);
  // Several writers claim it only while it is made, or while a dead owner is replaced.
  if (!claimOwner(memory, owner, access === 'one' || stateOf(memory) !== READY ? own : NOBODY))
    busy(readOwner(memory));
  if (access === 'many' && stateOf(memory) === READY) enlist(memory, backing.where);
  // A single writer and one of several claim by different words. Each looks again after its own store: one sees the other.
  const after = rival();
  if (after !== undefined) {
    release(memory, backing, access);
    busy(after);
  }
  held.add(backing.place);
  return doubtful;
}

function release(memory: Memory, backing: Backing, access: Access): void {
  if (access === 'none') return;
  held.delete(backing.place);
  if (memory.byteLength === 0) return; // it was rebuilt: its segment has gone
  releaseOwner(memory, ownIdentity());
  if (access === 'many') delist(memory);
}

const fingerprints = new WeakMap<Struct<Fields>, Buffer>();

export function fingerprint(root: Struct<Fields>): Buffer {
  const known = fingerprints.get(root);
  if (known) return known;
  const made = createHash('sha256').update(JSON.stringify(root.describe())).digest().subarray(0, 16);
  fingerprints.set(root, made);
  return made;
}

/** A default log holds 65,536 cells: half a megabyte changed by one transaction. */
const DEFAULT_LOG_BYTES = 2 ** 16 * 12;

function build(
  memory: Memory,
  backing: Backing,
  name: string,
  root: Struct<Fields>,
  logSize: number | string | undefined,
): Plan {
  const size = memory.byteLength;
  const description = encodeSchema(root.describe());
  const logBytes =
    logSize === undefined
      ? Math.min(Math.max(size / 16, 2 ** 14), DEFAULT_LOG_BYTES)
      : parseSize(logSize, 'logSize');
  const logCells = Math.max(Math.floor(logBytes / CELL), LEAST_LOG_CELLS);
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
  let number = 0;
  const builder: Builder = {
    memory,
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
  return plan;
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
