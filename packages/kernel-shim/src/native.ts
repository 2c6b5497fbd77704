import {existsSync, readdirSync, readFileSync} from 'node:fs';
// As a whole: a `createRequire` that is imported by name, webpack takes for its own.
import nodeModule from 'node:module';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {ShimError} from './errors.js';

/**
 * The native addon. It is loaded here and nowhere else. Numbers that may fail are a negative errno when they do.
 */
export interface Native {
  /** `link` and `keeperLink` become the child's descriptors 3 and 4; -1: none. */
  spawn(
    file: string,
    argv: readonly string[],
    envp: readonly string[],
    link: number,
    keeperLink: number,
    diesWithParent: boolean,
    listeners: Int32Array,
  ): {error: number; pid: number; pidfd: number};
  /** [pid, parent, session, 1 if it has ended and waits to be reaped, pid, ...] of all that are to be seen. */
  processes(): number[] | number;
  reap(pid: number): {error: number; signaled: number; dumped: number; number: number};
  /** Orphans below this process become its children. */
  becomeSubreaper(): number;
  pidfdOpen(pid: number): number;
  /** Writes a text without ever waiting; a negative errno: EAGAIN when nobody reads, and there is no room. */
  put(fd: number, text: string): number;
  /** A datagram to a unix socket, one of an abstract name when it begins with '@'. */
  notify(path: string, text: string): number;
  /** Takes the pidfd over. */
  onExit(pidfd: number, callback: () => void, keepLoopAlive: boolean): number;
  /** The descriptor stays the caller's; unwatch before it is closed. A negative errno: it cannot be watched. */
  onReadable(fd: number, callback: () => void, keepLoopAlive: boolean): Watch | number;
  unwatch(watch: Watch): void;

  linkPair(): {error: number; ours: number; theirs: number};
  linkSend(link: number, word: Uint8Array, fd: number): number;
  /** result 1: a word was filled in; 0: the other end is closed. */
  linkReceive(
    link: number,
    word: Uint8Array,
    block: boolean,
  ): {result: number; fd: number; pid: number; uid: number};
  linkDoor(path: string): number;
  linkAnswer(door: number): {link: number; pid: number; uid: number};
  linkKnock(path: string): number;
  /** From here on what arrives says who sent it. */
  askWho(link: number): number;
  /** Who is at the other end of a unix socket. */
  peer(fd: number): {error: number; pid: number; uid: number};
  /** Of the open file; a negative errno when the descriptor is not open. */
  inode(fd: number): number;
  closeOnExec(fd: number): number;

  /** A sealed memfd. */
  planSeal(file: string, argv: readonly string[], envp: readonly string[]): number;
  keeperClone(
    generation: number,
    supervisor: number,
    orphaned: number,
    link: number,
    door: string,
  ): {error: number; pid: number};
  /** The pids of this process' two keepers, 0: there has been none, and what they know of the plan. */
  kept(): {older: number; younger: number; thresholdMs: number};
  /** There is nobody to take anything over from. */
  takeCharge(): number;
  /** Closes the link. `were`: the files' numbers in the former generation. */
  takeOver(link: number): {error: number; channels: number[]; files: number[]; were: number[]};
  /** The marked descriptors that the kernel module has put into this process. */
  inherited(): {channels: number[]; files: number[]; were: number[]};
  orderly(): void;
  /** A ZLR_STACK is sent when there was no beat for so long; 0: none is. -ENOTSUP: this Node's V8 is another. */
  stackAfter(limitMs: number, link: number, generation: number): number;
  beat(): void;
  /** Fills [cookie low, cookie high, written, read, unread, peer ended, dead]. */
  books(fd: number, out: Float64Array): number;
  listen(address: string, port: number, backlog: number, shared: 0 | 1): number;
  /** A listening socket, close-on-exec and marked from here on, that the next `listen` or `socketBind` at its address takes. */
  give(fd: number): number;
  mark(fd: number): void;
  localAddress(fd: number): {error: number; address: string; port: number; listening: number};
  /** Fills [mode, size, device, inode, mtime seconds, mtime nanoseconds, ctime seconds, ctime nanoseconds]. */
  openBeneath(directory: number, path: string, out: Float64Array): number;
  readAt(fd: number, into: Uint8Array, offset: number, length: number, position: number): number;
  close(fd: number): number;

  /** A descriptor of /dev/zlr, whose ABI is ours, that does not wait. */
  moduleOpen(): number;
  moduleRegister(
    device: number,
    binPath: string,
    argv: readonly string[],
    envp: readonly string[],
    childId: number,
    thresholdMs: number,
  ): {error: number; service: bigint};
  moduleInfo(device: number): {
    error: number;
    restarted: number;
    childId: number;
    generation: number;
    signal: number;
    code: number;
    pid: number;
    channels: number;
    segments: {shmid: number; address: bigint; size: number}[];
  };
  moduleForget(device: number): number;
  /** 0: this process lives the service now; -EAGAIN: it stands by until the device is readable. */
  moduleStandby(device: number, service: bigint): number;
  moduleSegments(device: number): number;
  /** The file does not wait from here on. */
  moduleStream(device: number, fd: number): {error: number; read: number; deleted: number; written: number};
  moduleHread(device: number, fd: number, into: Uint8Array, rlen: number, dlen: number): number;

