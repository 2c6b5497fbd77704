import type {Renames} from '../migration/plan.js';
import type {Access} from '../segment/engine.js';
import type {Memory} from '../segment/memory.js';
import type {RootOf, Schema} from '../store/store.js';

/** How a store is to be entered, once its segment is attached. */
export interface Entry<S extends Schema> {
  access?: Access;
  logSize?: number | string | undefined;
  maxSize?: number | undefined;
  validate?: ((root: RootOf<S>) => void) | undefined;
  memory?: Memory;
  /** How many segments were gone through that said that the store had moved on from them. */
  hops?: number;
  /** Of the schema, as the program counts; 0 when it does not. */
  version?: number;
  /** The program comes back after one that did not stay: it may give up what was added since it, and its version goes down again. */
  goesBack?: boolean;
  /** What may be done about another schema. */
  change?: {
    size: number | undefined;
    renames: Renames;
    drop: readonly string[];
    migrate: ((from: Record<string, unknown>, to: RootOf<S>) => void) | undefined;
    compact: boolean;
  };
  /** The schema is the store's own, so there is nothing to compare. */
  described?: boolean;
  /** It is opened to be repaired. */
  mend?: boolean;
}
