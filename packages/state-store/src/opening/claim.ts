import type {Backing} from '../backends/backing.js';
import {StoreError} from '../errors.js';
import type {Fields} from '../schema/record.js';
import type {Struct} from '../schema/struct.js';
import type {Access} from '../segment/engine.js';
import {
  claimOwner,
  HEADER_BYTES,
  READY,
  type Recognised,
  readHeader,
  readOwner,
  releaseOwner,
  stateOf,
} from '../segment/header.js';
import {delist, enlist, noteOtherBoot, otherWriter} from '../segment/lock.js';
import type {Memory} from '../segment/memory.js';
import {isAlive, NOBODY, nameOf, ownIdentity} from '../segment/process-identity.js';
import {fingerprint} from './build.js';
import type {Entry} from './entry.js';

/** Stores this thread holds as a writer: its own identity in the owner word does not say whether it still does. */
const held = new Set<string>();

/** Nothing is written to a segment that is not ours. */
export function refuse(
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
export function claim(memory: Memory, backing: Backing, access: 'one' | 'many'): boolean {
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

export function release(memory: Memory, backing: Backing, access: Access): void {
  if (access === 'none') return;
  held.delete(backing.place);
  if (memory.byteLength === 0) return; // it was rebuilt: its segment has gone
  releaseOwner(memory, ownIdentity());
  if (access === 'many') delist(memory);
}
