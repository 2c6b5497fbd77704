import {holdingAt} from '../backends/holdings.js';
import {placeOfSysv, removeSysv, seatsOf, sysvKeys} from '../backends/sysv.js';
import {soleWriter} from '../backends/sysv-seats.js';
import {attachedElsewhere, eachSysvSegment, listSysv} from '../backends/sysv-segments.js';
import {StoreError} from '../errors.js';
import {assertName} from '../opening/open.js';
import {at, type Header, readHeader, readOwner, recognise} from '../segment/header.js';
import {Memory} from '../segment/memory.js';
import {nameOf, pidOf} from '../segment/process-identity.js';
import {Tenure} from '../segment/tenure.js';
import {otherWriter} from '../segment/writers.js';

/** A SysV segment of this user that holds a store. Stores in files are where their owners put them. */
export interface StoreListing {
  /** null: its header cannot be read. */
  name: string | null;
  /** The segment's key, as `ipcs -m` shows it. */
  key: string;
  /** Of the segment. */
  bytes: number;
  /** The pid of the one writer; null: nobody writes, or several do. */
  owner: number | null;
  /** Processes (and keepers) that have it attached. */
  attached: number;
  /** ISO 8601; null: its header cannot be read. */
  created: string | null;
  /** Nobody has it attached: it waits for its next owner, or was forgotten. */
  orphaned: boolean;
  /** Values that were set aside; see store.quarantine(). */
  quarantined: number;
  /** What is wrong with its header; null: nothing. */
  problem: string | null;
}

/** A store and the segment it lies in. */
interface Found {
  listing: StoreListing;
  id: number;
  /** The name of who writes, for messages. */
  writer: bigint;
}

function find(wanted?: (key: number) => boolean): Found[] {
  const found: Found[] = [];
  eachSysvSegment((segment, bytes) => {
    const kind = recognise(bytes);
    if (kind !== 'ours' && kind !== 'unfinished') return;
    const memory = new Memory(bytes);
    let header: Header | undefined;
    let problem: string | null = null;
    try {
      header = readHeader(memory, 'it');
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      problem = kind === 'unfinished' ? 'its maker died while making it' : error.message;
    }
    // As this process numbers processes, or as the writer's own pid namespace does.
    const sole = soleWriter(header ? sysvKeys(header.name)[0]! : segment.key);
    const listing = {
      name: header?.name ?? null,
      key: keyText(segment.key),
      bytes: segment.size,
      owner: sole === undefined ? null : sole || pidOf(readOwner(memory)),
      attached: segment.attached,
      created: header ? new Date(header.created).toISOString() : null,
      orphaned: segment.attached === 0,
      quarantined: header ? memory.u32[at.quarantine / 4 + 1]! : 0,
      problem,
    };
    found.push({listing, id: segment.id, writer: otherWriter(memory)});
  }, wanted);
  return found;
}

/**
 * The stores of this user on backend 'sysv', in the order of their names. Nothing is changed.
 *
 * @throws StoreError ERR_BACKEND: the compiled module of 'sysv' is missing
 */
export function listStores(): StoreListing[] {
  const listings = find().map(({listing}) => listing);
  return listings.sort((a, b) => (a.name ?? a.key).localeCompare(b.name ?? b.key));
}

/** Who only looks at stores, as `zlr ls` does, has all of them attached until it ends: so long a removal waits. */
const PATIENCE_MS = 1000;
const NAP_MS = 10;
const pillow = new Int32Array(new SharedArrayBuffer(4));

/**
 * Removes a store on backend 'sysv' that nobody uses.
 *
 * @param nameOrKey - its name, or the key of its segment ('0x...') for one whose header is damaged
 * @throws StoreError ERR_NOT_FOUND: there is none; ERR_BUSY: a process has it attached; ERR_OPTIONS: no store has such a name
 */
export function removeStore(nameOrKey: string): void {
  assertName(nameOrKey);
  const keys = sysvKeys(nameOrKey);
  const found = find(key => keys.includes(key) || keyText(key) === nameOrKey).filter(
    ({listing: {name, key}}) => name === nameOrKey || key === nameOrKey,
  );
  if (found.length === 0) {
    throw new StoreError(
      'ERR_NOT_FOUND',
      `there is no store '${nameOrKey}' on backend 'sysv'; \`zlr ls\` lists those there are.`,
    );
  }
  for (const each of found) {
    const start = performance.now();
    let users = removeUnused(each);
    while (users !== undefined && each.listing.owner === null && performance.now() - start < PATIENCE_MS) {
      Atomics.wait(pillow, 0, 0, NAP_MS);
      users = removeUnused(each);
    }
    if (users !== undefined)
      throw new StoreError('ERR_BUSY', `store '${nameOrKey}' is in use: ${users}; end them first.`);
  }
}

/**
 * Removes every store on backend 'sysv' that nobody has attached; gives what was removed.
 *
 * @throws StoreError ERR_BACKEND: the compiled module of 'sysv' is missing
 */
export function removeOrphanedStores(): StoreListing[] {
  return find()
    .filter(each => removeUnused(each) === undefined)
    .map(({listing}) => listing);
}

/**
 * Removes a store unless somebody uses it; gives who does. It takes all places first: who wants to write it at this very
 * instant is refused, and who reads it has it attached already and is counted.
 */
function removeUnused({listing, id, writer}: Found): string | undefined {
  const name = listing.name;
  if (name !== null && holdingAt(placeOfSysv(name))) return `process ${process.pid} (this one) writes it`;
  const seats = seatsOf(name, Number(listing.key));
  const tenure = new Tenure(seats);
  if (!tenure.alone()) return seats.areTaken() ? `${nameOf(writer)} writes it` : 'others write it';
  try {
    const segment = listSysv().find(segment => segment.id === id);
    const attached = segment ? attachedElsewhere(segment) : 0;
    if (attached > 0) return `${attached} processes have it attached`;
    if (segment) removeSysv(id, name);
    return undefined;
  } finally {
    tenure.leave();
  }
}

function keyText(key: number): string {
  return `0x${key.toString(16).padStart(8, '0')}`;
}
