import type {Backing} from '../backends/backing.js';
import {BusyForNow} from '../backends/busy.js';
import type {Struct} from '../schema/struct.js';
import {Engine} from '../segment/engine.js';
import {
  at,
  type Header,
  hasMoved,
  lowerSchemaVersion,
  MOVED,
  neverMoved,
  publish,
  raiseSchemaVersion,
  readHeader,
  recognise,
  stateOf,
} from '../segment/header.js';
import {lock, unlock} from '../segment/lock.js';
import {CELL, cellsOf, Memory} from '../segment/memory.js';
import {NOBODY} from '../segment/process-identity.js';
import {UndoLog} from '../segment/undo-log.js';
import {hasOtherBoot, signIn, signOut} from '../segment/writers.js';
import {type Schema, Store} from '../store/store.js';
import {build, fingerprint} from './build.js';
import type {Entry} from './entry.js';
import {examine, lookThrough, mendHeads, validate} from './examine.js';
import {rebuild} from './rebuild.js';
import {assertVersion, refuse} from './refuse.js';

/** Turns an attached segment into a store: recognises or builds it, signs in, recovers it. Lets go of it when it throws. */
export function enter<S extends Schema>(
  backing: Backing,
  name: string,
  root: Struct<S>,
  entry: Entry<S>,
): Store<S> {
  const {access = 'one', memory = new Memory(backing.bytes), hops = 0, ...rest} = entry;
  const {tenure} = backing;
  /** Goes on at the segment that took the place of this one. */
  const goOn = (next: Backing, entry: Entry<S>): Store<S> => {
    memory.detach();
    backing.detach();
    return enter(next, name, root, entry);
  };
  let making = false;
  let locked = false;
  try {
    const next = overtaken(memory, backing, hops);
    if (next) return goOn(next, {access, ...rest, hops: hops + 1});
    let kind = recognise(memory.u8);
    // All that can be refused is refused before the first store: a name is one already.
    refuse(memory, backing, name, root, kind, entry);
    if (tenure && kind !== 'ours') {
      if (!tenure.alone()) throw new BusyForNow(backing.where); // two come after a maker that died
      kind = recognise(memory.u8);
      refuse(memory, backing, name, root, kind, entry);
    }
    let doubtful = tenure !== undefined && access !== 'none' && signIn(memory, tenure, access);
    if (kind !== 'ours') {
      making = true;
      build(memory, backing, name, root, entry.logSize);
      publish(memory);
      backing.appear();
      making = false;
    }
    if (tenure && access === 'many') {
      if (!tenure.join()) throw new BusyForNow(backing.where);
      doubtful = signIn(memory, tenure, access);
      lock(memory, tenure, backing.where);
      locked = true; // until the collections have looked after theirs too, below
      const next = overtaken(memory, backing, hops);
      if (next) {
        if (stateOf(memory) !== MOVED) unlock(memory);
        locked = false;
        return goOn(next, {access, ...rest, hops: hops + 1});
      }
    }
    const header = readHeader(memory, backing.where);
    const log = new UndoLog(memory, header.logCell, header.logCells);
    let recovered = 0;
    if (tenure) {
      recovered = log.recover(backing.where);
      // A single writer has nobody beside it, so whoever has the lock died with it.
      if (!locked) memory.atomics.store(memory.u64, at.lock / CELL, NOBODY);
      // Of several who come after a stop of the machine the others wait for the lock, and find that the first one looked.
      if (doubtful && hasOtherBoot(memory)) {
        const now = lookThrough(memory, backing, name, log, header, root, entry.maxSize);
        if (now !== backing) {
          // It grew to have room for what was set aside.
          if (locked) unlock(memory);
          locked = false;
          return goOn(now, {access, ...rest});
        }
      }
      if (!entry.goesBack) assertVersion(memory, backing, entry.version); // another one may have written since it was looked at
      const {change} = entry;
      if (change && (change.compact || !header.fingerprint.equals(fingerprint(root)))) {
        rebuild(backing, oldEngine(name, backing, memory, log, header), root, entry, change);
        const {change: _done, validate: _satisfied, ...unchanged} = rest;
        locked = false; // the lock went with the old segment
        return goOn(backing.successor(), {access, ...unchanged});
      }
      // Not before: what is refused above leaves every byte as it was.
      memory.u32[at.epoch / 4] = memory.u32[at.epoch / 4]! + 1;
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
        access === 'many' ? tenure : undefined,
      ),
      backing,
      root,
      recovered,
      entry.maxSize,
    );
    if (locked) unlock(memory);
    locked = false;
    if (access !== 'none') examine(store, backing);
    validate(store, entry.validate);
    if (access !== 'none') {
      if (entry.goesBack) lowerSchemaVersion(memory, entry.version ?? 0);
      raiseSchemaVersion(memory, entry.version ?? 0);
    }
    return store;
  } catch (error) {
    if (locked) unlock(memory);
    if (tenure && memory.byteLength > 0 && recognise(memory.u8) !== 'foreign') signOut(memory, tenure);
    memory.detach();
    if (making) backing.destroy();
    else backing.detach();
    throw error;
  }
}

function oldEngine(name: string, {where}: Backing, memory: Memory, log: UndoLog, header: Header): Engine {
  return new Engine(name, where, memory, log, header, 'none');
}

/** Who moves a store again and again while it is being opened is not met so often: a segment that only says so is. */
const MOST_HOPS = 20;

/** The segment that took the place of this one since it was attached: its writer goes on meanwhile. */
function overtaken(memory: Memory, backing: Backing, hops: number): Backing | undefined {
  if (!hasMoved(memory)) return undefined;
  if (hops === MOST_HOPS) neverMoved(backing.where);
  const next = backing.successor();
  // Whole cells count: what is mapped may be longer by a few bytes, and still be the same.
  if (cellsOf(next.bytes) * CELL > memory.byteLength || (memory.byteLength > 0 && stateOf(memory) === MOVED))
    return next;
  next.detach(); // it is damaged, as will be said
  return undefined;
}
