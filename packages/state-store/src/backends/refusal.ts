import {StoreError, type StoreErrorCode} from '../errors.js';

/** What the kernel says of a file, by code: ours, and what it means for who named the file. */
const REFUSALS: Readonly<Record<string, readonly [StoreErrorCode, string]>> = {
  ENOENT: ['ERR_NOT_FOUND', 'its folder is not there; make that first, or choose another path'],
  ENOTDIR: ['ERR_NOT_FOUND', 'a part of its path is no folder; choose another path'],
  ENAMETOOLONG: [
    'ERR_OPTIONS',
    'its path is too long: a name has at most 255 bytes, 246 for a store that is made or rebuilt, and all of them at most 4095; choose a shorter one',
  ],
  ELOOP: ['ERR_OPTIONS', 'its path leads through links in a circle; choose another path'],
  ERR_INVALID_ARG_VALUE: ['ERR_OPTIONS', 'its path holds a NUL, which no path can; choose another path'],
  EISDIR: ['ERR_FOREIGN', 'it is no ordinary file; choose another path'],
  ENXIO: ['ERR_FOREIGN', 'it is no ordinary file; choose another path'],
  ETXTBSY: ['ERR_FOREIGN', 'it is a program that runs; choose another path'],
  EACCES: ['ERR_FOREIGN', 'this user may not; give them the right, or choose another path'],
  EPERM: ['ERR_FOREIGN', 'this user may not; give them the right, or choose another path'],
  EROFS: [
    'ERR_BACKEND',
    'its file system is read-only; open the store with readonly: true, or mount it to be written',
  ],
  EBUSY: [
    'ERR_BACKEND',
    'its name is a mount of its own, so no other file can take its place; mount its folder instead',
  ],
  ENODEV: ['ERR_BACKEND', 'its file system cannot map files into memory; choose another path'],
  ENOSPC: ['ERR_LIMIT', 'its file system is full; free some room, or choose another path'],
  EDQUOT: [
    'ERR_LIMIT',
    "this user's share of its file system is used up; free some room, or choose another path",
  ],
  EFBIG: [
    'ERR_LIMIT',
    'a file of this process may not be so large; raise the limit (ulimit -f), or ask for less',
  ],
  EMFILE: ['ERR_LIMIT', 'this process has too many files open; raise the limit (ulimit -n), or close some'],
  ENFILE: ['ERR_LIMIT', 'this machine has too many files open; raise fs.file-max, or close some'],
  ENOMEM: ['ERR_LIMIT', 'there is no memory for it; ask for less'],
};

/** Of the kernel's refusal to watch a file, where the same codes mean something else. */
const WATCHES: readonly [StoreErrorCode, string] = [
  'ERR_LIMIT',
  'no more files can be watched; raise fs.inotify.max_user_watches and max_user_instances, or watch less',
];

/** A system error as one line with a code of ours; what is none stays as it is. */
export function refusal(cause: unknown, where: string): unknown {
  if (cause instanceof StoreError || !(cause instanceof Error)) return cause;
  const {code, syscall, message} = cause as NodeJS.ErrnoException;
  if (code === undefined) return cause;
  const isWatch = syscall === 'watch' && (code === 'ENOSPC' || code === 'EMFILE');
  const [ours, meaning] = (isWatch ? WATCHES : REFUSALS[code]) ?? ['ERR_BACKEND', message];
  return new StoreError(ours, `${where}: ${meaning} (${[code, syscall].filter(Boolean).join(', ')}).`, {
    cause,
  });
}

/** A module that did not load for want of a descriptor is not missing. The dynamic linker says so in words alone. */
export function assertDescriptors(failure: unknown, where: string): void {
  if (!(failure instanceof Error)) return;
  const {code, message} = failure as NodeJS.ErrnoException;
  if (code === 'EMFILE' || code === 'ENFILE') throw refusal(failure, where);
  if (code === 'ERR_DLOPEN_FAILED' && message.includes('Too many open files'))
    throw refusal(Object.assign(new Error(message, {cause: failure}), {code: 'EMFILE'}), where);
  assertDescriptors(failure.cause, where);
  if (failure instanceof AggregateError) for (const each of failure.errors) assertDescriptors(each, where);
}

/** Runs what asks something of the kernel. */
export function told<T>(where: string, fn: () => T): T {
  try {
    return fn();
  } catch (cause) {
    throw refusal(cause, where);
  }
}

/** A path as a part of one line, however long and whatever is in it. */
export function shownPath(path: string): string {
  const whole = path.length > 300 ? `${path.slice(0, 140)}...${path.slice(-140)}` : path;
  return whole.replace(/[\p{Cc}\u2028\u2029]/gu, each => JSON.stringify(each).slice(1, -1));
}
