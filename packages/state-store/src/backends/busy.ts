import {StoreError} from '../errors.js';
import type {Access} from '../segment/engine.js';
import {READY, readOwner, stateOf} from '../segment/header.js';
import type {Memory} from '../segment/memory.js';
import {NOBODY, nameOf} from '../segment/process-identity.js';
import type {Seats} from '../segment/tenure.js';
import {isFull, otherWriter} from '../segment/writers.js';

/** What keeps a store busy soon ends: `openStore` tries again for a while. */
export class BusyForNow extends StoreError {
  constructor(where: string) {
    super(
      'ERR_BUSY',
      `${where} is being made, rebuilt or removed by another process, which has not finished yet; try again.`,
    );
  }
}

/** Why there is no place to be had. `memory`: of the segment, if there is one. What kept it busy may have ended by now. */
export function busy(where: string, seats: Seats, memory: Memory | undefined, access: Access): StoreError {
  if (!memory || stateOf(memory) !== READY) return new BusyForNow(where);
  // Who writes alone puts his name down; who makes, rebuilds or removes it does not.
  const isOne = seats.areTaken();
  const who = isOne ? readOwner(memory) : access === 'one' ? otherWriter(memory) : NOBODY;
  if (who !== NOBODY)
    return new StoreError(
      'ERR_BUSY',
      `${where} is being written by ${nameOf(who)}; close it there first, or open it with writers: 'many' in both.`,
    );
  if (!isOne && access === 'many' && isFull(memory))
    return new StoreError('ERR_BUSY', `${where} has 64 writers already; there is no room for another.`);
  return new BusyForNow(where);
}
