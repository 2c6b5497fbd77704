import type {Backing} from '../backends/backing.js';
import {StoreError} from '../errors.js';
import type {Fields} from '../schema/record.js';
import type {Struct} from '../schema/struct.js';
import {HEADER_BYTES, type Recognised, readHeader, schemaVersionOf} from '../segment/header.js';
import type {Memory} from '../segment/memory.js';
import {fingerprint} from './build.js';
import type {Entry} from './entry.js';

/** Nothing is written to a segment that is not ours. */
export function refuse(
  memory: Memory,
  backing: Backing,
  name: string,
  root: Struct<Fields>,
  kind: Recognised,
  entry: Entry<never>,
): void {
  const isMade = entry.access === 'none' ? kind !== 'foreign' : kind !== 'empty' || backing.created;
  if (kind === 'foreign' || (!isMade && !vacant(memory, backing)))
    throw new StoreError(
      'ERR_FOREIGN',
      `${backing.where} is not a zlr store; it was left untouched. Choose another name, or remove it yourself if nobody needs it.`,
    );
  if (kind !== 'ours') {
    if (entry.access === 'none')
      throw new StoreError(
        'ERR_NOT_FOUND',
        `${backing.where} is not finished yet: its maker is still at it, or died over it.`,
      );
    return;
  }
  const header = readHeader(memory, backing.where);
  if (header.name !== name)
    throw new StoreError(
      'ERR_FOREIGN',
      `${backing.where} is that of store '${header.name}', not of '${name}'; it was left untouched. Choose another name.`,
    );
  if (!entry.goesBack) assertVersion(memory, backing, entry.version);
  if (
    !entry.described &&
    (entry.access === 'none' || !entry.change) &&
    !header.fingerprint.equals(fingerprint(root))
  )
    throw new StoreError(
      'ERR_SCHEMA_MISMATCH',
      `${backing.where} was made with another schema; it was left untouched. Open it with that schema, or destroy it.`,
    );
}

/** A program of before must not write what one of after it has written. */
export function assertVersion(memory: Memory, backing: Backing, version = 0): void {
  const written = schemaVersionOf(memory);
  if (version !== 0 && version < written)
    throw new StoreError(
      'ERR_SCHEMA_MISMATCH',
      `${backing.where} was written with version ${written} of the schema, this is version ${version}; it was left untouched. Start the newer program; to go back on purpose, open it with version: ${written} or more.`,
    );
}

/** An empty segment whose maker died before its first store: nobody else has it and it holds nothing but zeros. */
function vacant(memory: Memory, backing: Backing): boolean {
  return backing.abandoned() && memory.u8.subarray(HEADER_BYTES).every(byte => byte === 0);
}
