import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import {basename, dirname, join, resolve} from 'node:path';
import {StoreError} from '../errors.js';
import {HEADER_BYTES, MOVED, markMoved, neverMoved, publish, stateOf} from '../segment/header.js';
import {Memory} from '../segment/memory.js';
import {Tenure} from '../segment/tenure.js';
import type {Asked, Backing} from './backing.js';
import {FileBell} from './bell.js';
import {busy} from './busy.js';
import {assertNoDraft, assertOwn, codeOf, DRAFTS, liesAt, openDraft, removeDeadDrafts} from './draft.js';
import {FileSeats} from './file-seats.js';
import {hold, letGoOf, moveHolding} from './holdings.js';
import {check, Errno, kernel} from './kernel.js';
import {assertRoom} from './limits.js';
import {loadCompiled} from './native.js';
import {refusal, shownPath, told} from './refusal.js';
import {assertHolds} from './size.js';

interface MmapModule {
  map(size: number, protection: number, flags: number, fd: number): Buffer;
  sync(buffer: Buffer, blocking: boolean): void;
  readonly PROT_READ: number;
  readonly PROT_WRITE: number;
  readonly MAP_SHARED: number;
}

function load(): MmapModule {
  const remedy = 'Use Node 20, 22 or 24 on x64 with glibc, for which the package carries it';
  const loaded = loadCompiled('file', 'mmap-io', remedy) as MmapModule & {default?: MmapModule};
  return loaded.default ?? loaded;
}

const {O_RDONLY, O_RDWR, O_NONBLOCK} = constants;

/** A file that is open for as long as its store is. What is done to it is done by its descriptor, whatever its path names. */
interface StoreFile {
  /** Carries the locks of a writer, so nothing is mapped by it: a mapping would keep them. */
  readonly fd: number;
  /** Where it was found, links followed; as it is made, its draft. */
  path: string;
  readonly where: string;
  readonly writable: boolean;
  tenure: Tenure | undefined;
  /** Segments attached of it: one, and for a moment two when it grows. */
  attached: number;
}

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

/** The file a path names now. Links are followed, so that what grows or is rebuilt takes the place of the file and not of a link. */
function resolveOnce(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') return path; // opening it says what is wrong
  }
  // It is to be made: where its folder, or a link to nowhere, says.
  const folder = dirname(path);
  const there = existsSync(folder) ? join(realpathSync(folder), basename(path)) : path;
  const link = lstatSync(there, {throwIfNoEntry: false});
  return link?.isSymbolicLink() ? resolveOnce(resolve(dirname(there), readlinkSync(there))) : there;
}

/** undefined: there is no such file. */
function open(full: string, flags: number, where: string): number | undefined {
  try {
    return openSync(full, flags | O_NONBLOCK); // a FIFO that somebody put there must not stop the process
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return undefined;
    throw refusal(cause, where);
  }
}

/** A reader needs no more than to read; who may write wakes watchers' bells and makes writers save what he copies. */
function openToRead(full: string, where: string): StoreFile | undefined {
  let writable = true;
  let fd: number | undefined;
  try {
    fd = openSync(full, O_RDWR | O_NONBLOCK);
  } catch {
    writable = false;
    fd = open(full, O_RDONLY, where);
  }
  return fd === undefined ? undefined : {fd, path: full, where, writable, tenure: undefined, attached: 0};
}

function placeOf(fd: number): string {
  const {dev, ino} = fstatSync(fd, {bigint: true});
  return `file ${dev}:${ino}`;
}

