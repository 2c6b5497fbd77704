import assert from 'node:assert/strict';
import type {Backing} from '../backends/backing.js';
import type {Ancestor} from '../declaration/schema-blob.js';
import {StoreError} from '../errors.js';
import {Gaps} from '../migration/gaps.js';
import {descend, namesOf} from '../migration/lineage.js';
import {Migration} from '../migration/migrate.js';
import {Plan} from '../migration/plan.js';
import type {Fields} from '../schema/record.js';
import type {Struct} from '../schema/struct.js';
import {Engine} from '../segment/engine.js';
import {type Header, hasMoved, raiseSchemaVersion, schemaVersionOf} from '../segment/header.js';
import {Memory} from '../segment/memory.js';
import {nameOf} from '../segment/process-identity.js';
import {UndoLog} from '../segment/undo-log.js';
import {otherWriter} from '../segment/writers.js';
import {type Schema, Store} from '../store/store.js';
import {build, fingerprint} from './build.js';
import type {Entry} from './entry.js';
import {describedBy, examine, lineageOf, validate} from './examine.js';
import {keepAside} from './keep-aside.js';

/** Of the segment, in bytes, what its lineage may take: one part in so many. */
const LINEAGE_SHARE = 64;

/**
 * Makes the store anew under another schema, or without gaps, and puts it in the place of the old one by one store or one
 * rename, once all that could refuse it has agreed. Until then the old one is as it was.
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
  const {name, memory: before, header} = old;
  const from = new Store(old, backing, describedBy(before, backing.where, header), 0, undefined);
  const {goesBack = false} = entry;
  const {plan, lineage, migrate} = planned(from, old, backing, root, change, goesBack);
  plan.assertAllowed(backing.where);
  assertWhole(from, backing.where);
  if (plan.addedSince.size > 0) keepAside(from, name, backing.where, [...plan.addedSince]);
  const place = backing.blank(Math.max(before.byteLength, change.size ?? 0));
  try {
    const memory = new Memory(place.bytes);
    const laidOut = build(memory, place, name, root, entry.logSize, lineage);
    const log = new UndoLog(memory, laidOut.logCell, laidOut.logCells);
    const engine = new Engine(name, place.where, memory, log, laidOut as Header, 'one');
    const gaps = migrate && new Gaps();
    engine.written = gaps?.written;
    const to = new Store(engine, place, root, 0, undefined);
    new Migration(from.side(), to.side(), plan, gaps).run();
    if (migrate)
      to.transaction(() => {
        gaps!.begin();
        return migrate(from.side().root, to.root);
      });
    gaps?.assertFilled();
    const {ok, problems} = to.check();
    assert(ok, problems.join('; '));
    examine(to, backing);
    validate(to, entry.validate);
    raiseSchemaVersion(memory, Math.max(goesBack ? 0 : schemaVersionOf(before), entry.version ?? 0));
    backing.replace(place);
    place.bell.ring();
  } catch (error) {
    if (hasMoved(before))
      place.detach(); // it is the store by now
    else place.destroy();
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

/** What the change takes: nothing but room when the schema is the one there is. */
function planned<S extends Schema>(
  from: Store<Schema>,
  {memory, header}: Engine,
  backing: Backing,
  root: Struct<S>,
  {renames, drop, migrate}: NonNullable<Entry<S>['change']>,
  goesBack: boolean,
): {plan: Plan; lineage: readonly Ancestor[]; migrate: typeof migrate} {
  const lineage = lineageOf(memory, backing.where, header);
  const {schema, collections} = from.side();
  const [left, next] = [header.fingerprint.toString('hex'), fingerprint(root).toString('hex')];
  const wished = left !== next;
  const plan = new Plan(
    schema,
    root as Struct<Fields>,
    wished
      ? {renames, drop, migrates: migrate !== undefined, goesBack}
      : {renames: {}, drop: [], migrates: false, goesBack},
    lineage.find(({fingerprint}) => fingerprint === next),
    ring => (collections.get(ring) as {length: number}).length,
  );
  if (!wished) return {plan, lineage, migrate: undefined};
  const names = namesOf(schema.describe());
  const most = memory.byteLength / LINEAGE_SHARE;
  return {plan, lineage: descend(lineage, {fingerprint: left, names}, plan.step, next, most), migrate};
}
