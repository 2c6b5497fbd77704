import {constants} from 'node:os';
import {errnoName, type Native, native} from '@zlr/kernel-shim/internal';
import {StoreError} from '../errors.js';
import {assertDescriptors} from './refusal.js';

const {EAGAIN, EEXIST, EINVAL, ENOSYS, EIDRM, EACCES, ENOENT, ENOSPC} = constants.errno;
/** What the calls below give when they fail, as negative numbers. */
export const Errno = {EAGAIN, EEXIST, EINVAL, ENOSYS, EIDRM, EACCES, ENOENT, ENOSPC} as const;

/**
 * What the backends but 'memory' ask of the kernel; loaded when the first of them is used.
 *
 * @throws StoreError ERR_BACKEND: the addon of @zlr/kernel-shim does not load; ERR_LIMIT: for want of a descriptor
 */
export function kernel(): Native {
  try {
    return native();
  } catch (cause) {
    assertDescriptors(cause, "backends 'sysv' and 'file'");
    throw new StoreError(
      'ERR_BACKEND',
      `backends 'sysv' and 'file' cannot be used here: ${(cause as Error).message.replace(/\.?$/, '.')} Backend 'memory' needs no addon.`,
      {cause: (cause as Error).cause ?? cause},
    );
  }
}

/** Throws unless a call went well, or as badly as one expects. */
export function check(result: number, where: string, what: string, ...expected: number[]): number {
  if (result >= 0 || expected.includes(-result)) return result;
  throw new StoreError('ERR_BACKEND', `${where}: the kernel refused ${what}: ${errnoName(-result)}.`);
}
