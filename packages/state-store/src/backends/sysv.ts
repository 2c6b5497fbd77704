import {createHash} from 'node:crypto';
import {existsSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {StoreError} from '../errors.js';
import {
  at,
  BUILDING,
  beginHeader,
  claimOwner,
  MOVED,
  markMoved,
  publish,
  readOwner,
  recognise,
  stateOf,
} from '../segment/header.js';
import {CELL, Memory} from '../segment/memory.js';
import {isAlive, NOBODY, ownIdentity, startTimeOf} from '../segment/process-identity.js';
import type {Backing} from './backing.js';
import {FileBell} from './bell.js';
import {isSegment, mappings} from './mappings.js';
import {
  attachedElsewhere,
  isOurs,
  listSysv,
  type Mapped,
  makeSegment,
  mapSegment,
  removeSegment,
  type SysvSegment,
} from './sysv-segments.js';

/*
 * A SysV segment has one size for life, so a store that grows or is rebuilt moves to a segment of another key: its next
 * edition. Editions go round, for a store moves as often as it likes and the one it left is removed.
 *
 *   edition      e              e + 1
 *                READY          zeros          made; then it has an owner, then it is
 *                READY          BUILDING       nobody finds it; a kill leaves the store at e
 *                MOVED          BUILDING       this one store is the move: e + 1 is whole
 *                MOVED          READY          whoever comes by does this, too
 *                               READY          e is removed
 *
 * Who has e mapped learns of the move by the same store as those who come new, so the two never write different editions.
 */
const EDITIONS = 8;

const keys = new Map<string, readonly number[]>();

/**
 * The keys of a store's segments by edition: the eight u32 of a hash over user and name; 0 is IPC_PRIVATE and thus no key.
 */
export function sysvKeys(name: string, uid = process.getuid!()): readonly number[] {
  const of = `zlr-store\0${uid}\0${name}`;
  const known = keys.get(of);
  if (known) return known;
  const hash = createHash('sha256').update(of).digest();
  const made = Array.from({length: EDITIONS}, (_, edition) => hash.readUInt32LE(edition * 4) || 1);
  keys.set(of, made);
  return made;
}

function sysvKey(name: string, edition: number): number {
  return sysvKeys(name)[edition]!;
}

function after(edition: number): number {
  return (edition + 1) % EDITIONS;
}

function describe(key: number, name: string): string {
  return `SysV segment 0x${key.toString(16).padStart(8, '0')} of store '${name}'`;
}

interface Edition {
  segment: SysvSegment;
  /** How many have it attached, this process not counted. */
  others: number;
  mapped: Mapped;
  memory: Memory;
}

/** The segments of a store that are there, by edition; none that somebody else keeps at one of its keys. */
function editionsOf(name: string): Map<number, Edition> {
  const listed = listSysv();
  const found = new Map<number, Edition>();
  for (const [edition, key] of sysvKeys(name).entries()) {
    const segment = listed.find(each => each.key === key);
    if (!segment || !isOurs(segment)) continue;
    const others = attachedElsewhere(segment); // as it was listed: before it is mapped here
    const mapped = mapSegment(segment, describe(key, name));
    if (mapped === null) return editionsOf(name); // it vanished meanwhile: the store moves just now
    const memory = new Memory(mapped.bytes);
    if (recognise(memory.u8) !== 'foreign') found.set(edition, {segment, others, mapped, memory});
  }
  return found;
}

/** The edition a store is at, or begins with. What a dead mover left is put in order first. */
function currentEdition(name: string): [number, Edition | undefined] {
  for (;;) {
    const editions = editionsOf(name);
    const left = [...editions].find(([, {memory}]) => stateOf(memory) === MOVED)?.[0];
    if (left !== undefined) {
      // A store that moved on meanwhile, or was destroyed, has no such edition: then the next look says where it is.
      const next = editionsOf(name).get(after(left))?.memory;
      if (next && stateOf(next) === BUILDING) publish(next);
      removeSegment(sysvKey(name, left));
      continue;
    }
    const current = [...editions].find(([, {memory}]) => recognise(memory.u8) === 'ours')?.[0] ?? 0;
    const found = editions.get(current);
    editions.delete(current);
    removeUnfinished(name, editions);
    return [current, found];
  }
}

/** Of these editions those whose makers died before they were whole. */
function removeUnfinished(name: string, editions: Map<number, Edition>): void {
  for (const [edition, {memory, segment}] of editions)
    if (recognise(memory.u8) !== 'ours' && !isBeingMade(memory, segment.makerPid))
      removeSegment(sysvKey(name, edition));
}

function isBeingMade(memory: Memory, makerPid: number): boolean {
  const owner = readOwner(memory);
  return owner === NOBODY ? startTimeOf(makerPid) !== undefined : isAlive(owner);
}

/** Makes the segment of the next edition, which only who holds the store may do: one that is there was left by a dead mover. */
function makeNext(name: string, edition: number, size: number): Mapped {
  const key = sysvKey(name, edition);
  const there = editionsOf(name).get(edition);
  if (there && recognise(there.memory.u8) !== 'ours') removeSegment(key);
  const made = makeSegment(key, size, describe(key, name));
  if (made === null)
    throw new StoreError(
      'ERR_LIMIT',
      `store '${name}' cannot move: ${describe(key, name)} is there already and is not its own. Remove that one if nobody needs it (ipcrm -M 0x${key.toString(16)}), or load a dump of the store under another name.`,
    );
  const memory = new Memory(made.bytes);
  claimOwner(memory, NOBODY, ownIdentity());
  beginHeader(memory);
  return made;
}

/** Removes a segment, and with the store's name its bell and what a dead mover left too. */
export function removeSysv(key: number, name: string | null): void {
  removeSegment(key);
  if (name === null) return;
  bellOf(name).remove();
  removeUnfinished(name, editionsOf(name));
}

let bells: string | undefined;

function bellOf(name: string): FileBell {
  bells ??= existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  return new FileBell(join(bells, `zlr-${process.getuid!()}-${sysvKey(name, 0).toString(16)}.bell`), true);
}

export function attachSysv(name: string, size: number | undefined): Backing {
  const [edition, found] = currentEdition(name);
  if (found) return backing(name, edition, found.mapped, false, found.others === 0);
  const key = sysvKey(name, edition);
  const where = describe(key, name);
  const known = listSysv().find(segment => segment.key === key);
  const segment = known
    ? mapSegment(known, where)
    : size === undefined
      ? null
      : makeSegment(key, size, where);
  if (segment === null) {
    if (size === undefined)
      throw new StoreError(
        'ERR_NOT_FOUND',
        `there is no store '${name}' on backend 'sysv' (${where}); openStore makes it when it is given a size and not readonly.`,
      );
    throw new StoreError('ERR_BUSY', `${where} appeared or vanished while it was being opened; try again.`);
  }
  return backing(name, edition, segment, !known, false);
}

function backing(
  name: string,
  edition: number,
  {id, bytes}: Mapped,
  created: boolean,
  abandoned: boolean,
): Backing {
  const key = sysvKey(name, edition);
  const bell = bellOf(name);
  const next = (to: number, created: boolean) =>
    backing(name, after(edition), makeNext(name, after(edition), to), created, false);
  return {
    kind: 'sysv',
    bytes,
    created,
    place: `sysv ${name}`,
    where: describe(key, name),
    bell,
    address: () => mappings((inode, path) => isSegment(id, inode, path))[0]!,
    abandoned: () => abandoned,
    blank: to => next(to, true),
    enlarge(size) {
      const larger = next(size, false);
      const [from, to] = [new Memory(bytes), new Memory(larger.bytes)];
      // The magic by one store. All but the state and the owner, which say that it is being made and by whom.
      to.u64[at.magic / CELL] = from.u64[at.magic / CELL]!;
      for (const [start, end] of [
        [at.version, at.state],
        [at.size, at.owner],
        [at.fingerprint, bytes.length],
      ] as const)
        to.u8.set(from.u8.subarray(start, end), start);
      return larger;
    },
    replace(by) {
      const next = new Memory(by.bytes);
      const owner = readOwner(new Memory(bytes));
      markMoved(bytes);
      claimOwner(next, ownIdentity(), owner);
      publish(next);
      removeSegment(key);
      bell.ring();
    },
    successor: () => attachSysv(name, undefined),
    detach() {},
    destroy: () => removeSysv(key, name),
  };
}
