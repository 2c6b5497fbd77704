import type {Backing} from '../backends/backing.js';
import {attachFile} from '../backends/file.js';
import {attachMemory} from '../backends/shared-memory.js';
import {assertHolds, parseSize} from '../backends/size.js';
import {attachSysv} from '../backends/sysv.js';
import {decodeSchema, schemaFrom} from '../declaration/schema-blob.js';
import {StoreError, show} from '../errors.js';
import type {Renames} from '../migration/migrate.js';
import type {RepairResult} from '../repair/repair.js';
import {Struct} from '../schema/struct.js';
import {Type} from '../schema/type.js';
import type {Access} from '../segment/engine.js';
import {NAME_BYTES, readHeader} from '../segment/header.js';
import {CELL, Memory} from '../segment/memory.js';
import type {RootOf, Schema, Store} from '../store/store.js';
import {fingerprint} from './build.js';
import {enter} from './enter.js';

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
  // Remembered from here on. Once a large segment is mapped V8 wants to collect, and does so at every Buffer that is made.
  fingerprint(root);
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
