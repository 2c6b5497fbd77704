import type {Backing} from '../backends/backing.js';
import {
  type Ancestor,
  decodeLineage,
  decodeSchema,
  fingerprintOf,
  schemaFrom,
} from '../declaration/schema-blob.js';
import {StoreError} from '../errors.js';
import {restoreHeads} from '../repair/heads.js';
import type {SetAside} from '../repair/ledger.js';
import type {Fields} from '../schema/record.js';
import {Struct} from '../schema/struct.js';
import {Engine} from '../segment/engine.js';
import type {Header} from '../segment/header.js';
import {CELL, type Memory} from '../segment/memory.js';
import type {UndoLog} from '../segment/undo-log.js';
import {forgetOtherBoots} from '../segment/writers.js';
import {type RootOf, type Schema, Store} from '../store/store.js';
import {fingerprint} from './build.js';

/** What is damaged in the heads of collections would send all that is read and written elsewhere. */
export function mendHeads(
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

/** The struct that a store says its root is: what its fingerprint was made of, and nothing else. */
export function describedBy(memory: Memory, where: string, header: Header): Struct<Fields> {
  const description = decodeSchema(blobOf(memory, header), where);
  const corrupt = (what: string, cause?: unknown): never => {
    throw new StoreError('ERR_CORRUPT', `the schema in ${where} ${what}; the segment was left untouched.`, {
      cause,
    });
  };
  if (!fingerprintOf(description).equals(header.fingerprint))
    corrupt('is damaged: it is not what its fingerprint was made of');
  try {
    return new Struct('Root', schemaFrom(description));
  } catch (error) {
    if (error instanceof StoreError && error.code === 'ERR_VERSION') throw error;
    return corrupt(`cannot be: ${(error as Error).message}`, error);
  }
}

/** The schemas it had before. */
export function lineageOf(memory: Memory, where: string, header: Header): Ancestor[] {
  return decodeLineage(blobOf(memory, header), where);
}

function blobOf(memory: Memory, {schemaCell, schemaBytes}: Header): Uint8Array {
  return memory.u8.slice(schemaCell * CELL, schemaCell * CELL + schemaBytes);
}

/**
 * The writer before died with its boot. For who is alone, or holds the lock: under its own schema, before anything else.
 * Gives where the store lies then, for it may have grown.
 */
export function lookThrough(
  memory: Memory,
  backing: Backing,
  name: string,
  log: UndoLog,
  header: Header,
  wanted: Struct<Fields>,
  maxSize: number | undefined,
): Backing {
  const root = header.fingerprint.equals(fingerprint(wanted))
    ? wanted
    : describedBy(memory, backing.where, header);
  mendHeads(memory, backing, log, header, root);
  const engine = new Engine(name, backing.where, memory, log, header, 'one');
  const store = new Store(engine, backing, root, 0, maxSize);
  doubt(store, backing);
  forgetOtherBoots(memory);
  return store.carrier;
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
export function examine(store: Store<Schema>, backing: Backing): void {
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

export function validate<S extends Schema>(
  store: Store<S>,
  check: ((root: RootOf<S>) => void) | undefined,
): void {
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
