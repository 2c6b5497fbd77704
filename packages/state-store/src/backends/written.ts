import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  openSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import {dirname} from 'node:path';
import {StoreError} from '../errors.js';
import {codeOf, DRAFTS, openDraft} from './draft.js';
import type {FileSeats} from './file-seats.js';
import {check, Errno, kernel} from './kernel.js';
import {assertRoom} from './limits.js';
import {refusal} from './refusal.js';
import type {StoreFile} from './store-file.js';

/*
 * What is on the disk when: every block before a name or a header speaks of it, so that a full disk is an error and never a
 * SIGBUS later (ftruncate alone reserves nothing), and a power loss leaves what was before or what comes after.
 */

export function giveName(draft: string, full: string, where: string): void {
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

export function draft(
  path: string,
  size: number,
  full: string,
  where: string,
): {fd: number; seats: FileSeats} {
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
export function syncFolder(full: string): void {
  const fd = openSync(dirname(full), 'r');
  try {
    fsyncSync(fd);
  } catch (error) {
    if (codeOf(error) !== 'EINVAL') throw error; // of a file system that keeps no folders on a disk
  } finally {
    closeSync(fd);
  }
}

export function extend(
  {fd, path, where}: Pick<StoreFile, 'fd' | 'path' | 'where'>,
  from: number,
  to: number,
): void {
  assertRoom(to - from, path, where);
  try {
    fill(fd, from, to);
    fsyncSync(fd); // before its header says so
  } catch (cause) {
    ftruncateSync(fd, from);
    throw refusal(cause, where);
  }
}
