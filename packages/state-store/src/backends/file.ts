import {closeSync, existsSync, fstatSync, futimesSync, renameSync, unlinkSync} from 'node:fs';
import {resolve} from 'node:path';
import {StoreError} from '../errors.js';
import {HEADER_BYTES, MOVED, markMoved, neverMoved, publish, stateOf} from '../segment/header.js';
import {Memory} from '../segment/memory.js';
import {Tenure} from '../segment/tenure.js';
import type {Asked, Backing} from './backing.js';
import {FileBell} from './bell.js';
import {assertNoDraft, assertOwn, DRAFTS, liesAt, removeDeadDrafts} from './draft.js';
import {FileSeats} from './file-seats.js';
import {hold, moveHolding} from './holdings.js';
import {kernel} from './kernel.js';
import {shownPath, told} from './refusal.js';
import {assertHolds} from './size.js';
import {
  findIt,
  letGo,
  load,
  map,
  openToRead,
  openToWrite,
  placeOf,
  resolveOnce,
  type StoreFile,
  whereItLies,
} from './store-file.js';
import {draft, extend, giveName, syncFolder} from './written.js';

export function attachFile(asked: Asked, path: string): Backing {
  load();
  const named = resolve(path);
  return told(whereIs(asked, named), () => attachAt(asked, resolveOnce(named)));
}

function whereIs({name}: Asked, full: string): string {
  return `file ${shownPath(full)} of store '${name}'`;
}

function attachAt(asked: Asked, full: string): Backing {
  assertNoDraft(full);
  const where = whereIs(asked, full);
  for (;;) {
    const file = asked.access === 'none' ? openToRead(full, where) : openToWrite(asked, full, where);
    if (file === 'gone') continue;
    if (file !== undefined) return attach(asked, full, file);
    if (asked.size === undefined)
      throw new StoreError(
        'ERR_NOT_FOUND',
        `there is no ${where}; openStore makes it when it is given a size and not readonly.`,
      );
    const made = make(asked, asked.size, full, where);
    if (made !== undefined) return made;
  }
}

function attach(asked: Asked, full: string, file: StoreFile): Backing {
  try {
    assertOwn(file.fd, file.where);
    const {size} = fstatSync(file.fd);
    if (size < HEADER_BYTES)
      throw new StoreError(
        'ERR_FOREIGN',
        `${file.where} has ${size} bytes, which no store has; it was left untouched. Choose another path.`,
      );
    assertHolds('file', size, file.where);
    if (file.tenure) removeDeadDrafts(full, file.where);
    return backing(asked, full, file, map(file, size), false);
  } catch (error) {
    letGo(file);
    throw error;
  }
}

function backing(asked: Asked, full: string, file: StoreFile, buffer: Buffer, created: boolean): Backing {
  const {fd, where, writable} = file;
  const mmap = load();
  let attached = true;
  let beside: StoreFile | undefined;
  let successor: Backing | undefined;
  file.attached++;
  /** Tells those who still have it mapped. It has no name to ring by any more, but its watchers have it. */
  const leave = () => {
    markMoved(buffer);
    futimesSync(fd, new Date(), new Date());
  };
  const self: Backing = {
    kind: 'file',
    bytes: buffer,
    created,
    where,
    place: placeOf(fd),
    get tenure() {
      return file.tenure;
    },
    writable,
    address: () => kernel().addressOf(buffer),
    // The path was named on purpose: a file of zeros there is free to be used.
    abandoned: () => true,
    sync: () => mmap.sync(buffer, true),
    bell: new FileBell(`/proc/self/fd/${fd}`, false, () => futimesSync(fd, new Date(), new Date())),
    appear() {
      if (!created || file.path === full) return;
      mmap.sync(buffer, true); // all of it is on the disk before the name is
      giveName(file.path, full, where);
      file.path = full;
    },
    blank: to =>
      told(where, () => {
        beside = makeBeside(file, to);
        return backing(asked, full, beside, mapNew(beside, to), true);
      }),
    enlarge: to =>
      told(where, () => {
        const {size} = fstatSync(fd);
        if (to > size) extend(file, size, to); // it is longer already if a writer died of growing
        return backing(asked, full, file, map(file, fstatSync(fd).size), false);
      }),
    replace: by =>
      told(where, () => {
        // A file that grew is the same file: its header, which says how much of it is in use, was changed by a transaction.
        if (by.place === self.place) return;
        publish(new Memory(by.bytes));
        // All of it is on the disk before the name is, so that a power loss leaves the old one or the new one.
        by.sync!();
        const path = whereItLies(file);
        const next = beside!;
        renameSync(next.path, path);
        leave(); // and whatever fails from here on, it is done
        next.path = path;
        successor = by;
        moveHolding(self.place, by.place);
        next.tenure = file.tenure;
        file.tenure = undefined;
        next.tenure!.move(new FileSeats(next.fd, where)); // they were taken when it was made
        syncFolder(path);
      }),
    successor() {
      if (successor) return successor;
      if (stateOf(new Memory(buffer)) !== MOVED)
        return backing(asked, full, file, map(file, fstatSync(fd).size), false);
      if (liesAt(full, fd)) neverMoved(where); // it has its name still
      return attachFile({...asked, size: undefined}, full);
    },
    // The mapping goes with the last view of it.
    detach() {
      if (!attached) return;
      attached = false;
      if (--file.attached === 0) letGo(file);
    },
    destroy() {
      try {
        const path = findIt(file);
        if (path !== undefined) told(where, () => unlinkSync(path));
        leave();
      } finally {
        self.detach();
      }
    },
  };
  return self;
}

/**
 * A new store, as a draft whose every block is written: a full disk is an error here and never a SIGBUS later (ftruncate
 * alone reserves nothing). undefined: there is a store by now.
 */
function make(asked: Asked, size: number, full: string, where: string): Backing | undefined {
  removeDeadDrafts(full, where); // that of a store that was rebuilt here, and was taken away
  const path = full + DRAFTS.made;
  const {fd, seats} = draft(path, size, full, where);
  if (existsSync(full)) {
    unlinkSync(path);
    closeSync(fd);
    return undefined;
  }
  const tenure = new Tenure(seats);
  tenure.alone();
  hold(placeOf(fd), where, asked.opened);
  const file = {fd, path, where, writable: true, tenure, attached: 0};
  return backing(asked, full, file, mapNew(file, size), true);
}

/** A segment to take the place of an open one: its places are taken before it has the name. */
function makeBeside(file: StoreFile, size: number): StoreFile {
  const path = whereItLies(file) + DRAFTS.rebuilt;
  const {fd} = draft(path, size, file.path, file.where);
  return {fd, path, where: file.where, writable: true, tenure: undefined, attached: 0};
}

/** Maps a draft; one that cannot be mapped is given up. */
function mapNew(file: StoreFile, size: number): Buffer {
  try {
    return map(file, size);
  } catch (error) {
    unlinkSync(file.path);
    letGo(file);
    throw error;
  }
}
