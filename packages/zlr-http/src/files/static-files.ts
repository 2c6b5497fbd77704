import {closeSync, constants, fstatSync, openSync, statSync} from 'node:fs';
import {constants as system} from 'node:os';
import {isAbsolute, resolve} from 'node:path';
import {native} from '@zlr/kernel-shim/internal';
import {HttpError} from '../errors.js';
import {type FileStat, isSettled} from './validators.js';

/** A file as it is now. */
export interface OpenedFile extends FileStat {
  readonly path: string;
  readonly device: number;
  /** All of its bytes, when it is small; undefined: to be sent from its descriptor. */
  readonly content: Buffer | undefined;
}

/** Smaller files are copied into the answer: cheaper than sendfile, and several pipelined answers go out in one send. */
export const INLINE_MAX = 16 * 1024;
/** Contents kept, at most INLINE_MAX each: 16 MiB. */
const CONTENTS = 1024;

const REGULAR = constants.S_IFREG;
const TYPE = constants.S_IFMT;

/**
 * The files below one folder. A path is looked up once for a batch of the reactor, however many of its requests name
 * it: none of them can know of a change that came after, for no answer of the batch is sent yet. Contents are kept as long as the file on disk
 * is the same (device, inode, size, times), and only of files whose time of change can tell. The folder itself may be
 * replaced (renamed, or a symbolic link switched): the next batch sees the new one. While there is none, the old one is served.
 */
export class StaticFiles {
  readonly root: string;
  #directory = -1;
  #device = 0;
  #inode = 0;
  readonly #contents = new Map<string, OpenedFile>();
  readonly #thisBatch = new Map<string, OpenedFile | number>();
  readonly #numbers = new Float64Array(8);
  readonly #endBatch = (): void => this.#thisBatch.clear();

  /**
   * @param mayCome a folder that is not there now may come: a deploy may be about to put it there
   * @throws HttpError ROOT_UNUSABLE
   */
  constructor(root: string, mayCome = false) {
    this.root = asCalled(root);
    try {
      this.#openRoot();
    } catch (error) {
      const {code} = error as NodeJS.ErrnoException;
      if (mayCome) return;
      throw new HttpError(
        'ROOT_UNUSABLE',
        `cannot serve '${root}': ${code}; expected a folder that can be read`,
      );
    }
  }

  #openRoot(): void {
    const directory = openSync(this.root, constants.O_RDONLY | constants.O_DIRECTORY);
    const {dev, ino} = fstatSync(directory);
    this.close();
    this.#directory = directory;
    this.#device = dev;
    this.#inode = ino;
  }

  /** Is the folder at its path still the one that is open? */
  #followRoot(): void {
    try {
      const there = statSync(this.root, {throwIfNoEntry: false});
      if (there && (there.ino !== this.#inode || there.dev !== this.#device)) this.#openRoot();
    } catch {
      // What is there cannot be read, or is no folder: as if it were away.
    }
  }

  /**
   * What is at a path, or the errno of why nothing is (ENOENT, EXDEV for what leads out of the folder).
   * Folders and devices are looked at but have no content.
   */
  lookUp(path: string): OpenedFile | number {
    const known = this.#thisBatch.get(path);
    if (known !== undefined) return known;
    if (this.#thisBatch.size === 0) {
      queueMicrotask(this.#endBatch); // these run between batches
      this.#followRoot();
    }
    const found = this.#open(path);
    const fd = found.fd;
    let result: OpenedFile | number;
    if (fd < 0) {
      result = -fd;
      this.#contents.delete(path);
    } else {
      result = this.#withContent(path, fd, found.file!);
      native().close(fd);
    }
    this.#thisBatch.set(path, result);
    return result;
  }

  /**
   * A descriptor of the very file that was looked up; it outlives the process and the caller closes it. Undefined:
   * another file is there by now.
   */
  openSame(file: OpenedFile): number | undefined {
    const {fd, file: now} = this.#open(file.path);
    if (fd < 0) return undefined;
    if (isSame(now!, file)) return fd;
    native().close(fd);
    return undefined;
  }

  close(): void {
    if (this.#directory >= 0) closeSync(this.#directory);
    this.#directory = -1;
  }

  #open(path: string): {fd: number; file?: OpenedFile} {
    if (this.#directory < 0) return {fd: -system.errno.EAGAIN};
    const fd = native().openBeneath(this.#directory, path, this.#numbers);
    if (fd < 0) return {fd};
    const [mode, size, device, ino, mtimeSeconds, mtimeNanoseconds, ctimeSeconds, ctimeNanoseconds] = this
      .#numbers as unknown as [number, number, number, number, number, number, number, number];
    const stat = {mode, size, device, ino, mtimeSeconds, mtimeNanoseconds, ctimeSeconds, ctimeNanoseconds};
    return {fd, file: {...stat, path, content: undefined}};
  }

  #withContent(path: string, fd: number, file: OpenedFile): OpenedFile {
    if ((file.mode & TYPE) !== REGULAR || file.size > INLINE_MAX) return file;
    const kept = this.#contents.get(path);
    if (kept && isSame(kept, file)) return kept;
    const content = Buffer.allocUnsafeSlow(file.size);
    const n = native().readAt(fd, content, 0, file.size, 0);
    if (n !== file.size) return file; // it changes under our hands: sent from its descriptor, as far as it goes
    const fresh = {...file, content};
    this.#contents.delete(path);
    if (!isSettled(file, Date.now() / 1000)) return fresh;
    this.#contents.set(path, fresh);
    if (this.#contents.size > CONTENTS) this.#contents.delete(this.#contents.keys().next().value!);
    return fresh;
  }
}

function isSame(a: OpenedFile, b: OpenedFile): boolean {
  return (
    a.ino === b.ino &&
    a.device === b.device &&
    a.size === b.size &&
    a.mtimeSeconds === b.mtimeSeconds &&
    a.mtimeNanoseconds === b.mtimeNanoseconds &&
    a.ctimeSeconds === b.ctimeSeconds &&
    a.ctimeNanoseconds === b.ctimeNanoseconds
  );
}

/** A relative path begins at the working directory by the name that it was entered by: a link on the way may be switched. */
function asCalled(root: string): string {
  const {PWD = ''} = process.env;
  if (!isAbsolute(PWD)) return resolve(root);
  const [there, here] = [statSync(PWD, {throwIfNoEntry: false}), statSync('.')];
  return there?.ino === here.ino && there.dev === here.dev ? resolve(PWD, root) : resolve(root);
}
