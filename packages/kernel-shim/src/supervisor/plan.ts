import {fstatSync, readSync} from 'node:fs';
import {errnoName, ShimError} from '../errors.js';
import {native} from '../native.js';

/** What generations are started as. */
export interface Plan {
  readonly file: string;
  readonly argv: readonly string[];
  /** NAME=value */
  readonly envp: readonly string[];
}

/** A sealed memfd for those who may have to start a generation without this process. The caller closes it. */
export function sealPlan({file, argv, envp}: Plan): number {
  const fd = native().planSeal(file, argv, envp);
  if (fd >= 0) return fd;
  throw new ShimError('SYSTEM_CALL_FAILED', `no memory for the plan: ${errnoName(fd)}`, errnoName(fd));
}

const HEAD = 12;
const SIZE_MAX = 8 << 20;

/** What a service wants its successors to be started as; undefined: it is no plan (native/keeper/plan.h). */
export function readPlan(fd: number): Plan | undefined {
  const stat = fstatSync(fd);
  const {size} = stat;
  if (!stat.isFile() || size < HEAD || size > SIZE_MAX) return undefined;
  const bytes = Buffer.alloc(size);
  if (readSync(fd, bytes, 0, size, 0) !== size) return undefined;
  const args = bytes.readUInt32LE(0);
  const vars = bytes.readUInt32LE(4);
  const strings = bytes.toString('utf8', HEAD).split('\0');
  if (bytes.readUInt32LE(8) !== size - HEAD || strings.length !== 1 + args + vars + 1 || args === 0) {
    return undefined;
  }
  return {file: strings[0]!, argv: strings.slice(1, 1 + args), envp: strings.slice(1 + args, -1)};
}
