import {createHash} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {isMainThread} from 'node:worker_threads';
import type {Backing} from './backing.js';
import {StoreError} from './errors.js';

type ShmModule = typeof import('shm-typed-array');

/** The key of a store's segment: 32 bits of a hash over user and name; 0 is IPC_PRIVATE and thus no key. */
export function sysvKey(name: string, uid = process.getuid!()): number {
  return createHash('sha256').update(`zlr-store\0${uid}\0${name}`).digest().readUInt32LE(0) || 1;
}

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
  const lines = readFileSync('/proc/sysvipc/shm', 'latin1').trimEnd().split('\n').slice(1);
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
    loaded = createRequire(import.meta.url)('shm-typed-array') as ShmModule;
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

const mapped = new Map<number, {id: number; bytes: Uint8Array; users: number}>();

export function attachSysv(name: string, size: number | undefined): Backing {
  const module = load();
  const key = sysvKey(name);
  const where = `SysV segment 0x${key.toString(16).padStart(8, '0')} of store '${name}'`;
  const known = listSysv().find(segment => segment.key === key);
  if (known && known.uid !== process.getuid!())
    throw new StoreError(
      'ERR_FOREIGN',
      `${where} belongs to user ${known.uid}, not to you (${process.getuid!()}); it was left untouched. Choose another name.`,
    );
  if (known && (known.mode & 0o077) !== 0)
    throw new StoreError(
      'ERR_FOREIGN',
      `${where} has permissions ${(known.mode & 0o777).toString(8)}: others than you may touch it, so it was not made by this library; it was left untouched. Choose another name.`,
    );
  const cached = mapped.get(key);
  let bytes: Uint8Array;
  let created = false;
  if (cached && known && cached.id === known.id) {
    bytes = cached.bytes;
    cached.users++;
  } else {
    const view = known || size === undefined ? module.get(key, VIEW) : create(module, key, size, where);
    if (view === null)
      throw new StoreError(
        size === undefined ? 'ERR_NOT_FOUND' : 'ERR_BUSY',
        size === undefined
          ? `there is no store '${name}' on backend 'sysv' (${where}).`
          : `${where} appeared or vanished while it was being opened; try again.`,
      );
    created = !known && size !== undefined;
    bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    const id = listSysv().find(segment => segment.key === key)?.id ?? -1;
    mapped.set(key, {id, bytes, users: 1});
  }
  pinned.add(key);
  const mine = mapped.get(key)!;
  return {
    kind: 'sysv',
    bytes,
    created,
    where,
    abandoned: () => known !== undefined && known.attached === 0,
    // The address is kept for the next open: the module knows only the first address of a segment it has seen, and
    // could never let go of a second one.
    detach: () => void mine.users--,
    destroy() {
      mine.users--;
      if (mapped.get(key) !== mine) return;
      mapped.delete(key);
      pinned.delete(key);
      // A view somebody kept must find nothing rather than pages that are no longer there.
      structuredClone(mine.bytes.buffer, {transfer: [mine.bytes.buffer as ArrayBuffer]});
      module.destroy(key);
    },
  };
}

function create(module: ShmModule, key: number, size: number, where: string): Float64Array | null {
  try {
    return module.create(size / 8, VIEW, key, PERMISSIONS);
  } catch (cause) {
    const limits = ['shmmax', 'shmall', 'shmmni'].map(
      name => `${name} ${readFileSync(`/proc/sys/kernel/${name}`, 'latin1').trim()}`,
    );
    throw new StoreError(
      'ERR_LIMIT',
      `the kernel refused ${size} bytes for ${where}: ${(cause as Error).message} (its limits: ${limits.join(', ')}; see sysctl kernel.shmmax).`,
      {cause},
    );
  }
}
