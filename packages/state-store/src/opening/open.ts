import {setTimeout} from 'node:timers/promises';
import {
  anything,
  call,
  comesBack,
  type Expected,
  flag,
  isAhead,
  optional,
  record,
  text,
} from '@zlr/kernel-shim/internal';
import type {Asked, Backing} from '../backends/backing.js';
import {BusyForNow} from '../backends/busy.js';
import {attachFile} from '../backends/file.js';
import {holdingAt} from '../backends/holdings.js';
import {told} from '../backends/refusal.js';
import {attachMemory, placeOfMemory} from '../backends/shared-memory.js';
import {assertHolds, parseSize} from '../backends/size.js';
import {placeOfFile} from '../backends/store-file.js';
import {attachSysv, placeOfSysv} from '../backends/sysv.js';
import {assertFits, StoreError, show} from '../errors.js';
import type {Renames} from '../migration/plan.js';
import type {RepairResult} from '../repair/repair.js';
import {assertMayGenerate} from '../schema/generate.js';
import {Struct} from '../schema/struct.js';
import {Type} from '../schema/type.js';
import type {Access} from '../segment/engine.js';
import {NAME_BYTES, readHeader} from '../segment/header.js';
import {Memory} from '../segment/memory.js';
import type {RootOf, Schema, Store} from '../store/store.js';
import {fingerprint} from './build.js';
import {enter} from './enter.js';
import {describedBy} from './examine.js';
import {callerOf, shareOpen} from './share.js';

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
  /** If this thread has it open for writing already, hands out that very store; each who has it closes it. Its schema and `writers` must be the same. */
  share?: boolean;
  /** When the store is full it grows, up to this; a transaction that was under way runs a second time. */
  maxSize?: number | string;
  /** Of the undo log, which bounds what one transaction can change: 12 bytes for each cell of 8. A sixteenth of `size`, 16 KB to 768 KB, unless given. */
  logSize?: number | string;
  /** For a schema that changed: what has another name now, as `{'Struct.newField': 'oldField', newRoot: 'oldRoot'}`. */
  renames?: Renames;
  /** For a schema that changed: what it no longer has and may be lost, as the error names it: `['User.plan', 'users']`. Nothing else is. */
  drop?: readonly string[];
  /**
   * For a schema that changed in ways that names and types do not explain: fills what was left empty, in one transaction; it
   * must leave nothing empty that could not be carried over. `from` is the old root, live and read-only.
   */
  migrate?: (from: Record<string, unknown>, to: RootOf<S>) => void;
  /** Of your schema, counted by you from 1: a store that was written with a higher one is refused. */
  version?: number;
  /** Rebuilds the store without gaps before it is opened. */
  compact?: boolean;
  /** Looks at what is there, after recovery; a throw refuses it: `openStore` throws `ERR_INVALID`, the store stays as it is. */
  validate?: (root: RootOf<S>) => void;
}

/** The compiler sees to it that none is missing. What `anything` may be has its own words below. */
const OPTIONS = {
  name: anything,
  size: anything,
  backend: anything,
  path: optional(text),
  shared: anything,
  schema: anything,
  readonly: optional(flag),
  writers: anything,
  share: optional(flag),
  maxSize: anything,
  logSize: anything,
  renames: optional(record),
  drop: anything,
  migrate: optional(call),
  version: anything,
  compact: optional(flag),
  validate: optional(call),
} satisfies Record<keyof StoreOptions<Schema>, Expected>;

/**
 * Makes the store, or opens the one that is there: then what a dead writer left half done is undone first, and what was
 * made with another schema is carried over. A store that is refused is left as it was. In a standby it waits until it is that one's turn. In a
 * program that comes back after a restart that failed (`zlr restart`), what the schema got since is given up, and the store kept in a dump before.
 *
 * @throws StoreError ERR_OPTIONS, ERR_SCHEMA: it was asked for what cannot be;
 *   ERR_NOT_FOUND: there is no store, and no `size` to make one or `readonly: true`;
 *   ERR_BUSY: it is open for writing already, here or in another process, or another one has been making or removing it for 5 s;
 *   ERR_BACKEND, ERR_LIMIT, ERR_FULL: the backend is missing, or the kernel, the disk or `size` has too little room;
 *   ERR_FOREIGN, ERR_VERSION, ERR_CORRUPT: what is there is no store of this user, of another format, or damaged;
 *   ERR_SCHEMA_MISMATCH, ERR_VALUE: something would be lost that `drop` does not name, or does not fit; its `version` is
 *   higher; a reader's schema is another one;
 *   ERR_INVALID: `validate` refused it
 * @example
 * const store = await openStore({name: 'shop', size: '1MB', schema: {starts: t.uint}});
 * store.root.starts++;
 */
