import {readFileSync} from 'node:fs';
import {isMainThread} from 'node:worker_threads';
import {StoreError} from '../errors.js';
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

/** Keys this process has attached: they must outlive an orderly exit. */
const pinned = new Set<number>();

/**
 * shm-typed-array removes, at every orderly end of the process, the segments nobody else has attached: once in a
 * listener for 'exit' and once more in a native cleanup hook. A store must outlive its process, so the listener is taken
 * off, and an own one attaches every segment a second time: the module keeps only the first address of a segment, so
 * its hook detaches that one, finds one attach left, and removes nothing. The kernel takes the second with the process.
 * docs/decisions/state-store-exit.md has the whole story.
 */
function load(): ShmModule {
  if (shm) return shm;
  if (!isMainThread)
    throw new StoreError(
      'ERR_BACKEND',
      "backend 'sysv' works in the main thread only (shm-typed-array is not made for workers); open the store there, or use backend 'memory'.",
    );
  const before = new Set(process.listeners('exit'));
  let loaded: ShmModule;
  try {
    loaded = loadCompiled('shm-typed-array') as ShmModule;
  } catch (cause) {
    throw new StoreError(
      'ERR_BACKEND',
      `backend 'sysv' needs the compiled module shm-typed-array, which did not load (${(cause as Error).message.split('\n')[0]}); install it with a C++ compiler present, or use backend 'memory'.`,
      {cause},
    );
  }
  for (const listener of process.listeners('exit')) if (!before.has(listener)) process.off('exit', listener);
  process.prependListener('exit', () => {
    for (const key of pinned) loaded.get(key, 'Uint8Array');
  });
  shm = loaded;
  return loaded;
}

/** Views of elements of eight bytes: the module counts elements in 32 bits, so this reaches 32 GiB where bytes end at 4. */
const VIEW = 'Float64Array';
const PERMISSIONS = '600';

export interface Mapped {
  id: number;
  bytes: Uint8Array;
}
const mapped = new Map<number, Mapped>();

/** Maps a segment that was listed. Null: it is gone. */
export function mapSegment(segment: SysvSegment, where: string): Mapped | null {
  if (!isOurs(segment)) refuse(segment, where);
  const {key, id} = segment;
  const cached = mapped.get(key);
  if (cached?.id === id) return cached;
  return keep(key, load().get(key, VIEW), where, id);
}

/** Makes a segment of zeros. Null: there is one already. */
export function makeSegment(key: number, size: number, where: string): Mapped | null {
  const listed = listSysv();
  if (listed.some(segment => segment.key === key)) return null;
  const sizes = listed.map(segment => segment.size);
  assertPossible(size, where, segmentComplaint(size, readSegments(sizes)));
  try {
    const view = load().create(size / 8, VIEW, key, PERMISSIONS);
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
  assertHolds('sysv', view.byteLength, where);
  const fresh = {id, bytes: new Uint8Array(view.buffer, view.byteOffset, view.byteLength)};
  // The address is kept for the next open: the module knows only the first address of a segment it has seen, and could
  // never let go of a second one.
  mapped.set(key, fresh);
  pinned.add(key);
  return fresh;
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

export function removeSegment(key: number): void {
  const mine = mapped.get(key);
  mapped.delete(key);
  pinned.delete(key);
  // A view somebody kept must find nothing rather than pages that are no longer there.
  if (mine) structuredClone(mine.bytes.buffer, {transfer: [mine.bytes.buffer as ArrayBuffer]});
  load().destroy(key);
}

/** How many have it attached, this process not counted. */
export function attachedElsewhere({key, id, attached}: SysvSegment): number {
  return attached - (mapped.get(key)?.id === id ? 1 : 0);
}

/** This user's segments that others cannot touch, mapped. This process is not counted among `attached`. */
export function sysvSegments(wanted = (_key: number) => true): {segment: SysvSegment; bytes: Uint8Array}[] {
  const own = listSysv().filter(
    segment => segment.key !== 0 && isOurs(segment) && segment.size <= largest('sysv') && wanted(segment.key),
  );
  return own.flatMap(segment => {
    const attached = attachedElsewhere(segment);
    const bytes = mapSegment(segment, `SysV segment ${segment.id}`)?.bytes;
    return bytes ? [{segment: {...segment, attached}, bytes}] : []; // it vanished meanwhile
  });
}
