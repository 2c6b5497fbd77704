import {holdingAt} from '../backends/holdings.js';
import {StoreError, type StoreErrorCode} from '../errors.js';
import type {Fields} from '../schema/record.js';
import type {Struct} from '../schema/struct.js';
import {raiseSchemaVersion} from '../segment/header.js';
import type {Schema, Store} from '../store/store.js';
import {fingerprint} from './build.js';
import {assertVersion} from './refuse.js';

/** The store that is open for writing here already, once more; undefined: there is none. */
export function shareOpen<S extends Schema>(
  place: string | undefined,
  name: string,
  root: Struct<Fields>,
  writers: 'one' | 'many',
  version: number,
): Store<S> | undefined {
  const holding = place === undefined ? undefined : holdingAt(place);
  const store = holding?.store as Store<S> | undefined;
  if (!holding || !store) return undefined;
  const {schema, access} = store.openedAs;
  const refuse = (code: StoreErrorCode, what: string): never => {
    throw new StoreError(code, `store '${name}' was opened ${holding.opened} ${what}; it cannot be shared.`);
  };
  const {engine} = store.side();
  if (engine.name !== name) refuse('ERR_FOREIGN', `as '${engine.name}'`);
  if (!fingerprint(schema).equals(fingerprint(root))) refuse('ERR_SCHEMA_MISMATCH', 'with another schema');
  if (access !== writers) refuse('ERR_OPTIONS', `with writers: '${access}', not '${writers}'`);
  assertVersion(engine.memory, store.carrier, version);
  raiseSchemaVersion(engine.memory, version);
  store.sharers++;
  return store;
}

/** The line that called a function, for messages. */
export function callerOf(called: (...args: never[]) => unknown): string {
  const at: {stack?: string} = {};
  Error.captureStackTrace(at, called);
  const line = /^\s+at (?:.*\()?(.+?:\d+):\d+\)?$/m.exec(at.stack ?? '')?.[1];
  return line === undefined ? 'elsewhere' : `at ${line}`;
}
