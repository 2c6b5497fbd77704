// What a run left behind on the machine: processes that still live and shared-memory segments that still exist.
import {readdirSync, readFileSync, readlinkSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';

/** @typedef {{id: number, size: number, creator: number}} Segment */
/** @typedef {{pid: number, command: string}} Process */

/** @returns {Map<number, Segment>} the SysV segments of this IPC namespace by their id */
export function segments() {
  /** @type {Map<number, Segment>} */
  const found = new Map();
  const [head, ...rows] = readFileSync('/proc/sysvipc/shm', 'utf8').trimEnd().split('\n');
  const names = (head ?? '').trim().split(/\s+/);
  for (const row of rows) {
    const values = row.trim().split(/\s+/).map(Number);
    const field = (/** @type {string} */ name) => values[names.indexOf(name)] ?? Number.NaN;
    found.set(field('shmid'), {id: field('shmid'), size: field('size'), creator: field('cpid')});
  }
  return found;
}

/**
 * What a process shows of itself, or `otherwise` if it has just gone or belongs to someone else.
 * @template T
 * @param {T} otherwise
 * @param {() => T} read
 * @returns {T}
 */
function unlessGone(otherwise, read) {
  try {
    return read();
  } catch (error) {
    const {code} = /** @type {NodeJS.ErrnoException} */ (error);
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return otherwise;
    throw error;
  }
}

/**
 * @param {number} pid
 * @param {'environ' | 'cmdline' | 'comm' | 'status'} file
 */
function readProc(pid, file) {
  return unlessGone('', () => readFileSync(`/proc/${pid}/${file}`, 'latin1'));
}

function pids() {
  return readdirSync('/proc').map(Number).filter(Number.isInteger);
}

/**
 * The processes that inherited an environment variable, and the keepers of services among them. It finds a daemon that
 * left its process group and its parent, which no other mark does.
 * @param {string} name
 * @param {string} value
 * @returns {Process[]}
 */
export function processesWith(name, value) {
  const marked = pids().filter(pid => readProc(pid, 'environ').split('\0').includes(`${name}=${value}`));
  return [...keepersOf(marked), ...marked].map(pid => {
    const command = readProc(pid, 'cmdline').replaceAll('\0', ' ').trim();
    return {pid, command: command || readProc(pid, 'comm').trim()};
  });
}

/**
 * A keeper drops the memory it does not need, its environment too, but it has its service's files.
 * @param {readonly number[]} services
 * @returns {number[]}
 */
function keepersOf(services) {
  if (services.length === 0) return [];
  const files = new Set(services.flatMap(privateFiles));
  // What this process has itself is what a shell or a runner left open for all it starts.
  for (const file of privateFiles(process.pid)) files.delete(file);
  return pids().filter(
    pid =>
      readProc(pid, 'comm') === 'zlr-keeper\n' &&
      !services.includes(pid) &&
      privateFiles(pid).some(file => files.has(file)),
  );
}

/** @param {number} pid @returns {string[]} its pipes and sockets; standard input and output may be anybody's */
function privateFiles(pid) {
  const folder = `/proc/${pid}/fd`;
  return unlessGone([], () =>
    readdirSync(folder)
      .filter(fd => Number(fd) > 2)
      .map(fd => unlessGone('', () => readlinkSync(join(folder, fd))))
      .filter(file => /^(socket|pipe):/.test(file)),
  );
}

/**
 * Of the segments that came into being since `before` those that one of these processes made. A pid is used again, so
 * what stood before is none of theirs.
 * @param {Map<number, Segment>} before
 * @param {ReadonlySet<number>} makers
 * @returns {Segment[]}
 */
export function segmentsMadeBy(before, makers) {
  return [...segments().values()].filter(each => !before.has(each.id) && makers.has(each.creator));
}

/**
 * Ends what is left; resolves when all of it is dead. A service whose keeper dies clones another one, and a keeper whose
 * service dies starts another one, so they are stopped before they are killed.
 * @param {() => Process[]} left
 */
export async function killAll(left) {
  /** @type {Set<number>} */
  const killed = new Set();
  for (;;) {
    const living = left();
    if (living.length === 0 && [...killed].every(isDead)) return;
    for (const {pid} of living) send(pid, 'SIGSTOP');
    while (!living.every(({pid}) => isDead(pid) || isStopped(pid))) await delay(1);
    for (const {pid} of left()) {
      send(pid, 'SIGKILL');
      killed.add(pid);
    }
    await delay(20);
  }
}

const isStopped = (/** @type {number} */ pid) => /^State:\s+T/m.test(readProc(pid, 'status'));

/** @param {number} pid @returns {boolean} dead, whether its parent has waited for it or not */
export function isDead(pid) {
  const status = readProc(pid, 'status');
  return status === '' || /^State:\s+[ZX]/m.test(status);
}

/** @param {number} pid @param {NodeJS.Signals} signal */
function send(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It has gone by itself in the meantime.
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ESRCH') throw error;
  }
}
