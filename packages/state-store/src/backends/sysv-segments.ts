import {readFileSync} from 'node:fs';
import {isMainThread} from 'node:worker_threads';
import {StoreError} from '../errors.js';
import {check, Errno, kernel} from './kernel.js';
import {assertPossible, readSegments, segmentComplaint} from './limits.js';
import {loadCompiled} from './native.js';
import {assertHolds, largest} from './size.js';

type ShmModule = typeof import('shm-typed-array');

/** A line of /proc/sysvipc/shm: what the kernel knows of a segment without attaching it. */
export interface SysvSegment {
  key: number;
  id: number;
  mode: number;
  size: number;
  makerPid: number;
  lastPid: number;
  attached: number;
  uid: number;
}

export function listSysv(): SysvSegment[] {
  const lines = readFileSync('/proc/sysvipc/shm', 'utf8').trimEnd().split('\n').slice(1);
  return lines.map(line => {
    const [key, id, mode, size, cpid, lpid, attached, uid] = line.trim().split(/\s+/);
    return {
      key: Number(key) >>> 0,
      id: Number(id),
      mode: Number.parseInt(mode!, 8),
      size: Number(size),
      makerPid: Number(cpid),
      lastPid: Number(lpid),
      attached: Number(attached),
      uid: Number(uid),
    };
  });
}

let shm: ShmModule | undefined;

/**
 * shm-typed-array makes and maps segments; letting go of them and removing them is done by the addon. At every orderly end of
 * the process the module removes segments nobody else has attached: once in a listener for 'exit' and once more in a native
 * cleanup hook. A store must outlive its process, so the listener is taken off, and an own one attaches what is open once
 * more: the hook detaches one of the two, and removes nothing. The kernel takes the other with the process. What was closed
 * lies where the hook thinks it does no more, which is all the hook looks at. docs/decisions/state-store-exit.md has the
 * whole story.
 */
export function load(): ShmModule {
  if (shm) return shm;
  kernel(); // without the addon nothing keeps the module from removing what was only looked at
  if (!isMainThread)
    throw new StoreError(
      'ERR_BACKEND',
      "backend 'sysv' works in the main thread only (shm-typed-array is not made for workers); open the store there, or use backend 'memory'.",
    );
  const before = new Set(process.listeners('exit'));
  const remedy = 'Install a C++ compiler, make and python3, and the package again';
  const loaded = loadCompiled<ShmModule>('sysv', 'shm-typed-array', ['create', 'get'], remedy);
  for (const listener of process.listeners('exit')) if (!before.has(listener)) process.off('exit', listener);
  process.prependListener('exit', () => {
    for (const id of mapped.keys()) kernel().shmPin(id); // of one that was removed there is nothing to keep
  });
  shm = loaded;
  return loaded;
}

/** Views of elements of eight bytes: the module counts elements in 32 bits, so this reaches 32 GiB where bytes end at 4. */
const VIEW = 'Float64Array';
const PERMISSIONS = '600';

/** A segment that is mapped here, once however many use it. */
export interface Mapped {
  readonly key: number;
  readonly id: number;
  readonly bytes: Uint8Array;
  users: number;
}
const mapped = new Map<number, Mapped>();

/** Maps a segment that was listed, until `unmap`. Null: it is gone. */
export function mapSegment(segment: SysvSegment, where: string): Mapped | null {
  if (!isOurs(segment)) refuse(segment, where);
  const {key, id} = segment;
  const there = mapped.get(id);
  if (there) {
    there.users++;
    return there;
  }
  return keep(key, load().get(key, VIEW), where, id);
}

/** Makes a segment of zeros. Null: there is one already. */
export function makeSegment(key: number, size: number, where: string): Mapped | null {
  const listed = listSysv();
  if (listed.some(segment => segment.key === key)) return null;
  const sizes = listed.map(segment => segment.size);
  assertPossible(size, where, segmentComplaint(size, readSegments(sizes)));
  const shm = load();
  try {
    const view = shm.create(size / 8, VIEW, key, PERMISSIONS);
    return keep(key, view, where, listSysv().find(segment => segment.key === key)?.id ?? -1);
  } catch (cause) {
    throw new StoreError(
      'ERR_LIMIT',
      `the kernel refused ${size} bytes for ${where}: ${(cause as Error).message}.`,
      {cause},
    );
  }
}

function keep(key: number, view: Float64Array | null, where: string, id: number): Mapped | null {
  if (view === null) return null;
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  try {
    assertHolds('sysv', view.byteLength, where);
  } catch (error) {
    kernel().shmDetach(bytes);
    throw error;
  }
  kernel().notOnHeap(bytes.length);
  const fresh = {key, id, bytes, users: 1};
  mapped.set(id, fresh);
  return fresh;
}

/** Lets go of a segment. A view somebody kept finds no bytes then, rather than pages that are no longer there. */
export function unmap(segment: Mapped): void {
  if (mapped.get(segment.id) !== segment || --segment.users > 0) return;
  mapped.delete(segment.id);
  kernel().notOnHeap(-segment.bytes.length);
  kernel().shmDetach(segment.bytes);
}

export function isOurs({uid, mode}: SysvSegment): boolean {
  return uid === process.getuid!() && (mode & 0o077) === 0;
}

function refuse({uid, mode}: SysvSegment, where: string): never {
  const what =
    uid === process.getuid!()
      ? `has permissions ${(mode & 0o777).toString(8)}: others than you may touch it, so it was not made by this library`
      : `belongs to user ${uid}, not to you (${process.getuid!()})`;
  throw new StoreError('ERR_FOREIGN', `${where} ${what}; it was left untouched. Choose another name.`);
}

/** Removes a segment for everybody, and lets go of it whoever uses it here. */
export function removeSegment(id: number): void {
  const mine = mapped.get(id);
  if (mine) {
    mine.users = 1;
    unmap(mine);
  }
  check(kernel().shmRemove(id), `SysV segment ${id}`, 'to remove it', Errno.EINVAL, Errno.EIDRM);
}

/** How many have it attached, this process not counted. */
export function attachedElsewhere({id, attached}: SysvSegment): number {
  return attached - (mapped.has(id) ? 1 : 0);
}

/**
 * Shows this user's segments that others cannot touch, one after the other, each mapped as long as it is looked at. This
 * process is not counted among `attached`.
 */
export function eachSysvSegment(
  look: (segment: SysvSegment, bytes: Uint8Array) => void,
  wanted = (_key: number) => true,
): void {
  for (const segment of listSysv()) {
    if (segment.key === 0 || !isOurs(segment) || segment.size > largest('sysv') || !wanted(segment.key))
      continue;
    const attached = attachedElsewhere(segment);
    const there = mapSegment(segment, `SysV segment ${segment.id}`);
    if (there === null) continue; // it vanished meanwhile
    try {
      look({...segment, attached}, there.bytes);
    } finally {
      unmap(there);
    }
  }
}
