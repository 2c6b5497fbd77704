import assert from 'node:assert/strict';
import type {Backing} from './backing.js';
import {build} from './build.js';
import {Engine} from './engine.js';
import type {Entry} from './enter.js';
import {StoreError} from './errors.js';
import {describedBy} from './examine.js';
import {claimOwner, type Header} from './header.js';
import {otherWriter} from './lock.js';
import {Memory} from './memory.js';
import {Migration} from './migrate.js';
import {NOBODY, nameOf, ownIdentity} from './process-identity.js';
import {type Schema, Store} from './store.js';
import type {Struct} from './struct.js';
import {UndoLog} from './undo-log.js';

/**
 * Makes the store anew under another schema, or without gaps, and puts it in the place of the old one by one store or one
 * rename. Until then the old one is as it was.
 */
export function rebuild<S extends Schema>(
  backing: Backing,
  old: Engine,
  root: Struct<S>,
  entry: Entry<S>,
  change: NonNullable<Entry<S>['change']>,
): void {
  const other = otherWriter(old.memory);
  if (other !== undefined)
    throw new StoreError(
      'ERR_BUSY',
      `${backing.where} is also written by ${nameOf(other)}; it can be rebuilt only by one that is alone.`,
    );
  const {name} = old;
  const before = describedBy(old.memory, backing, old.header);
  const from = new Store(old, backing, before, 0, undefined, () => {});
  const place = backing.blank(Math.max(old.memory.byteLength, change.size ?? 0));
  try {
    const memory = new Memory(place.bytes);
    claimOwner(memory, NOBODY, ownIdentity());
    const plan = build(memory, place, name, root, entry.logSize);
    const log = new UndoLog(memory, plan.logCell, plan.logCells);
    const to = new Store(
      new Engine(name, place.where, memory, log, plan as Header, 'one'),
      place,
      root,
      0,
      undefined,
      () => {},
    );
    new Migration(from.side(), to.side(), change.renames, change.migrate !== undefined).run();
    const {migrate} = change;
    if (migrate) to.transaction(() => migrate(from.side().root, to.root));
    const {ok, problems} = to.check();
    assert(ok, problems.join('; '));
    backing.replace(place);
    place.bell.ring();
  } catch (error) {
    place.destroy();
    throw error;
  }
}
