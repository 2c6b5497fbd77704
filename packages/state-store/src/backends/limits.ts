import {readFileSync, statfsSync} from 'node:fs';
import {dirname} from 'node:path';
import {StoreError} from '../errors.js';

const PAGE = 4096;
const TMPFS = 0x01021994;

/** What bounds memory on this machine, in bytes. */
export interface MemoryReadings {
  memory: number;
  swap: number;
  /** What this process and its like may use together; Infinity: all there is. */
  cgroup: number;
}

/** What bounds SysV segments besides. */
export interface SegmentReadings extends MemoryReadings {
  /** kernel.shmmax: bytes of one segment. */
  shmmax: number;
  /** kernel.shmall: pages of all segments. */
  shmall: number;
  /** kernel.shmmni: segments. */
  shmmni: number;
  /** Bytes of each segment that is there. */
  segments: readonly number[];
}

/** Why there can be no SysV segment of so many bytes, and what to do; undefined: nothing is known against it. */
export function segmentComplaint(bytes: number, now: SegmentReadings): string | undefined {
  const {shmmax, shmall, shmmni, segments} = now;
  const otherwise = "or use backend 'file' with a path in /dev/shm";
  if (bytes > shmmax)
    return `kernel.shmmax allows ${shmmax} bytes in one segment; raise it (sysctl -w kernel.shmmax=${bytes}), ${otherwise}`;
  const pages = (n: number) => Math.ceil(n / PAGE);
  const used = segments.reduce((sum, size) => sum + pages(size), 0);
  if (used + pages(bytes) > shmall)
    return `kernel.shmall allows ${shmall * PAGE} bytes in all segments together and ${used * PAGE} are in use (ipcs -m); remove some, raise it (sysctl -w kernel.shmall=${used + pages(bytes)}, in pages), ${otherwise}`;
  if (segments.length >= shmmni)
    return `kernel.shmmni allows ${shmmni} segments and ${segments.length} are there (ipcs -m); remove some, raise it (sysctl -w kernel.shmmni=${segments.length + 1}), ${otherwise}`;
  return memoryComplaint(bytes, now);
}

/** Why so many bytes of memory can never be filled. What others use at the moment does not count: they may end. */
export function memoryComplaint(bytes: number, now: MemoryReadings): string | undefined {
  const {memory, swap, cgroup} = now;
  if (bytes > cgroup + swap)
    return `the memory limit of this container (its cgroup) is ${cgroup} bytes, with ${swap} of swap; raise it, or ask for less`;
  if (bytes > memory + swap)
    return `this machine has ${memory} bytes of memory and ${swap} of swap; ask for less, or use backend 'file' on a disk`;
  return undefined;
}

export function readMemory(): MemoryReadings {
  const meminfo = readFileSync('/proc/meminfo', 'utf8');
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(meminfo)![1]) * 1024;
  return {
    memory: bytes('MemTotal'),
    swap: bytes('SwapTotal'),
    cgroup: process.constrainedMemory() || Number.POSITIVE_INFINITY,
  };
}

/** `segments`: the sizes of those that are there. */
export function readSegments(segments: readonly number[]): SegmentReadings {
  const kernel = (name: string) => Number(readFileSync(`/proc/sys/kernel/${name}`, 'utf8'));
  return {
    shmmax: kernel('shmmax'),
    shmall: kernel('shmall'),
    shmmni: kernel('shmmni'),
    segments,
    ...readMemory(),
  };
}

/** Throws what a complaint says, if there is one. */
export function assertPossible(bytes: number, where: string, complaint: string | undefined): void {
  if (complaint !== undefined)
    throw new StoreError('ERR_LIMIT', `${where} cannot have ${bytes} bytes: ${complaint}.`);
}

/** Throws unless the file system of `path` has room for so many bytes more. */
export function assertRoom(bytes: number, path: string, where: string): void {
  const folder = dirname(path);
  const {bavail, bsize, type} = statfsSync(folder);
  const left = bavail * bsize;
  const how = type === TMPFS ? `make it larger (mount -o remount,size=... on it)` : 'free some';
  const complaint =
    bytes > left
      ? `the file system of ${folder} has ${left} bytes left and it needs ${bytes}; ${how}, or choose another path`
      : type === TMPFS
        ? memoryComplaint(bytes, readMemory())
        : undefined;
  assertPossible(bytes, where, complaint);
}
