import {assertFits, errnoName, ShimError} from './errors.js';
import {native} from './native.js';
import {descriptor, systemText} from './options.js';

/** A file that lives on in the next generation, where `getreginfo` lists it. */
export interface KeptFile {
  fd: number;
  /** In bytes, when it was opened. */
  size: number;
}

const numbers = new Float64Array(8);

/**
 * Opens a file for reading, below a folder that no link and no `..` in its path leads out of.
 *
 * @param directory a descriptor of the folder
 * @throws ShimError OPTION_INVALID; SYSTEM_CALL_FAILED: `errno` is 'EXDEV' for what leads out of the folder
 */
export function openBeneath(directory: number, path: string): KeptFile {
  assertFits('openBeneath', {directory, path}, {directory: descriptor, path: systemText});
  const fd = native().openBeneath(directory, path, numbers);
  if (fd < 0)
    throw new ShimError('SYSTEM_CALL_FAILED', `cannot open '${path}': ${errnoName(fd)}`, errnoName(fd));
  return {fd, size: numbers[1]!};
}
