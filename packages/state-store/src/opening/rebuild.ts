import assert from 'node:assert/strict';
import type {Backing} from '../backends/backing.js';
import {StoreError} from '../errors.js';
import {Migration} from '../migration/migrate.js';
import type {Struct} from '../schema/struct.js';
import {Engine} from '../segment/engine.js';
import type {Header} from '../segment/header.js';
import {Memory} from '../segment/memory.js';
import {nameOf} from '../segment/process-identity.js';
import {UndoLog} from '../segment/undo-log.js';
import {otherWriter} from '../segment/writers.js';
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
  if (!backing.tenure!.alone())
    throw new StoreError(
      'ERR_BUSY',
      `${backing.where} is also written by ${nameOf(otherWriter(old.memory))}; it can be rebuilt only by one that is alone.`,
    );
  const {name} = old;
  const before = describedBy(old.memory, backing.where, old.header);
  const from = new Store(old, backing, before, 0, undefined);
  assertWhole(from, backing.where);
  const place = backing.blank(Math.max(old.memory.byteLength, change.size ?? 0));
  try {
    const memory = new Memory(place.bytes);
    const plan = build(memory, place, name, root, entry.logSize);
    const log = new UndoLog(memory, plan.logCell, plan.logCells);
    const to = new Store(
      new Engine(name, place.where, memory, log, plan as Header, 'one'),
      place,
      root,
      0,
      undefined,
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

/** What is damaged would be carried over in part, and in silence. */
function assertWhole(from: Store<Schema>, where: string): void {
  const {ok, problems} = from.check();
  if (ok) return;
  throw new StoreError(
    'ERR_CORRUPT',
    `${where} cannot be rebuilt, for it is damaged: ${problems.slice(0, 3).join('; ')}; repair it first (repairStore, or zlr check --repair). It was left as it was.`,
  );
}
