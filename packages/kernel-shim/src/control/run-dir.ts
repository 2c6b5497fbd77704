import {
  closeSync,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import {ShimError} from '../errors.js';
import {native} from '../native.js';
import {show} from '../options.js';

/** Where the services of one user meet: a folder each, private to the user. */
function root(): string {
  const {XDG_RUNTIME_DIR, ZLR_RUN_DIR} = process.env;
  if (ZLR_RUN_DIR) return ZLR_RUN_DIR;
  if (XDG_RUNTIME_DIR) return join(XDG_RUNTIME_DIR, 'zlr');
  return `/tmp/zlr-${process.getuid!()}`;
}

function makePrivate(directory: string): void {
  mkdirSync(directory, {recursive: true, mode: 0o700});
  check(directory);
}

function isPrivate(directory: string): boolean {
  const stat = lstatSync(directory, {throwIfNoEntry: false});
  return stat?.isDirectory() === true && stat.uid === process.getuid!() && (stat.mode & 0o077) === 0;
}

function check(directory: string): void {
  if (!isPrivate(directory)) {
    throw new ShimError(
      'RUN_DIR_UNSAFE',
      `${directory} must be a folder that belongs to uid ${process.getuid!()} with mode 700, since whoever can write ` +
        'there can command the service; remove it, or name another one in ZLR_RUN_DIR',
    );
  }
}

export function notRunning(name: string): ShimError {
  return new ShimError(
    'NOT_RUNNING',
    `no service named '${name}' is running; \`zlr status\` lists those that are`,
  );
}

export interface RunDir {
  readonly name: string;
  readonly path: string;
  /** Where people and commands ask. */
  readonly control: string;
  /** Where processes of the family meet their decider. */
  readonly door: string;
  readonly service: string;
}

const NOTE = 'service.json';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;

function checkName(name: string): void {
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw new ShimError(
      'NAME_INVALID',
      `${show(name)} cannot name a service: expected 1 to 32 letters, digits, '.', '_' or '-', the first a letter or digit`,
    );
  }
}

export function runDir(name: string): RunDir {
  checkName(name);
  const path = join(root(), name);
  return {
    name,
    path,
    control: join(path, 'control.sock'),
    door: join(path, 'door.sock'),
    service: join(path, NOTE),
  };
}

export function makeRunDir(name: string): RunDir {
  const dir = runDir(name);
  makePrivate(root());
  makePrivate(dir.path);
  return dir;
}

/** Whether nobody has taken the folder, or a socket in it, away. */
export function isThere(dir: RunDir): boolean {
  return existsSync(dir.control) && existsSync(dir.door);
}

/**
 * Takes the name for this process: of two that start at one instant, one gets it. The kernel lets it go when the process ends.
 *
 * @returns what lets it go; undefined: another process has it
 */
export function lockName(dir: RunDir): (() => void) | undefined {
  const path = join(dir.path, 'lock');
  for (;;) {
    const fd = openSync(path, 'a', 0o600);
    if (native().fileLock(fd, 0, 1) < 0) {
      closeSync(fd);
      return undefined;
    }
    // Whoever had it may have removed the folder in between; then this is the lock of nothing.
    if (isSame(fd, path)) return () => closeSync(fd);
    closeSync(fd);
    makeRunDir(dir.name);
  }
}

function isSame(fd: number, path: string): boolean {
  const there = statSync(path, {throwIfNoEntry: false});
  const {dev, ino} = fstatSync(fd);
  return there?.dev === dev && there.ino === ino;
}

export function removeRunDir(dir: RunDir): void {
  // A process that is on its way out may put a socket there while it is emptied.
  rmSync(dir.path, {recursive: true, force: true, maxRetries: 5});
}

/** What else lies there is not ours. */
export function runNames(): string[] {
  try {
    return readdirSync(root(), {withFileTypes: true})
      .filter(entry => entry.isDirectory() && NAME.test(entry.name))
      .map(entry => entry.name)
      .filter(name => isPrivate(join(root(), name)))
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/**
 * A folder that somebody else made says nothing about this user's services: what stands in it is not believed.
 *
 * @throws ShimError RUN_DIR_UNSAFE
 */
export function assertPrivate(dir: RunDir): void {
  for (const path of [root(), dir.path]) if (existsSync(path)) check(path);
}

/** What a service leaves in its folder, so that it can be found when its supervisor is gone. */
export interface ServiceNote {
  pid: number;
  generation: number;
  startedAt: string;
  /** Start time of the pid in clock ticks since boot (man 5 proc_pid_stat, field 22): tells a reused pid apart. */
  startTicks: number;
}

/** Field 22 of /proc/PID/stat; undefined when there is no such process. */
export function startTicks(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const afterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return afterName[0] === 'Z' ? undefined : Number(afterName[19]);
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}

/** @param path of the run folder */
export function writeServiceNote(path: string, note: ServiceNote): void {
  const file = join(path, NOTE);
  const fresh = `${file}.${process.pid}`;
  writeFileSync(fresh, JSON.stringify(note));
  renameSync(fresh, file);
}

/** The note of a service that is alive now; what is no note tells of none. */
export function liveService(dir: RunDir): ServiceNote | undefined {
  const note = readNote(dir.service);
  return note && startTicks(note.pid) === note.startTicks ? note : undefined;
}

function readNote(path: string): ServiceNote | undefined {
  let note: Partial<ServiceNote> | null;
  try {
    note = JSON.parse(readFileSync(path, 'utf8')) as Partial<ServiceNote> | null;
  } catch {
    return undefined; // none, or a stray file: one folder is no reason not to find the others
  }
  // A pid of 0 or below would mean a whole group when it is signalled.
  const isNote = Number.isInteger(note?.pid) && note!.pid! > 0 && Number.isInteger(note!.startTicks);
  return isNote ? (note as ServiceNote) : undefined;
}
