import {closeSync, constants, fstatSync, openSync, readSync, statSync, unlinkSync} from 'node:fs';
import {StoreError, show} from '../errors.js';
import {HEADER_BYTES, recognise} from '../segment/header.js';
import {BusyForNow} from './busy.js';
import {FileSeats} from './file-seats.js';

/*
 * A store in a file is made as PATH.zlr-new, and rebuilt as PATH.zlr-next, and gets its name when it is whole. Who makes one
 * has all its places, by which a draft of a dead maker is known. It may be as whole as any store that nobody has open, so
 * no store may have such a name for good.
 */
export const DRAFTS = {made: '.zlr-new', rebuilt: '.zlr-next'} as const;

/** @throws StoreError ERR_OPTIONS: what lies there is taken for a draft of another store */
export function assertNoDraft(path: string): void {
  const suffix = Object.values(DRAFTS).find(each => path.endsWith(each));
  if (suffix !== undefined)
    throw new StoreError(
      'ERR_OPTIONS',
      `path: no store can be called ${show(path)}, for files that end in ${suffix} are what stores are made as; choose another name.`,
    );
}

const {O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK} = constants;

export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/** True when this very file lies at a path. */
export function liesAt(path: string, fd: number): boolean {
  const own = fstatSync(fd, {bigint: true});
  const there = statSync(path, {bigint: true, throwIfNoEntry: false});
  return there !== undefined && there.ino === own.ino && there.dev === own.dev;
}

/** Throws unless it is a file of this user that others cannot touch. */
export function assertOwn(fd: number, where: string): void {
  const {uid, mode} = fstatSync(fd);
  const foreign = (what: string): never => {
    throw new StoreError('ERR_FOREIGN', `${where} ${what}; it was left untouched. Choose another path.`);
  };
  if ((mode & constants.S_IFMT) !== constants.S_IFREG) foreign('is no ordinary file');
  if (uid !== process.getuid!()) foreign(`belongs to user ${uid}, not to you (${process.getuid!()})`);
  if ((mode & 0o077) !== 0)
    foreign(
      `has permissions ${(mode & 0o777).toString(8)}: others than you may touch it, so it was not made by this library`,
    );
}

/** True for what this library left half made: nothing else is written over or removed. */
function isDraft(fd: number): boolean {
  const page = new Uint8Array(HEADER_BYTES);
  const read = readSync(fd, page, 0, HEADER_BYTES, 0);
  return read < HEADER_BYTES ? page.every(byte => byte === 0) : recognise(page) !== 'foreign';
}

/** A draft, new or left by a dead maker, with all its places taken. BusyForNow: somebody else makes it just now. */
export function openDraft(path: string, where: string): {fd: number; seats: FileSeats} {
  for (;;) {
    const fd = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    try {
      const name = `the draft ${path} of ${where}`;
      assertOwn(fd, name);
      if (!isDraft(fd)) throw new StoreError('ERR_FOREIGN', `${name} is something else; move it away.`);
      const seats = new FileSeats(fd, where);
      if (!seats.takeAll()) throw new BusyForNow(where);
      // Its maker may have given it its name, or given it up, since it was opened here.
      if (liesAt(path, fd)) return {fd, seats};
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    closeSync(fd);
  }
}

/** What makers left who died before their store had its name. Anything else that lies there is left alone. */
export function removeDeadDrafts(full: string, where: string): void {
  for (const suffix of Object.values(DRAFTS)) {
    const path = full + suffix;
    let fd: number;
    try {
      fd = openSync(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
    } catch {
      continue; // there is none, or none of ours
    }
    try {
      assertOwn(fd, path);
      if (isDraft(fd) && new FileSeats(fd, where).takeAll() && liesAt(path, fd)) unlinkSync(path);
    } catch (error) {
      if (!(error instanceof StoreError) && codeOf(error) !== 'ENOENT') throw error;
    } finally {
      closeSync(fd);
    }
  }
}
