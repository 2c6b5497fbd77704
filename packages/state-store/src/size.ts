import {StoreError, show} from './errors.js';

const UNITS: Record<string, number> = {'': 1, B: 1, KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30};
const PAGE = 4096;

/** Bytes of '64MB' (units of 1024, as memory is counted), rounded up to whole pages. */
export function parseSize(size: number | string, option: string): number {
  const match = typeof size === 'string' ? /^(\d+(?:\.\d+)?) ?([KMG]?B?)$/.exec(size) : undefined;
  const unit = match ? UNITS[match[2]!] : 1;
  const bytes =
    typeof size === 'number' ? size : match && unit !== undefined ? Number(match[1]) * unit : Number.NaN;
  if (!Number.isFinite(bytes) || bytes < 1 || bytes > 2 ** 35)
    throw new StoreError(
      'ERR_OPTIONS',
      `${option}: ${show(size)}; expected bytes as a number or as a text like '64MB' or '2GB', at most 32GB.`,
    );
  return Math.ceil(bytes / PAGE) * PAGE;
}
