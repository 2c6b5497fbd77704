import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
  realpathSync,
} from 'node:fs';
import {basename, dirname, join, resolve} from 'node:path';
import {StoreError} from '../errors.js';
import {HEADER_BYTES} from '../segment/header.js';
import {Memory} from '../segment/memory.js';
import {Tenure} from '../segment/tenure.js';
import type {Asked} from './backing.js';
import {busy} from './busy.js';
import {assertOwn, codeOf, liesAt} from './draft.js';
import {FileSeats} from './file-seats.js';
import {hold, letGoOf} from './holdings.js';
import {loadCompiled} from './native.js';
import {refusal} from './refusal.js';

const {O_RDONLY, O_RDWR, O_NONBLOCK} = constants;

interface MmapModule {
  map(size: number, protection: number, flags: number, fd: number): Buffer;
  sync(buffer: Buffer, blocking: boolean): void;
  readonly PROT_READ: number;
  readonly PROT_WRITE: number;
  readonly MAP_SHARED: number;
}

export function load(): MmapModule {
  const remedy = 'Use Node 20, 22 or 24 on x64 with glibc, for which the package carries it';
  return loadCompiled<MmapModule>('file', 'mmap-io', ['map', 'sync'], remedy);
}

/** A file that is open for as long as its store is. What is done to it is done by its descriptor, whatever its path names. */
export interface StoreFile {
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

/** The file a path names now. Links are followed, so that what grows or is rebuilt takes the place of the file and not of a link. */
export function resolveOnce(path: string): string {
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
export function openToRead(full: string, where: string): StoreFile | undefined {
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

export function placeOf(fd: number): string {
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
export function openToWrite(asked: Asked, full: string, where: string): StoreFile | 'gone' | undefined {
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

export function map(file: StoreFile, size: number): Buffer {
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

/** Closes the file, which gives back its places. */
export function letGo(file: StoreFile): void {
  if (file.tenure) {
    file.tenure.leave();
    letGoOf(placeOf(file.fd));
  }
  closeSync(file.fd);
}

/** Where it lies by now; undefined: nowhere. */
export function findIt({fd, path}: StoreFile): string | undefined {
  return [path, readlinkSync(`/proc/self/fd/${fd}`)].find(each => liesAt(each, fd));
}

export function whereItLies(file: StoreFile): string {
  const path = findIt(file);
  if (path === undefined)
    throw new StoreError(
      'ERR_NOT_FOUND',
      `${file.where} was removed while it was open; it cannot be rebuilt.`,
    );
  return path;
}