/** Where the holdings would list the file at a path. */
export function placeOfFile(path: string): string | undefined {
  try {
    const fd = openSync(resolve(path), O_RDONLY | O_NONBLOCK);
    try {
      return placeOf(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined; // there is none, or opening it will say what is wrong
  }
}

/** Opens the file and takes the place that is asked for. 'gone': it was removed or replaced meanwhile. */
function openToWrite(asked: Asked, full: string, where: string): StoreFile | 'gone' | undefined {
  const fd = open(full, O_RDWR, where);
  if (fd === undefined) return undefined;
  const place = placeOf(fd);
  let held = false;
  try {
    assertOwn(fd, where);
    hold(place, where, asked.opened);
    held = true;
    const seats = new FileSeats(fd, where);
    const tenure = new Tenure(seats);
    if (!(asked.access === 'one' ? tenure.alone() : tenure.join()))
      throw busy(where, seats, headerOf(fd), asked.access);
    if (liesAt(full, fd)) return {fd, path: full, where, writable: true, tenure, attached: 0};
  } catch (error) {
    if (held) letGoOf(place);
    closeSync(fd);
    throw error;
  }
  letGoOf(place);
  closeSync(fd);
  return 'gone';
}

/** A copy of the first page, for names in messages. */
function headerOf(fd: number): Memory | undefined {
  const page = new Uint8Array(HEADER_BYTES);
  return readSync(fd, page, 0, HEADER_BYTES, 0) === HEADER_BYTES ? new Memory(page) : undefined;
}

function map(file: StoreFile, size: number): Buffer {
  const mmap = load();
  const [flags, protection] = file.writable
    ? [O_RDWR, mmap.PROT_READ | mmap.PROT_WRITE]
    : [O_RDONLY, mmap.PROT_READ];
  const fd = openSync(`/proc/self/fd/${file.fd}`, flags);
  try {
    return mmap.map(size, protection, mmap.MAP_SHARED, fd);
  } finally {
    closeSync(fd);
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

/** Closes the file, which gives back its places. */
function letGo(file: StoreFile): void {
  if (file.tenure) {
    file.tenure.leave();
    letGoOf(placeOf(file.fd));
  }
  closeSync(file.fd);
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

/** Where it lies by now; undefined: nowhere. */
function findIt({fd, path}: StoreFile): string | undefined {
  return [path, readlinkSync(`/proc/self/fd/${fd}`)].find(each => liesAt(each, fd));
}

function whereItLies(file: StoreFile): string {
  const path = findIt(file);
  if (path === undefined)
    throw new StoreError(
      'ERR_NOT_FOUND',
      `${file.where} was removed while it was open; it cannot be rebuilt.`,
    );
  return path;
}

function giveName(draft: string, full: string, where: string): void {
  const result = check(
    kernel().renameNew(draft, full),
    where,
    `to rename ${draft}`,
    Errno.EEXIST,
    Errno.EINVAL,
    Errno.ENOSYS,
  );
  try {
    if (result !== 0) {
      linkSync(draft, full); // of a file system that cannot rename so
      unlinkSync(draft);
    }
  } catch (cause) {
    throw new StoreError('ERR_BUSY', `${where} appeared while it was being made; open it again.`, {cause});
  }
  syncFolder(full);
}

/**
 * A new store, as a draft whose every block is written: a full disk is an error here and never a SIGBUS later (ftruncate
 * alone reserves nothing). undefined: there is a store by now.
 */
function make(asked: Asked, size: number, full: string, where: string): Backing | undefined {
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

function draft(path: string, size: number, full: string, where: string): {fd: number; seats: FileSeats} {
  try {
    assertRoom(size, full, where);
    const opened = openDraft(path, where);
    try {
      if (full + DRAFTS.made === path && existsSync(full)) return opened; // somebody was faster
      ftruncateSync(opened.fd, 0);
      fill(opened.fd, 0, size);
      fsyncSync(opened.fd);
      return opened;
    } catch (cause) {
      unlinkSync(path);
      closeSync(opened.fd);
      throw cause;
    }
  } catch (cause) {
    throw refusal(cause, where);
  }
}

/** Writes every block of `from` to `to`. */
function fill(fd: number, from: number, to: number): void {
  const zeros = Buffer.alloc(Math.min(to - from, 2 ** 20));
  for (let at = from; at < to; ) at += writeSync(fd, zeros, 0, Math.min(zeros.length, to - at), at);
}

/** Returns when the names in the folder of a file are on the disk. */
function syncFolder(full: string): void {
  const fd = openSync(dirname(full), 'r');
  try {
    fsyncSync(fd);
  } catch (error) {
    if (codeOf(error) !== 'EINVAL') throw error; // of a file system that keeps no folders on a disk
  } finally {
    closeSync(fd);
  }
}

function extend({fd, path, where}: StoreFile, from: number, to: number): void {
  assertRoom(to - from, path, where);
  try {
    fill(fd, from, to);
    fsyncSync(fd); // before its header says so
  } catch (cause) {
    ftruncateSync(fd, from);
    throw refusal(cause, where);
  }
}
