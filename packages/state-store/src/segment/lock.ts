import {StoreError} from '../errors.js';
import {at} from './header.js';
import {CELL, type Memory} from './memory.js';
import {NOBODY, nameOf} from './process-identity.js';
import type {Tenure} from './tenure.js';

/*
 * The lock of a store with several writers: one word, 0 or that of the one who is inside a transaction, see tenure.ts.
 * A dead holder is found out by whoever wants the lock next: it takes the word over and recovers what was left half done.
 */
const SPINS = 200;
const NAP_MS = 0.05;
const LOOKS_PER_SECOND = 50; // how often a waiting process asks whether the holder still lives

/** Nobody notifies this: waiting on it is a short sleep that needs no event loop. */
const pillow = new Int32Array(new SharedArrayBuffer(4));

/** Takes the lock; true when its last holder died with it. */
export function lock(memory: Memory, tenure: Tenure, where: string, patienceMs = 10_000): boolean {
  const own = tenure.word;
  const {atomics} = memory;
  const word = at.lock / CELL;
  const start = performance.now();
  let looked = 0;
  for (let spin = 0; ; spin++) {
    const holder = atomics.compareExchange(memory.u64, word, NOBODY, own);
    if (holder === NOBODY) return false;
    if (spin < SPINS) continue;
    const now = performance.now();
    if (now - looked > 1000 / LOOKS_PER_SECOND) {
      looked = now;
      // Two may find it dead, one takes it over.
      if (!tenure.isHolding(holder) && atomics.compareExchange(memory.u64, word, holder, own) === holder)
        return true;
      if (now - start > patienceMs)
        throw new StoreError(
          'ERR_BUSY',
          `${where}: ${nameOf(nameAt(memory, holder))} has been inside a transaction for ${patienceMs} ms; it lives, so it keeps the lock.`,
        );
    }
    Atomics.wait(pillow, 0, 0, NAP_MS);
  }
}

function nameAt(memory: Memory, holder: bigint): bigint {
  return memory.atomics.load(memory.u64, at.writers / CELL + Number(holder & 0xffn) - 1);
}

export function unlock(memory: Memory): void {
  memory.atomics.store(memory.u64, at.lock / CELL, NOBODY);
}
