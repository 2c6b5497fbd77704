import {mkdirSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {homedir} from 'node:os';
import {join} from 'node:path';
import {say} from '@zlr/kernel-shim/internal';
import {StoreError} from '../errors.js';
import {imageOf} from '../store/image.js';
import type {Schema, Store} from '../store/store.js';

/** Where dumps are kept that nobody has asked for. */
function dumpFolder(): string {
  const {ZLR_DUMPS, XDG_STATE_HOME} = process.env;
  return ZLR_DUMPS ?? join(XDG_STATE_HOME ?? join(homedir(), '.local/state'), 'zlr/dumps');
}

/**
 * The whole store as a program that does not stay has left it, in a file that the log names, before one that comes back gives up what it does
 * not know.
 *
 * @throws StoreError ERR_SCHEMA_MISMATCH: it cannot be kept, so nothing is given up
 */
export function keepAside(store: Store<Schema>, name: string, where: string, names: readonly string[]): void {
  const path = join(dumpFolder(), `${name}-${new Date().toISOString().replaceAll(':', '')}.gz`);
  try {
    mkdirSync(dumpFolder(), {recursive: true, mode: 0o700});
    writeFileSync(`${path}.new`, imageOf(store), {mode: 0o600, flush: true});
    renameSync(`${path}.new`, path);
  } catch (cause) {
    rmSync(`${path}.new`, {force: true});
    throw new StoreError(
      'ERR_SCHEMA_MISMATCH',
      `${where} has another schema, and what this program does not know of it (${names.join(', ')}) cannot be kept: ${(cause as Error).message}. ` +
        'The store was left as it was; make room, or name another folder in ZLR_DUMPS.',
      {cause},
    );
  }
  say(
    `${where} goes back to the schema of the program that comes back; what that does not know (${names.join(', ')}) is kept with all else in ` +
      `${path}: zlr load NAME -i ${path}`,
  );
}
