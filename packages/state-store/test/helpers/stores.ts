import {randomBytes} from 'node:crypto';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {openStore, type Schema, type Store, type StoreOptions} from '../../src/index.js';

export const BACKENDS = ['memory', 'sysv', 'file'] as const;
/** Those that outlive their process. */
export const SHARED_BACKENDS = ['sysv', 'file'] as const;
export type BackendName = (typeof BACKENDS)[number];

export function freshName(): string {
  return `test-${process.pid}-${randomBytes(6).toString('hex')}`;
}

/** Where the file of a store lies, if it has one. */
export function pathOf(name: string, backend: BackendName): {path?: string} {
  return backend === 'file' ? {path: join(tmpdir(), `${name}.store`)} : {};
}

/** A store that is gone when its test is over, however the test ends. */
export async function fresh<const S extends Schema>(
  t: ExecutionContext,
  backend: BackendName,
  schema: S,
  options: Partial<StoreOptions<S>> = {},
): Promise<Store<S>> {
  const name = options.name ?? freshName();
  const store = await openStore({name, size: '1MB', backend, ...pathOf(name, backend), schema, ...options});
  t.teardown(() => {
    try {
      store.destroy();
    } catch (error) {
      if ((error as {code?: string}).code !== 'ERR_CLOSED') throw error;
    }
  });
  return store;
}
