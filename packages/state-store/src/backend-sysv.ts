import {createHash} from 'node:crypto';
import {existsSync, readFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {isMainThread} from 'node:worker_threads';
import {isSegment, mappings} from './address.js';
import type {Backing} from './backing.js';
import {FileBell} from './bell.js';
import {StoreError} from './errors.js';
import {at, BUILDING, HEADER_BYTES, MAGIC, MOVED, markMoved, READY} from './header.js';
import {loadCompiled} from './native.js';
import {isAlive} from './process-identity.js';

type ShmModule = typeof import('shm-typed-array');

/**
 * The key of a store's segment: 32 bits of a hash over user, name and edition; 0 is IPC_PRIVATE and thus no key. SysV
 * segments have one size for life, so a store that grows moves to its next edition.
 */
export function sysvKey(name: string, edition = 0, uid = process.getuid!()): number {
  return createHash('sha256').update(`zlr-store\0${uid}\0${name}\0${edition}`).digest().readUInt32LE(0) || 1;
}

const EDITIONS = 24; // each at least half as large again as the one before: from a page to 32 GiB

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

interface Mapped {
  id: number;
  bytes: Uint8Array;
}
const mapped = new Map<number, Mapped>();

/** The newest edition that is in use; one that a crash left unfinished is nobody's and goes. */
function currentEdition(module: ShmModule, name: string): number {
  const keys = new Set(listSysv().map(segment => segment.key));
  let found = 0;
  for (let edition = EDITIONS - 1; edition > 0; edition--) {
    const key = sysvKey(name, edition);
    if (!keys.has(key)) continue;
    const {bytes} = map(module, key, undefined, name)!;
    const header = Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, HEADER_BYTES);
    if (!MAGIC.equals(header.subarray(0, MAGIC.length))) continue;
    const state = header.readUInt32LE(at.state);
    if (state === BUILDING && !isAlive(header.readBigUInt64LE(at.owner))) remove(module, key);
    if (state === READY && found === 0) found = edition;
    else if (state === READY || state === MOVED) remove(module, key);
  }
  if (found > 0 && keys.has(sysvKey(name))) remove(module, sysvKey(name));
  return found;
}

/** Maps a segment, or makes it if `size` is given. Null: there is none, or there is one already. */
function map(module: ShmModule, key: number, size: number | undefined, name: string): Mapped | null {
  const known = listSysv().find(segment => segment.key === key);
  const where = describe(key, name);
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
  if (known && cached?.id === known.id) return size === undefined ? cached : null;
  const view = size === undefined ? module.get(key, VIEW) : create(module, key, size, where);
  if (view === null) return null;
  const id = listSysv().find(segment => segment.key === key)?.id ?? -1;
  const fresh = {id, bytes: new Uint8Array(view.buffer, view.byteOffset, view.byteLength)};
  // The address is kept for the next open: the module knows only the first address of a segment it has seen, and could
  // never let go of a second one.
  mapped.set(key, fresh);
  pinned.add(key);
  return fresh;
}

function remove(module: ShmModule, key: number): void {
  const mine = mapped.get(key);
  mapped.delete(key);
  pinned.delete(key);
  // A view somebody kept must find nothing rather than pages that are no longer there.
  if (mine) structuredClone(mine.bytes.buffer, {transfer: [mine.bytes.buffer as ArrayBuffer]});
  module.destroy(key);
}

function describe(key: number, name: string): string {
  return `SysV segment 0x${key.toString(16).padStart(8, '0')} of store '${name}'`;
}

/** This user's segments that others cannot touch, mapped. This process is not counted among `attached`. */
export function sysvSegments(): {segment: SysvSegment; bytes: Uint8Array}[] {
  const own = listSysv().filter(
    ({uid, mode, key}) => uid === process.getuid!() && (mode & 0o077) === 0 && key !== 0,
  );
  return own.flatMap(segment => {
    const attached = segment.attached - (mapped.get(segment.key)?.id === segment.id ? 1 : 0);
    const bytes = map(load(), segment.key, undefined, '?')?.bytes;
    return bytes ? [{segment: {...segment, attached}, bytes}] : []; // it vanished meanwhile
  });
}

/** Removes a segment, and with the store's name its bell too. */
export function removeSysv(key: number, name: string | null): void {
  remove(load(), key);
  if (name !== null) bellOf(name).remove();
}

function bellOf(name: string): FileBell {
  const folder = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  return new FileBell(join(folder, `zlr-${process.getuid!()}-${sysvKey(name).toString(16)}.bell`), true);
}

export function attachSysv(name: string, size: number | undefined): Backing {
  const module = load();
  const edition = currentEdition(module, name);
  const key = sysvKey(name, edition);
  const known = listSysv().find(segment => segment.key === key);
  const abandoned = known !== undefined && known.attached === 0;
  const segment = map(module, key, known ? undefined : size, name);
  if (segment === null) {
    if (size === undefined)
      throw new StoreError(
        'ERR_NOT_FOUND',
        `there is no store '${name}' on backend 'sysv' (${describe(key, name)}); openStore makes it when it is given a size and not readonly.`,
      );
    throw new StoreError(
      'ERR_BUSY',
      `${describe(key, name)} appeared or vanished while it was being opened; try again.`,
    );
  }
  return backing(module, name, edition, segment, !known, abandoned);
}

function backing(
  module: ShmModule,
  name: string,
  edition: number,
  {id, bytes}: Mapped,
  created: boolean,
  abandoned: boolean,
): Backing {
  const key = sysvKey(name, edition);
  const bell = bellOf(name);
  const next = (to: number, created: boolean): Backing => {
    const key = sysvKey(name, edition + 1);
    const larger = edition + 1 < EDITIONS ? map(module, key, to, name) : null;
    if (larger === null)
      throw new StoreError(
        'ERR_LIMIT',
        `store '${name}' cannot move: ${describe(key, name)} is there already, or it has moved ${EDITIONS} times.`,
      );
    new DataView(larger.bytes.buffer, larger.bytes.byteOffset).setUint32(at.state, BUILDING, true);
    return backing(module, name, edition + 1, larger, created, false);
  };
  return {
    kind: 'sysv',
    bytes,
    created,
    where: describe(key, name),
    bell,
    address: () => mappings((inode, path) => isSegment(id, inode, path))[0]!,
    abandoned: () => abandoned,
    blank: to => next(to, true),
    enlarge(to) {
      const larger = next(to, false);
      larger.bytes.set(bytes.subarray(0, at.state));
      larger.bytes.set(bytes.subarray(at.state + 4), at.state + 4);
      return larger;
    },
    replace(by) {
      const {buffer, byteOffset} = by.bytes;
      Atomics.store(new Uint32Array(buffer, byteOffset, HEADER_BYTES / 4), at.state / 4, READY);
      markMoved(bytes);
      remove(module, key);
    },
    successor: () => attachSysv(name, undefined),
    detach() {},
    destroy() {
      bell.remove();
      remove(module, key);
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
