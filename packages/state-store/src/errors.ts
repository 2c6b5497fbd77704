import {types} from 'node:util';

/** Stable codes; the message may change between releases, the code does not. */
export type StoreErrorCode =
  | 'ERR_OPTIONS' // openStore was called with something it cannot use
  | 'ERR_SCHEMA' // the schema itself is wrong (a reserved name, a bad length, ...)
  | 'ERR_SCHEMA_MISMATCH' // the store holds another schema and cannot be carried over
  | 'ERR_FOREIGN' // the segment was not made by this library, or not by this user
  | 'ERR_VERSION' // the segment was written by another format version
  | 'ERR_CORRUPT' // the segment is ours but contradicts itself
  | 'ERR_BUSY' // another live process is the writer
  | 'ERR_BACKEND' // the backend is missing or the kernel refused
  | 'ERR_UNSUPPORTED' // this process may not compile the accessors of records from text
  | 'ERR_LIMIT' // a kernel limit or the room on a file system is too small
  | 'ERR_NOT_FOUND' // there is no such store, and none was to be made
  | 'ERR_VALUE' // a value does not fit its field
  | 'ERR_FULL' // a table or the segment has no room left
  | 'ERR_STALE' // a handle to a record that was removed
  | 'ERR_CLOSED' // the store was closed
  | 'ERR_READONLY' // a write through a read-only store
  | 'ERR_TRANSACTION' // a transaction grew too large, or its function was asynchronous
  | 'ERR_INVALID'; // the user's own validation refused the state

/**
 * What a caller did wrong or must know: the message says what was wrong, what was expected and what to do. Broken invariants
 * of the library itself are plain assertion errors.
 */
export class StoreError extends Error {
  /** What to tell errors apart by. */
  readonly code: StoreErrorCode;
  constructor(code: StoreErrorCode, message: string, options?: {cause?: unknown}) {
    super(message, options);
    this.name = 'StoreError';
    this.code = code;
  }
}

/** A short, safe rendering of a user's value for messages. */
export function show(value: unknown): string {
  if (typeof value === 'string')
    return value.length > 40 ? `${JSON.stringify(value.slice(0, 40))}...` : JSON.stringify(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (types.isUint8Array(value)) return `${value.length} bytes`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return String(value);
}
