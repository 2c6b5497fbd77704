import type {Backing} from '../backends/backing.js';
import type {Struct} from '../schema/struct.js';
import {type Access, Engine} from '../segment/engine.js';
import {
  at,
  hasMoved,
  MOVED,
  publish,
  type Recognised,
  readHeader,
  recognise,
  releaseOwner,
  stateOf,
} from '../segment/header.js';
import {enlist, hasOtherBoot, lock, unlock} from '../segment/lock.js';
import {Memory} from '../segment/memory.js';
import {ownIdentity} from '../segment/process-identity.js';
import {UndoLog} from '../segment/undo-log.js';
import {type Schema, Store} from '../store/store.js';
import {build, fingerprint} from './build.js';
import {claim, refuse, release} from './claim.js';
import type {Entry} from './entry.js';
import {examine, lookThrough, mendHeads, validate} from './examine.js';
import {rebuild} from './rebuild.js';

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

function recover(memory: Memory, backing: Backing, log: UndoLog, access: Access): number {
  if (access === 'many') lock(memory, backing.where);
  // A single writer that died before left the lock alone; one of several that died left it to whoever comes next.
  return log.recover(backing.where);
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
