import {removeSysv} from './backend-sysv.js';
import {StoreError} from './errors.js';
import {at, type Header, readHeader, readOwner, recognise} from './header.js';
import {Memory} from './memory.js';
import {isAlive, NOBODY, pidOf} from './process-identity.js';
import {sysvSegments} from './sysv-segments.js';

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

/**
 * The stores of this user on backend 'sysv', in the order of their names. Nothing is changed.
 *
 * @throws StoreError ERR_BACKEND: the compiled module of 'sysv' is missing
 */
export function listStores(): StoreListing[] {
  const listings: StoreListing[] = [];
  for (const {segment, bytes} of sysvSegments()) {
    const kind = recognise(bytes);
    if (kind !== 'ours' && kind !== 'unfinished') continue;
    const memory = new Memory(bytes);
    let header: Header | undefined;
    let problem: string | null = null;
    try {
      header = readHeader(memory, 'it');
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      problem = kind === 'unfinished' ? 'its maker died while making it' : error.message;
    }
    const owner = readOwner(memory);
    listings.push({
      name: header?.name ?? null,
      key: keyText(segment.key),
      bytes: segment.size,
      owner: owner !== NOBODY && isAlive(owner) ? pidOf(owner) : null,
      attached: segment.attached,
      created: header ? new Date(header.created).toISOString() : null,
      orphaned: segment.attached === 0,
      quarantined: header ? memory.u32[at.quarantine / 4 + 1]! : 0,
      problem,
    });
  }
  return listings.sort((a, b) => (a.name ?? a.key).localeCompare(b.name ?? b.key));
}

/**
 * Removes a store on backend 'sysv' that nobody uses.
 *
 * @param nameOrKey - its name, or the key of its segment ('0x...') for one whose header is damaged
 * @throws StoreError ERR_NOT_FOUND: there is none; ERR_BUSY: a process has it attached
 */
export function removeStore(nameOrKey: string): void {
  const found = listStores().filter(({name, key}) => name === nameOrKey || key === nameOrKey);
  if (found.length === 0) {
    throw new StoreError(
      'ERR_NOT_FOUND',
      `there is no store '${nameOrKey}' on backend 'sysv'; \`zlr ls\` lists those there are.`,
    );
  }
  for (const {name, key, attached, owner} of found) {
    if (attached > 0) {
      const who = owner === null ? `${attached} processes have it attached` : `process ${owner} writes it`;
      throw new StoreError('ERR_BUSY', `store '${nameOrKey}' is in use: ${who}; end them first.`);
    }
    removeSysv(Number(key), name);
  }
}

function keyText(key: number): string {
  return `0x${key.toString(16).padStart(8, '0')}`;
}
