import {readStore, type Schema, type Store} from '@zlr/state-store';
import {usageError} from './command.js';

/** The options by which a command names a store. */
export const storeOptions = {file: {type: 'string'}} as const;
export const storeUsage = 'NAME | --file PATH';
export const storeHelp = `  NAME         a store in shared memory; zlr ls lists them
  --file PATH  a store in a file`;

/** The store that a command line names, and what follows the name. */
export function storeOf(
  command: string,
  positionals: string[],
  file: string | undefined,
  mostAfter = 0,
): {place: Place; rest: string[]} {
  const [name, ...rest] = file === undefined ? positionals : ['', ...positionals];
  if (name === undefined) throw usageError(command, 'no store was named');
  if (rest.length > mostAfter) throw usageError(command, `'${rest[mostAfter]}' is too much`);
  return {place: placeOf(name, file), rest};
}

export interface Place {
  name: string;
  backend: 'sysv' | 'file';
  path?: string;
}

/** Where a store in a file is, needs no name: it has its own. */
export function placeOf(name: string, file: string | undefined): Place {
  return file === undefined ? {name, backend: 'sysv'} : {name: name || 'file', backend: 'file', path: file};
}

export async function withStore<T>(place: Place, work: (store: Store<Schema>) => T | Promise<T>): Promise<T> {
  const store = await readStore(place);
  try {
    return await work(store);
  } finally {
    store.close();
  }
}