  /** sizes: of large and small extents, their counts, and the reserve. */
  heldOpen(
    buffers: readonly [
      record: Uint8Array,
      pool: Uint8Array,
      extents: Uint32Array,
      large: Int32Array,
      small: Int32Array,
      flow: Uint32Array,
    ],
    sizes: Uint32Array,
    owner: number,
    most: number,
    fd: number,
    read: number,
  ): HeldHandle;
  hread(held: HeldHandle, rlen: number, dlen: number): number;
  readSocket(fd: number, into: Uint8Array, length: number): number;
  /** Nanoseconds in `count` reads, in C alone; for bench/. */
  measureReads(held: HeldHandle, feeder: number, length: number, count: number, hold: 0 | 1): number;

  /** The socket's SO_COOKIE. */
  cookieOf(fd: number): bigint;
  readonly REACTOR_EVENTS: number;
  readonly REACTOR_COMMANDS: number;
  /** numbers: stride, capacity, those of heldOpen, bytes that may be held, bytes of output, in turn. */
  reactorCreate(
    buffers: readonly [
      records: Uint8Array,
      pool: Uint8Array,
      extents: Uint32Array,
      large: Int32Array,
      small: Int32Array,
      flows: Uint32Array,
      events: Uint32Array,
      commands: Uint32Array,
      control: Uint32Array,
    ],
    numbers: Uint32Array,
    callback: (events: number) => void,
  ): ReactorHandle | number;
  reactorListen(reactor: ReactorHandle, fd: number): number;
  reactorUnlisten(reactor: ReactorHandle): void;
  reactorResume(reactor: ReactorHandle, channel: number, fd: number, read: number, written: number): number;
  reactorSubmit(reactor: ReactorHandle): void;
  reactorPass(reactor: ReactorHandle): void;
  reactorIdle(reactor: ReactorHandle, quietSeconds: number, unitSeconds: number): void;
  reactorClose(reactor: ReactorHandle): void;

  /** A TCP socket that does not listen yet, marked as a channel. */
  socketBind(address: string, port: number, shared: 0 | 1): number;
  /** SO_COOKIE; 0n: no socket. */
  socketCookie(fd: number): bigint;

  /** From here on libuv's calls are led by; once in a process. -ENOTSUP: this Node's cannot be. */
  exchangeOpen(
    records: Uint8Array,
    stride: number,
    slots: Uint8Array,
    slotSize: number,
    freeRecords: Uint32Array,
    freeSlots: Uint32Array,
  ): number;
  exchangeRestore(): void;
  /** -ENOBUFS: no record is free, the connection stays plain. */
  exchangeBegin(fd: number): number;
  /** `answered`: the answer in progress stands, is made anew, or is whole; native/exchange/talk.h */
  exchangeResume(fd: number, record: number, read: number, written: number, answered: 0 | 1 | 2): number;
  /** 0: all that was produced is the kernel's; -EAGAIN: not yet. */
  exchangeFlush(fd: number): number;
  exchangeClose(fd: number, reset: 0 | 1): number;
  /** 1: bytes wait; 0: the peer has ended. */
  exchangePeek(fd: number): number;
  /** [end, flags, ...] of each request whose head is there; an end of 0 has not come, -1: it cannot be framed. */
  exchangeScan(bytes: Uint8Array): number[];
  /** [length, status, framing, body length, closes]; undefined: it is not whole, or none. */
  exchangeAnswerHead(bytes: Uint8Array, toHead: 0 | 1): [number, number, number, number, number] | undefined;
  exchangeTally(): Record<
    | 'reads'
    | 'writes'
    | 'closes'
    | 'answers'
    | 'passedOver'
    | 'diverged'
    | 'opaque'
    | 'freeRecords'
    | 'freeSlots',
    number
  >;
  exchangeOnReady(callback: (fd: number) => void): void;
  /** Tells of it once, when it can be written to, or read from. */
  exchangeWait(fd: number, writable: 0 | 1): number;

