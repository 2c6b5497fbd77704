import {createHash} from 'node:crypto';
import {existsSync, statSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {StoreError} from '../errors.js';
import {
  at,
  BUILDING,
  beginHeader,
  HEADER_BYTES,
  MOVED,
  markMoved,
  publish,
  recognise,
  stateOf,
} from '../segment/header.js';
import {CELL, Memory} from '../segment/memory.js';
import {Tenure} from '../segment/tenure.js';
import type {Asked, Backing} from './backing.js';
import {FileBell} from './bell.js';
import {BusyForNow, busy} from './busy.js';
import {hold, letGoOf} from './holdings.js';
import {kernel} from './kernel.js';
import {told} from './refusal.js';
import {SysvSeats} from './sysv-seats.js';
import {
  attachedElsewhere,
  isOurs,
  listSysv,
  load,
  type Mapped,
  makeSegment,
  mapSegment,
  removeSegment,
  type SysvSegment,
  unmap,
} from './sysv-segments.js';

/*
 * A SysV segment has one size for life, so a store that grows or is rebuilt moves to a segment of another key: its next
 * edition. Editions go round, for a store moves as often as it likes and the one it left is removed.
 *
 *   edition      e              e + 1
 *                READY          zeros          made; then it is
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

/** The segments of a store that are there, by edition, mapped until `forget`; none that somebody else keeps at one of its keys. */
function editionsOf(name: string): Map<number, Edition> {
  const listed = listSysv();
  const found = new Map<number, Edition>();
  for (const [edition, key] of sysvKeys(name).entries()) {
    const segment = listed.find(each => each.key === key);
    if (!segment || !isOurs(segment)) continue;
    const others = attachedElsewhere(segment); // as it was listed: before it is mapped here
    const mapped = mapSegment(segment, describe(key, name));
    if (mapped === null) {
      forget(found);
      return editionsOf(name); // it vanished meanwhile: the store moves just now
    }
    const memory = new Memory(mapped.bytes);
    if (recognise(memory.u8) !== 'foreign') found.set(edition, {segment, others, mapped, memory});
    else unmap(mapped);
  }
  return found;
}

function forget(editions: Map<number, Edition>): void {
  for (const {mapped} of editions.values()) unmap(mapped);
  editions.clear();
}

/** The edition a store is at, or begins with. A move that died on its way is brought to its end. */
function currentEdition(name: string): [number, Edition | undefined] {
  for (;;) {
    const editions = editionsOf(name);
    const left = [...editions].find(([, {memory}]) => stateOf(memory) === MOVED);
    if (left !== undefined) {
      // A store that moved on meanwhile, or was destroyed, has no such edition: then the next look says where it is.
      const now = editionsOf(name);
      const next = now.get(after(left[0]))?.memory;
      if (next && stateOf(next) === BUILDING) publish(next);
      removeSegment(left[1].segment.id);
      forget(now);
      forget(editions);
      continue;
    }
    const current = [...editions].find(([, {memory}]) => recognise(memory.u8) === 'ours')?.[0] ?? 0;
    const found = editions.get(current);
    editions.delete(current);
    forget(editions);
    return [current, found];
  }
}

/** Removes what movers left who died before the store was where they moved it. Only for who has all its places. */
function removeUnfinished(name: string, current: number | undefined): void {
  const editions = editionsOf(name);
  for (const [edition, {memory, segment}] of editions)
    if (edition !== current && recognise(memory.u8) !== 'ours') removeSegment(segment.id);
  forget(editions);
}

/** Makes the segment of the next edition, which only who is alone or inside a transaction may do: one that is there was left by a dead mover. */
function makeNext(name: string, edition: number, size: number): Mapped {
  const key = sysvKey(name, edition);
  const editions = editionsOf(name);
  const there = editions.get(edition);
  if (there && recognise(there.memory.u8) !== 'ours') removeSegment(there.segment.id);
  forget(editions);
  const made = makeSegment(key, size, describe(key, name));
  if (made === null)
    throw new StoreError(
      'ERR_LIMIT',
      `store '${name}' cannot move: ${describe(key, name)} is there already and is not its own. Remove that one if nobody needs it (ipcrm -M 0x${key.toString(16)}), or load a dump of the store under another name.`,
    );
  beginHeader(new Memory(made.bytes));
  return made;
}

/** The places of a store, wherever it moves: at the key of its first edition. Of a damaged one nobody knows more than its own key. */
export function seatsOf(name: string | null, key = 0): SysvSeats {
  const at = name === null ? key : sysvKey(name, 0);
  return new SysvSeats(at, describe(at, name ?? 'whose header is damaged'));
}

/** Removes a segment, and with the store's name its bell and what a dead mover left too. For who has all places. */
export function removeSysv(id: number, name: string | null): void {
  removeSegment(id);
  if (name === null) return;
  bellOf(name).remove();
  removeUnfinished(name, undefined);
}

let bells: string | undefined;

/** Two IPC namespaces may have a store of one name each, and one /dev/shm. */
function bellOf(name: string): FileBell {
  const folder = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  bells ??= join(folder, `zlr-${process.getuid!()}-${statSync('/proc/self/ns/ipc').ino}-`);
  return new FileBell(`${bells}${sysvKey(name, 0).toString(16)}.bell`, true);
}

export function placeOfSysv(name: string): string {
  return `sysv ${process.getuid!()} ${name}`;
}

/** One opening of a store: its segments come and go, its right to write stays. */
interface Opening {
  readonly asked: Asked;
  readonly tenure: Tenure | undefined;
  /** Segments attached by it: one, and for a moment two when the store moves. */
  attached: number;
}

export function attachSysv(asked: Asked): Backing {
  load(); // what is missing is said before anything is made
  if (asked.access === 'none') return attachCurrent({asked, tenure: undefined, attached: 0}, undefined);
  const {name, size, access, opened} = asked;
  const keys = sysvKeys(name);
  const isThere = listSysv().some(({key}) => keys.includes(key));
  if (!isThere && size === undefined) notFound(name);
  const where = describe(keys[0]!, name);
  const place = placeOfSysv(name);
  hold(place, where, opened);
  let tenure: Tenure | undefined;
  try {
    const seats = seatsOf(name);
    const mine = new Tenure(seats);
    if (!(access === 'one' || !isThere ? mine.alone() : mine.join()))
      throw busy(where, seats, headerOf(name), access);
    tenure = mine;
    return attachCurrent({asked, tenure, attached: 0}, size);
  } catch (error) {
    tenure?.leave();
    letGoOf(place);
    throw error;
  }
}

/** A copy of the first page of the store, for names in messages. */
function headerOf(name: string): Memory | undefined {
  const editions = editionsOf(name);
  const pages = [...editions.values()].map(({memory}) => memory.u8.slice(0, HEADER_BYTES));
  forget(editions);
  return pages.map(page => new Memory(page)).find(memory => recognise(memory.u8) === 'ours');
}

function notFound(name: string): never {
  throw new StoreError(
    'ERR_NOT_FOUND',
    `there is no store '${name}' on backend 'sysv' (${describe(sysvKey(name, 0), name)}); openStore makes it when it is given a size and not readonly.`,
  );
}

function attachCurrent(opening: Opening, size: number | undefined): Backing {
  const {tenure} = opening;
  const {name} = opening.asked;
  const [edition, found] = currentEdition(name);
  if (tenure?.isAlone) removeUnfinished(name, edition);
  if (found) return backing(opening, edition, found.mapped, false, found.others === 0);
  const key = sysvKey(name, edition);
  const where = describe(key, name);
  const known = listSysv().find(segment => segment.key === key);
  if (!known && size === undefined) notFound(name);
  if (!known && !tenure!.alone()) throw new BusyForNow(where); // it was removed just now
  const segment = known ? mapSegment(known, where) : makeSegment(key, size!, where);
  if (segment === null) throw new BusyForNow(where); // it vanished, or somebody else made it
  return backing(opening, edition, segment, !known, false);
}

function backing(
  opening: Opening,
  edition: number,
  mapped: Mapped,
  created: boolean,
  abandoned: boolean,
): Backing {
  const {name} = opening.asked;
  const {id, bytes} = mapped;
  const bell = bellOf(name);
  let attached = true;
  opening.attached++;
  let next: Backing | undefined;
  const where = describe(sysvKey(name, edition), name);
  const beside = (to: number, created: boolean) =>
    told(where, () => backing(opening, after(edition), makeNext(name, after(edition), to), created, false));
  const self: Backing = {
    kind: 'sysv',
    bytes,
    created,
    place: placeOfSysv(name),
    where,
    tenure: opening.tenure,
    writable: true,
    bell,
    address: () => kernel().addressOf(bytes),
    abandoned: () => abandoned,
    appear() {},
    blank: to => beside(to, true),
    enlarge(size) {
      const larger = beside(size, false);
      const [from, to] = [new Memory(bytes), new Memory(larger.bytes)];
      // The magic by one store. All but the state, which says that it is being made.
      to.u64[at.magic / CELL] = from.u64[at.magic / CELL]!;
      for (const [start, end] of [
        [at.version, at.state],
        [at.size, bytes.length],
      ] as const)
        to.u8.set(from.u8.subarray(start, end), start);
      return larger;
    },
    replace(by) {
      markMoved(bytes);
      publish(new Memory(by.bytes));
      removeSegment(id);
      next = by;
      bell.ring();
    },
    successor: () => next ?? told(where, () => attachCurrent(opening, undefined)),
    detach() {
      if (!attached) return;
      attached = false;
      unmap(mapped);
      if (--opening.attached > 0 || !opening.tenure) return;
      opening.tenure.leave();
      letGoOf(self.place);
    },
    destroy() {
      // While this one has a place nobody makes another store of this name: what it moved to is the same store.
      const moved = bytes.length === 0 || stateOf(new Memory(bytes)) === MOVED;
      try {
        const [, now] = moved ? told(where, () => currentEdition(name)) : [];
        markMoved(now ? now.mapped.bytes : bytes); // for those who still have it
        if (now) unmap(now.mapped);
        removeSegment(now ? now.segment.id : id);
        if (opening.tenure?.alone()) told(where, () => removeUnfinished(name, edition));
      } finally {
        self.detach();
      }
    },
  };
  return self;
}
