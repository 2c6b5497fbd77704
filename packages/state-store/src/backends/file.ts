import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import {dirname, resolve} from 'node:path';
import {threadId} from 'node:worker_threads';
import {StoreError} from '../errors.js';
import {HEADER_BYTES, markMoved, publish} from '../segment/header.js';
import {Memory} from '../segment/memory.js';
import type {Backing} from './backing.js';
import {FileBell} from './bell.js';
import {assertRoom} from './limits.js';
import {mappings} from './mappings.js';
import {loadCompiled} from './native.js';
import {assertHolds} from './size.js';

interface MmapModule {
  map(size: number, protection: number, flags: number, fd: number): Buffer;
  sync(buffer: Buffer, blocking: boolean): void;
  readonly PROT_READ: number;
  readonly PROT_WRITE: number;
  readonly MAP_SHARED: number;
}

function load(): MmapModule {
  try {
    const loaded = loadCompiled('mmap-io') as MmapModule & {default?: MmapModule};
    return loaded.default ?? loaded;
  } catch (cause) {
    throw new StoreError(
      'ERR_BACKEND',
      `backend 'file' needs the compiled module mmap-io, which did not load (${(cause as Error).message.split('\n')[0]}); on Node 20 it builds with -std=c++17 in its binding.gyp, see patches/ in this project. Or use backend 'sysv' or 'memory'.`,
      {cause},
    );
  }
}

export function attachFile(name: string, path: string, size: number | undefined): Backing {
  const mmap = load();
  const full = resolve(path);
  const where = `file ${full} of store '${name}'`;
  const created = size !== undefined && create(full, size, where);
  const fd = open(full, where);
  try {
    const stat = fstatSync(fd);
    const foreign = (what: string): never => {
      throw new StoreError('ERR_FOREIGN', `${where} ${what}; it was left untouched. Choose another path.`);
    };
    if (!stat.isFile()) foreign('is no ordinary file');
    if (stat.uid !== process.getuid!())
      foreign(`belongs to user ${stat.uid}, not to you (${process.getuid!()})`);
    if ((stat.mode & 0o077) !== 0)
      foreign(
        `has permissions ${(stat.mode & 0o777).toString(8)}: others than you may touch it, so it was not made by this library`,
      );
    if (stat.size < HEADER_BYTES) foreign(`has ${stat.size} bytes, which no store has`);
    assertHolds('file', stat.size, where);
    // A mapping goes when its last view is collected: an earlier one may still be there, or that of another thread.
    const here = () => mappings((_, mapped) => mapped === full);
    const earlier = here();
    const buffer = mmap.map(stat.size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd);
    return {
      kind: 'file',
      bytes: buffer,
      created,
      place: `file ${full}`,
      where,
      // The path was named on purpose: a file of zeros there is free to be used.
      address: () => here().find(address => !earlier.includes(address))!,
      abandoned: () => true,
      sync: () => mmap.sync(buffer, true),
      bell: new FileBell(full, false),
      blank(to) {
        rmSync(`${full}.next`, {force: true});
        return attachFile(name, `${full}.next`, to);
      },
      enlarge(to) {
        if (to > stat.size) extend(full, stat.size, to, where); // it is longer already if a writer died of growing
        return attachFile(name, path, undefined);
      },
      replace(by) {
        // A file that grew is the same file: its header, which says how much of it is in use, was changed by a transaction.
        if (by.where === where) return;
        publish(new Memory(by.bytes));
        // All of it is on the disk before the name is, so that a power loss leaves the old one or the new one.
        by.sync!();
        const old = openSync(full, 'r');
        try {
          renameSync(`${full}.next`, full);
          syncFolder(full);
          markMoved(buffer);
          // It has no name to ring by any more, but its watchers still have it.
          futimesSync(old, new Date(), new Date());
        } finally {
          closeSync(old);
        }
      },
      successor: () => attachFile(name, path, undefined),
      // The mapping goes with the last view of it.
      detach() {},
      destroy: () => unlinkSync(full),
    };
  } finally {
    closeSync(fd);
  }
}

function open(full: string, where: string): number {
  try {
    return openSync(full, constants.O_RDWR | constants.O_NOFOLLOW);
  } catch (cause) {
    const {code, message} = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT')
      throw new StoreError(
        'ERR_NOT_FOUND',
        `there is no ${where}; openStore makes it when it is given a size and not readonly.`,
        {cause},
      );
    throw new StoreError('ERR_FOREIGN', `${where} cannot be opened: ${message}`, {cause});
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
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error; // of a file system that keeps no folders on a disk
  } finally {
    closeSync(fd);
  }
}

function noRoom(size: number, where: string, cause: unknown): never {
  if (cause instanceof StoreError) throw cause;
  throw new StoreError(
    'ERR_LIMIT',
    `cannot reserve ${size} bytes for ${where}: ${(cause as Error).message}`,
    {cause},
  );
}

function extend(full: string, from: number, to: number, where: string): void {
  assertRoom(to - from, full, where);
  const fd = openSync(full, 'r+');
  try {
    fill(fd, from, to);
    fsyncSync(fd); // before its header says so
  } catch (cause) {
    ftruncateSync(fd, from);
    noRoom(to, where, cause);
  } finally {
    closeSync(fd);
  }
}

/**
 * A new file appears under its name whole: every block is written first, so that a full disk is an error here and never
 * a SIGBUS later (ftruncate alone reserves nothing). False when there is a file already.
 */
function create(full: string, size: number, where: string): boolean {
  try {
    closeSync(openSync(full, 'r'));
    return false;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') return false; // `open` says what is wrong with it
  }
  const draft = `${full}.${process.pid}-${threadId}.new`;
  let fd: number;
  try {
    assertRoom(size, full, where);
    fd = openSync(draft, 'w', 0o600);
  } catch (cause) {
    return noRoom(size, where, cause);
  }
  try {
    fill(fd, 0, size);
    fsyncSync(fd);
    linkSync(draft, full);
    syncFolder(full);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false; // somebody was faster
    return noRoom(size, where, cause);
  } finally {
    closeSync(fd);
    unlinkSync(draft);
  }
}
