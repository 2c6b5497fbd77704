import {lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {ShimError} from '../errors.js';

/** Where the services of one user meet: a folder each, private to the user. */
function root(): string {
  const {XDG_RUNTIME_DIR, ZLR_RUN_DIR} = process.env;
  if (ZLR_RUN_DIR) return ZLR_RUN_DIR;
  if (XDG_RUNTIME_DIR) return join(XDG_RUNTIME_DIR, 'zlr');
  return `/tmp/zlr-${process.getuid!()}`;
}

function makePrivate(directory: string): void {
  mkdirSync(directory, {recursive: true, mode: 0o700});
  const stat = lstatSync(directory);
  if (!stat.isDirectory() || stat.uid !== process.getuid!() || (stat.mode & 0o077) !== 0) {
    throw new ShimError(
      'RUN_DIR_UNSAFE',
      `${directory} must be a folder that belongs to uid ${process.getuid!()} with mode 700, since whoever can write ` +
        'there can command the service; remove it, or name another one in ZLR_RUN_DIR',
    );
  }
}

export interface RunDir {
  readonly path: string;
  readonly control: string;
  readonly service: string;
}

function checkName(name: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/.test(name)) {
    throw new ShimError(
      'NAME_INVALID',
      `'${name}' cannot name a service: expected 1 to 32 letters, digits, '.', '_' or '-', the first a letter or digit`,
    );
  }
}

export function runDir(name: string): RunDir {
  checkName(name);
  const path = join(root(), name);
  return {path, control: join(path, 'control.sock'), service: join(path, 'service.json')};
}

export function makeRunDir(name: string): RunDir {
  const dir = runDir(name);
  makePrivate(root());
  makePrivate(dir.path);
  return dir;
}

export function removeRunDir(dir: RunDir): void {
  rmSync(dir.path, {recursive: true, force: true});
}

export function runNames(): string[] {
  try {
    return readdirSync(root()).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
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

export function writeServiceNote(dir: RunDir, note: ServiceNote): void {
  const fresh = `${dir.service}.${process.pid}`;
  writeFileSync(fresh, JSON.stringify(note));
  renameSync(fresh, dir.service);
}

/** The note of a service that is alive now. */
export function liveService(dir: RunDir): ServiceNote | undefined {
  let note: ServiceNote;
  try {
    note = JSON.parse(readFileSync(dir.service, 'utf8')) as ServiceNote;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return startTicks(note.pid) === note.startTicks ? note : undefined;
}
