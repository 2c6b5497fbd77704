// What a run left behind on the machine: processes that still live and shared-memory segments that still exist.
import {readdirSync, readFileSync} from 'node:fs';

/** @typedef {{id: number, size: number, creator: number}} Segment */
/** @typedef {{pid: number, command: string}} Process */

const uid = process.getuid?.() ?? 0;

/** @returns {Map<number, Segment>} this user's SysV segments by their id */
export function segments() {
  /** @type {Map<number, Segment>} */
  const found = new Map();
  const [head, ...rows] = readFileSync('/proc/sysvipc/shm', 'utf8').trimEnd().split('\n');
  const names = (head ?? '').trim().split(/\s+/);
  for (const row of rows) {
    const values = row.trim().split(/\s+/).map(Number);
    const field = (/** @type {string} */ name) => values[names.indexOf(name)] ?? Number.NaN;
    if (field('uid') === uid) {
      found.set(field('shmid'), {id: field('shmid'), size: field('size'), creator: field('cpid')});
    }
  }
  return found;
}

/**
 * A file of /proc, or '' if its process has just gone or belongs to someone else.
 * @param {number} pid
 * @param {'environ' | 'cmdline' | 'maps'} file
 */
function readProc(pid, file) {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch (error) {
    const {code} = /** @type {NodeJS.ErrnoException} */ (error);
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return '';
    throw error;
  }
}

function pids() {
  return readdirSync('/proc').map(Number).filter(Number.isInteger);
}

/**
 * The processes that inherited an environment variable. It finds a daemon that left its process group and its parent,
 * which no other mark does.
 * @param {string} name
 * @param {string} value
 * @returns {Process[]}
 */
export function processesWith(name, value) {
  return pids()
    .filter(pid => readProc(pid, 'environ').split('\0').includes(`${name}=${value}`))
    .map(pid => ({pid, command: readProc(pid, 'cmdline').replaceAll('\0', ' ').trim()}));
}

/**
 * The segments that came into being since `before`, except those that a process other than `own` has attached: other
 * programs of this user may use shared memory while a run lasts.
 * @param {Map<number, Segment>} before
 * @param {readonly Process[]} own
 * @returns {Segment[]}
 */
export function newSegments(before, own) {
  const fresh = [...segments().values()].filter(each => !before.has(each.id));
  if (fresh.length === 0) return [];
  const ownPids = new Set(own.map(each => each.pid));
  const others = pids().filter(pid => !ownPids.has(pid));
  const attached = new Set(others.flatMap(attachedSegments));
  return fresh.filter(each => !attached.has(each.id));
}

/** @param {number} pid @returns {number[]} the kernel shows a segment's id as the inode of its mapping */
function attachedSegments(pid) {
  return readProc(pid, 'maps')
    .split('\n')
    .filter(line => line.includes('/SYSV'))
    .map(line => Number(line.split(/\s+/)[4]));
}

/** @param {Process} left */
export function kill({pid}) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It has gone by itself in the meantime.
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ESRCH') throw error;
  }
}
