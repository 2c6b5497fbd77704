import {existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {homedir} from 'node:os';
import {join} from 'node:path';
import {HreadError} from '../errors.js';

/*
 * What is kept of input that could not be processed, for whoever is to find out why: a file with a line of JSON, then the
 * bytes themselves. Private to the user, and bounded in number and size.
 */

const VERSION = 1;
const MOST = 32;
const MOST_BYTES = 2 ** 20;

export interface CapsuleHeader {
  capsule: typeof VERSION;
  /** The server. */
  name: string;
  time: string;
  generation: number;
  connection: {id: number; recovered: boolean; consumed: number; data: unknown};
  error: {name: string; message: string; stack?: string};
  /** What ran. */
  program: {argv: string[]; cwd: string; node: string};
  /** Bytes of input that were held; more than follow, when they were too many. */
  bytes: number;
}

export interface Capsule {
  header: CapsuleHeader;
  unit: Buffer;
}

/** The folder of this user's capsules. */
export function capsuleFolder(): string {
  const {ZLR_CAPSULES, XDG_STATE_HOME} = process.env;
  return ZLR_CAPSULES ?? join(XDG_STATE_HOME ?? join(homedir(), '.local/state'), 'zlr/capsules');
}

/** Their paths, oldest first. */
export function listCapsules(folder = capsuleFolder()): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter(file => file.endsWith('.capsule'))
    .sort()
    .map(file => join(folder, file));
}

/** Keeps one, and its path; the oldest make room. */
export function keepCapsule(header: Omit<CapsuleHeader, 'capsule' | 'time' | 'bytes'>, unit: Buffer): string {
  const folder = capsuleFolder();
  mkdirSync(folder, {recursive: true, mode: 0o700});
  const time = new Date().toISOString();
  const whole: CapsuleHeader = {capsule: VERSION, ...header, time, bytes: unit.length};
  const text = JSON.stringify(whole, (_, value) => (typeof value === 'bigint' ? String(value) : value));
  const path = join(folder, `${time.replaceAll(':', '')}-${header.name}-${header.connection.id}.capsule`);
  writeFileSync(`${path}.new`, Buffer.concat([Buffer.from(`${text}\n`), unit.subarray(0, MOST_BYTES)]), {
    mode: 0o600,
  });
  renameSync(`${path}.new`, path);
  for (const old of listCapsules(folder).slice(0, -MOST)) rmSync(old, {force: true});
  return path;
}

/** @throws HreadError CAPSULE_INVALID */
export function readCapsule(path: string): Capsule {
  try {
    const bytes = readFileSync(path);
    const end = bytes.indexOf('\n');
    const header = JSON.parse(bytes.toString('utf8', 0, end)) as CapsuleHeader;
    if (header.capsule === VERSION) return {header, unit: bytes.subarray(end + 1)};
    throw new Error(`version ${header.capsule}`);
  } catch (error) {
    const why = (error as Error).message;
    throw new HreadError(
      'CAPSULE_INVALID',
      `'${path}' is no crash capsule (${why}); zlr capsules lists those there are`,
    );
  }
}