export async function openStore<const S extends Schema>(options: StoreOptions<S>): Promise<Store<S>> {
  if (typeof options !== 'object' || options === null)
    throw new StoreError('ERR_OPTIONS', 'openStore expects an object with name, size, backend and schema.');
  assertFits('openStore', options, OPTIONS);
  const opened = callerOf(openStore);
  const {name, readonly = false, writers = 'one', share = false, schema} = options;
  assertName(name);
  if (writers !== 'one' && writers !== 'many')
    throw new StoreError('ERR_OPTIONS', `writers: ${show(writers)}; expected 'one' or 'many'.`);
  if (typeof schema !== 'object' || schema === null || schema instanceof Type)
    throw new StoreError(
      'ERR_OPTIONS',
      `schema: ${show(schema)}; expected an object of types by name, such as {starts: t.uint, conns: t.table(Conn)}.`,
    );
  if (share && readonly)
    throw new StoreError(
      'ERR_OPTIONS',
      'share: true; expected that only of one that writes: any number may read a store.',
    );
  const {renames = {}, drop = [], version = 0, migrate} = options;
  if (typeof renames !== 'object' || Array.isArray(renames) || Object.values(renames).some(isNoText))
    throw new StoreError(
      'ERR_OPTIONS',
      `renames: ${show(renames)}; expected {'Struct.newField': 'oldField', newRoot: 'oldRoot'}.`,
    );
  if (!Array.isArray(drop) || drop.some(isNoText))
    throw new StoreError(
      'ERR_OPTIONS',
      `drop: ${show(drop)}; expected names such as ['Struct.field', 'root'].`,
    );
  if (options.version !== undefined && !(Number.isInteger(version) && version >= 1 && version < 2 ** 32))
    throw new StoreError('ERR_OPTIONS', `version: ${show(version)}; expected an integer from 1 to 2**32-1.`);
  const size = options.size === undefined || readonly ? undefined : parseSize(options.size, 'size');
  const maxSize = options.maxSize === undefined ? undefined : parseSize(options.maxSize, 'maxSize');
  for (const [option, bytes] of Object.entries({size, maxSize}))
    if (bytes !== undefined) assertHolds(options.backend ?? 'sysv', bytes, option);
  const root = new Struct('Root', schema);
  // Remembered from here on. Once a large segment is mapped V8 wants to collect, and does so at every Buffer that is made.
  fingerprint(root);
  const where = options as unknown as StoreOptions<Schema>;
  const access = readonly ? 'none' : writers;
  const inAdvance = access !== 'none' && options.backend !== 'memory' && isAhead();
  const mapped = inAdvance ? await untilTurn(where, name, opened) : undefined;
  const store = await patiently(() => {
    if (share) {
      const there = shareOpen<S>(placeOf(where), name, root, writers, version);
      if (there) return there;
    }
    const backing = attach(where, {name, size, access, opened});
    return listed(
      enter(backing, name, root, {
        access,
        logSize: options.logSize,
        maxSize,
        validate: options.validate,
        version,
        goesBack: access !== 'none' && options.backend !== 'memory' && comesBack(),
        change: {size, renames, drop, migrate, compact: options.compact ?? false},
      }),
    );
  });
  mapped?.detach();
  return store;
}

/** In a standby: what the former generation has open is mapped, looked at by nobody, until it is this one's. */
async function untilTurn(
  where: StoreOptions<Schema>,
  name: string,
  opened: string,
): Promise<Backing | undefined> {
  // Loaded here alone: who uses stores without a supervisor needs nothing of it.
  const {turn} = await import('@zlr/kernel-shim');
  let mapped: Backing | undefined;
  try {
    mapped = attach(where, {name, size: undefined, access: 'none', opened});
  } catch (error) {
    if (!(error instanceof StoreError)) throw error; // there is none yet, or it says the same when it is opened
  }
  await turn();
  return mapped;
}

