import assert from 'node:assert/strict';
import type {Backing} from '../backends/backing.js';
import {StoreError} from '../errors.js';
import {Migration} from '../migration/migrate.js';
import type {Struct} from '../schema/struct.js';
import {Engine} from '../segment/engine.js';
import {claimOwner, type Header} from '../segment/header.js';
import {otherWriter} from '../segment/lock.js';
import {Memory} from '../segment/memory.js';
import {NOBODY, nameOf, ownIdentity} from '../segment/process-identity.js';
import {UndoLog} from '../segment/undo-log.js';
import {type Schema, Store} from '../store/store.js';
import {build} from './build.js';
import type {Entry} from './entry.js';
import {describedBy} from './examine.js';

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
