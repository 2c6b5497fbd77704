import type {Fields} from '../schema/record.js';
import type {Struct} from '../schema/struct.js';
import type {Engine} from '../segment/engine.js';
import type {Ledger} from './ledger.js';

/** A store, as repairing and migrating it see it. */
export interface Side {
  engine: Engine;
  schema: Struct<Fields>;
  /** Live records and collections. */
  root: Record<string, unknown>;
  collections: ReadonlyMap<string, unknown>;
  ledger: Ledger;
  transact<R>(fn: () => R): R;
}