  /** Locks of an open file description, on bytes of its file; -EAGAIN: another one has them. */
  fileLock(fd: number, first: number, count: number): number;
  fileUnlock(fd: number, first: number, count: number): number;
  /** 1: another open file description has one of these bytes. */
  fileIsLocked(fd: number, first: number, count: number): number;
  /** A rename that never replaces a file; -EEXIST: there is one. */
  renameNew(from: string, to: string): number;
  semOpen(key: number, count: number, make: 0 | 1): number;
  /** [number, change, ...] all at once, until this process ends; a change of 0 asks for a 0. -EAGAIN: not now. */
  semChange(id: number, changes: Int32Array): number;
  semValue(id: number, number: number): number;
  /** Who changed it last, as this process numbers processes; 0: it has no number here. */
  semPid(id: number, number: number): number;
  semRemove(id: number): number;
  /** One more attach, for as long as the process lives. */
  shmPin(id: number): number;
  /** Unmaps; every view of it has no bytes from then on. */
  shmDetach(mapping: Uint8Array): number;
  shmRemove(id: number): number;
  /** Takes so many bytes out of what V8 would like to collect; a negative number puts them back. */
  notOnHeap(bytes: number): number;
  addressOf(bytes: Uint8Array): bigint;
}

declare const watchBrand: unique symbol;
/** A descriptor that is watched; opaque. */
export interface Watch {
  readonly [watchBrand]: true;
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
export const Event = {
  Accepted: 1,
  Input: 2,
  Ended: 3,
  Sent: 4,
  Drained: 5,
  Failed: 6,
  Closed: 7,
  Idle: 8,
  Overdue: 9,
  Starved: 10,
  Crowded: 11,
} as const;
/** Kinds of the reactor's commands; the same numbers as in native/reactor/reactor.h. */
export const Command = {Attach: 1, Send: 2, Consumed: 3, Shutdown: 4, Close: 5} as const;

/** The folder of this package: above dist/, or, of a program made by a bundler, where that program would find the package. */
function packageFolder(): string {
  // A bundler that makes CommonJS leaves import.meta empty. (In a module __filename may be another's: `node -e` sets it for all.)
  const {url} = import.meta as {url?: string};
  const here = url === undefined ? __filename : fileURLToPath(url);
  const require = nodeModule.createRequire(here);
  let folder = dirname(here);
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder);
  try {
    const manifest = require(join(folder, 'package.json')) as {name?: string};
    if (manifest.name === '@zlr/kernel-shim') return folder;
    return dirname(require.resolve('@zlr/kernel-shim/package.json'));
  } catch (cause) {
    throw new ShimError(
      'NATIVE_MISSING',
      `@zlr/kernel-shim is bundled into ${here}, and its native part is not to be found from there: keep the package ` +
        'external when you bundle (esbuild --external:@zlr/kernel-shim), or install it beside the bundle.',
      undefined,
      {cause},
    );
  }
}

/** What was compiled on this machine comes first, then the copy that the package carries for this platform and C library. */
function load(): Native {
  const folder = packageFolder();
  const libc = readFileSync('/proc/self/maps', 'latin1').includes('/ld-musl-') ? 'musl' : 'glibc';
  const platform = `${process.platform}-${process.arch}`;
  const files = ['build/Release/zlr.node', `prebuilds/${platform}/zlr.${libc}.node`]
    .map(file => join(folder, file))
    .filter(file => existsSync(file));
  const failures: Error[] = [];
  for (const file of files) {
    try {
      return nodeModule.createRequire(file)(file) as Native;
    } catch (error) {
      failures.push(error as Error);
    }
  }
  const disabled = failures.find(each => (each as NodeJS.ErrnoException).code === 'ERR_DLOPEN_DISABLED');
  const why =
    failures.length > 0
      ? `did not load (${failures.map(each => each.message.split('\n')[0]).join('; ')})`
      : `is carried for ${prebuilt(folder)}, not for ${platform} with ${libc}, and was not compiled when it was installed`;
  const remedy = disabled
    ? 'Start node without --no-addons.'
    : 'Install a C compiler, make and python3 (Debian: gcc make python3; Alpine: build-base linux-headers python3), ' +
      'then run: npm rebuild @zlr/kernel-shim';
  throw new ShimError(
    'NATIVE_MISSING',
    `the native part of @zlr/kernel-shim in ${folder} ${why}. ${remedy}`,
    undefined,
    {cause: failures.length > 1 ? new AggregateError(failures, why) : failures[0]},
  );
}

function prebuilt(folder: string): string {
  const prebuilds = join(folder, 'prebuilds');
  if (!existsSync(prebuilds)) return 'no platform';
  const names = readdirSync(prebuilds, {recursive: true, encoding: 'utf8'}).flatMap(
    file => /^(.*)\/zlr\.(\w+)\.node$/.exec(file)?.slice(1).join(' with ') ?? [],
  );
  return names.sort().join(', ');
}

let loaded: Native | undefined;

/**
 * The addon, loaded when it is first asked for: who imports a package must not need what he does not use.
 *
 * @throws ShimError NATIVE_MISSING
 */
export function native(): Native {
  loaded ??= load();
  return loaded;
}
