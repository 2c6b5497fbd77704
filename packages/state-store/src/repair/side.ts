import type {Fields} from '../schema/record.js';
import type {Ledger} from './ledger.js';

/** A store, as repairing and migrating it see it. */
export interface Side {
  schema: Fields;
  /** Live records and collections. */
  root: Record<string, unknown>;
  collections: ReadonlyMap<string, unknown>;
  ledger: Ledger;
  transact<R>(fn: () => R): R;
}
