import {constants} from 'node:buffer';
import {StoreError, show} from '../errors.js';
import type {Backing} from './backing.js';

const UNITS: Record<string, number> = {'': 1, B: 1, KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30};
const PAGE = 4096;

/** The number of a cell, and that of the end, has 32 bits. */
const FORMAT = 2 ** 35 - PAGE;

/**
 * The largest store a backend can hold on this Node. Elements of a view are counted to MAX_LENGTH, whatever their size, so
 * views of bytes end first: at 4 GiB on Node 20. mmap-io counts the bytes of a file like that on any Node.
 */
export function largest(backend: Backing['kind']): number {
  return Math.min(backend === 'file' ? 2 ** 32 : FORMAT, constants.MAX_LENGTH);
}

export function assertHolds(backend: Backing['kind'], bytes: number, what: string): void {
  const most = largest(backend);
  if (bytes <= most) return;
  const reason =
    most < constants.MAX_LENGTH ? '' : ` on Node ${process.version}, whose views of bytes end there`;
  throw new StoreError(
    'ERR_LIMIT',
    `${what}: ${bytes} bytes; backend '${backend}' holds at most ${most}${reason}. Ask for less, or spread it over several stores.`,
  );
}

/** Bytes of '64MB' (units of 1024, as memory is counted), rounded up to whole pages. */
export function parseSize(size: number | string, option: string): number {
  const match = typeof size === 'string' ? /^(\d+(?:\.\d+)?) ?([KMG]?B?)$/.exec(size) : undefined;
  const unit = match ? UNITS[match[2]!] : 1;
  const bytes =
    typeof size === 'number' ? size : match && unit !== undefined ? Number(match[1]) * unit : Number.NaN;
  if (!Number.isFinite(bytes) || bytes < 1 || bytes > FORMAT)
    throw new StoreError(
      'ERR_OPTIONS',
      `${option}: ${show(size)}; expected bytes as a number or as a text like '64MB' or '2GB', less than 32GB.`,
    );
  return Math.ceil(bytes / PAGE) * PAGE;
}
