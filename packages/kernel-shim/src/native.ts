import {existsSync} from 'node:fs';
import {createRequire} from 'node:module';
import {fileURLToPath} from 'node:url';
import {ShimError} from './errors.js';

export {errnoName} from './errors.js';

/**
 * The native addon. It is loaded here and nowhere else. Numbers that may fail are a negative errno when they do.
 */
export interface Native {
  planMake(
    binPath: string,
    argv: readonly string[],
    envp: readonly string[],
    controlPath: string,
    generation: number,
    lifeline: number,
    orphaned: number,
    thresholdMs: number,
  ): number;
  keeperStart(): {error: number; pid: number; pidfd: number};
  orderly(): void;
  adopt(): {error: number; channels: number[]; files: number[]};
  spawn(
    file: string,
    argv: readonly string[],
    envp: readonly string[],
  ): {error: number; pid: number; pidfd: number};
  reap(pid: number): {error: number; signaled: number; number: number};
  hasChildren(): boolean;
  pidfdOpen(pid: number): number;
  onExit(pidfd: number, callback: () => void, keepLoopAlive: boolean): number;
  /** Fills [cookie low, cookie high, written, read, unread, peer ended, dead]. */
  books(fd: number, out: Float64Array): number;
  listen(address: string, port: number, backlog: number): number;
  localAddress(fd: number): {error: number; address: string; port: number; listening: number};
  /** Fills [mode, size, device, inode, mtime seconds, mtime nanoseconds]. */
  openBeneath(directory: number, path: string, out: Float64Array): number;
  readAt(fd: number, into: Uint8Array, offset: number, length: number, position: number): number;
  close(fd: number): number;

  /** A descriptor of /dev/zlr, whose ABI is ours. */
  moduleOpen(): number;
  moduleRegister(
    device: number,
    binPath: string,
    argv: readonly string[],
    envp: readonly string[],
    childId: number,
    thresholdMs: number,
  ): number;
  moduleInfo(device: number): {
    error: number;
    restarted: number;
    childId: number;
    generation: number;
    signal: number;
    code: number;
    pid: number;
    channels: number;
  };
  moduleForget(device: number): number;

  heldOpen(
    record: Uint8Array,
    pool: Uint8Array,
    slotSize: number,
    stack: Int32Array,
    fd: number,
    read: number,
  ): HeldHandle;
  hread(held: HeldHandle, rlen: number, dlen: number): number;
  readSocket(fd: number, into: Uint8Array, length: number): number;
  /** Nanoseconds in `count` reads, in C alone; for bench/. */
  measureReads(held: HeldHandle, feeder: number, length: number, count: number, hold: 0 | 1): number;

  readonly REACTOR_EVENTS: number;
  reactorCreate(
    records: Uint8Array,
    stride: number,
    capacity: number,
    pool: Uint8Array,
    slotSize: number,
    stack: Int32Array,
    buffers: readonly [events: Uint32Array, commands: Uint32Array, control: Uint32Array],
    callback: (events: number) => void,
  ): ReactorHandle | number;
  reactorListen(reactor: ReactorHandle, fd: number): number;
  reactorUnlisten(reactor: ReactorHandle): void;
  reactorResume(reactor: ReactorHandle, channel: number, fd: number, read: number, written: number): number;
  reactorSubmit(reactor: ReactorHandle): void;
  reactorIdle(reactor: ReactorHandle, seconds: number): void;
  reactorClose(reactor: ReactorHandle): void;
}

declare const heldBrand: unique symbol;
/** A stream that is read with hold; opaque. */
export interface HeldHandle {
  readonly [heldBrand]: true;
}

declare const reactorBrand: unique symbol;
/** A reactor of the native code; opaque. */
export interface ReactorHandle {
  readonly [reactorBrand]: true;
}

/** Kinds of the reactor's events; the same numbers as in native/reactor/reactor.h. */
export const Event = {Accepted: 1, Input: 2, Ended: 3, Sent: 4, Failed: 5, Closed: 6, Idle: 7} as const;
/** Kinds of the reactor's commands; the same numbers as in native/reactor/reactor.h. */
export const Command = {Attach: 1, Send: 2, Consumed: 3, Shutdown: 4, Close: 5} as const;

function load(): Native {
  const path = fileURLToPath(new URL('../build/Release/zlr.node', import.meta.url));
  if (!existsSync(path)) {
    throw new ShimError(
      'NATIVE_MISSING',
      `the native part of @zlr/kernel-shim is not built: expected ${path}; build it with ` +
        '`npm rebuild @zlr/kernel-shim` (needs `apt-get install g++ make python3`)',
    );
  }
  return createRequire(import.meta.url)(path) as Native;
}

export const native: Native = load();