export function assertName(name: unknown): asserts name is string {
  if (typeof name !== 'string' || !/^[A-Za-z0-9._-]+$/.test(name) || name.length > NAME_BYTES)
    throw new StoreError(
      'ERR_OPTIONS',
      `name: ${show(name)}; expected 1 to ${NAME_BYTES} letters, digits, '.', '_' or '-'.`,
    );
}

const PATIENCE_MS = 5000;

/** What another process is about to finish is waited for, a while. */
export async function patiently<T>(open: () => T): Promise<T> {
  const start = performance.now();
  for (;;) {
    try {
      return open();
    } catch (error) {
      if (!(error instanceof BusyForNow) || performance.now() - start > PATIENCE_MS) throw error;
    }
    await setTimeout(1 + Math.random() * 10); // two who get in each other's way must not do so for ever
  }
}

/** From now on it can be shared. */
function listed<S extends Schema>(store: Store<S>): Store<S> {
  const holding = holdingAt(store.carrier.place);
  if (holding && store.openedAs.access !== 'none') holding.store = store;
  return store;
}

/** Where a store would be listed if this thread had it open for writing. */
function placeOf({name, path, backend = 'sysv'}: StoreOptions<Schema>): string | undefined {
  if (backend === 'file') return typeof path === 'string' ? placeOfFile(path) : undefined;
  return backend === 'memory' ? placeOfMemory(name) : placeOfSysv(name);
}

const isNoText = (value: unknown) => typeof value !== 'string';

/**
 * Opens a store for reading by the schema it holds itself. Only `name`, `backend`, `path` and `shared` are looked at.
 *
 * @throws StoreError ERR_NOT_FOUND: there is none; ERR_OPTIONS, ERR_BACKEND, ERR_FOREIGN, ERR_VERSION, ERR_CORRUPT: as `openStore`
 */
export async function readStore(
  options: Omit<StoreOptions<Schema>, 'schema' | 'readonly'>,
): Promise<Store<Schema>> {
  return patiently(() => openDescribed('readStore', options, 'none', 'elsewhere'));
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
  const opened = callerOf(repairStore);
  const store = await patiently(() => openDescribed('repairStore', place, 'one', opened));
  try {
    return store.repair();
  } finally {
    store.close();
  }
}

function openDescribed(
  of: string,
  options: Omit<StoreOptions<Schema>, 'schema' | 'readonly'>,
  access: Access,
  opened: string,
): Store<Schema> {
  if (typeof options !== 'object' || options === null)
    throw new StoreError('ERR_OPTIONS', `${of} expects an object with name, backend and path.`);
  assertFits(of, options, OPTIONS);
  const {name} = options;
  assertName(name);
  const backing = attach(options as StoreOptions<Schema>, {name, size: undefined, access, opened});
  const memory = new Memory(backing.bytes);
  let root: Struct<Schema>;
  let called: string;
  try {
    const header = readHeader(memory, backing.where);
    called = header.name;
    root = describedBy(memory, backing.where, header);
  } catch (error) {
    memory.detach();
    backing.detach();
    throw error;
  }
  return enter(backing, called, root, {access, described: true, mend: access !== 'none'});
}

/** Attaches a segment, of which a writer has a place then. */
export function attach(
  {path, backend = 'sysv', shared}: Omit<StoreOptions<Schema>, 'schema'>,
  asked: Asked,
): Backing {
  assertMayGenerate(); // before anything is made
  switch (backend) {
    case 'sysv':
      return told(`store '${asked.name}'`, () => attachSysv(asked));
    case 'memory':
      return attachMemory(asked, shared);
    case 'file':
      if (typeof path !== 'string' || path === '')
        throw new StoreError('ERR_OPTIONS', `path: ${show(path)}; backend 'file' needs the path of a file.`);
      return attachFile(asked, path);
    default:
      throw new StoreError('ERR_OPTIONS', `backend: ${show(backend)}; expected 'sysv', 'file' or 'memory'.`);
  }
}
