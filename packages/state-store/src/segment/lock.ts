import {StoreError} from '../errors.js';
import {at} from './header.js';
import {CELL, type Memory} from './memory.js';
import {isAlive, isOfThisBoot, NOBODY, nameOf, ownIdentity} from './process-identity.js';

/*
 * The lock of a store with several writers: one word, 0 or the identity of the thread that holds it.
 * A dead holder is found out by whoever wants the lock next: it takes the word over and recovers what was left half done.
 */
const SPINS = 200;
const NAP_MS = 0.05;
const LOOKS_PER_SECOND = 50; // how often a waiting process asks whether the holder still lives

/** Nobody notifies this: waiting on it is a short sleep that needs no event loop. */
const pillow = new Int32Array(new SharedArrayBuffer(4));

/** Takes the lock; true when its last holder died with it. */
export function lock(memory: Memory, where: string, patienceMs = 10_000): boolean {
  const own = ownIdentity();
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
      if (!isAlive(holder) && atomics.compareExchange(memory.u64, word, holder, own) === holder) return true;
      if (now - start > patienceMs)
        throw new StoreError(
          'ERR_BUSY',
          `${where}: ${nameOf(holder)} has been inside a transaction for ${patienceMs} ms; it lives, so it keeps the lock.`,
        );
    }
    Atomics.wait(pillow, 0, 0, NAP_MS);
  }
}

export function unlock(memory: Memory): void {
  memory.atomics.store(memory.u64, at.lock / CELL, NOBODY);
}

/** The writers of a shared store, one word each, so that somebody who wants it alone can tell who is there. */
export function enlist(memory: Memory, where: string): void {
  const own = ownIdentity();
  for (let i = 0; i < at.writersCount; i++) {
    const word = at.writers / CELL + i;
    const there = memory.atomics.load(memory.u64, word);
    if (there !== NOBODY && isAlive(there) && there !== own) continue;
    if (memory.atomics.compareExchange(memory.u64, word, there, own) === there) return;
  }
  throw new StoreError(
    'ERR_BUSY',
    `${where} has ${at.writersCount} writers already; there is no room for another.`,
  );
}

export function delist(memory: Memory): void {
  for (let i = 0; i < at.writersCount; i++)
    memory.atomics.compareExchange(memory.u64, at.writers / CELL + i, ownIdentity(), NOBODY);
}

/** Some live writer other than this thread, if there is one. */
export function otherWriter(memory: Memory): bigint | undefined {
  for (let i = 0; i < at.writersCount; i++) {
    const there = memory.atomics.load(memory.u64, at.writers / CELL + i);
    if (there !== NOBODY && there !== ownIdentity() && isAlive(there)) return there;
  }
  return undefined;
}

/** The places of a header that name a writer. */
const WRITERS = [
  at.owner / CELL,
  at.lock / CELL,
  ...Array.from({length: at.writersCount}, (_, i) => at.writers / CELL + i),
];
const LAST = at.writers / CELL + at.writersCount - 1;

function isOfOtherBoot(memory: Memory, word: number): boolean {
  const there = memory.atomics.load(memory.u64, word);
  return there !== NOBODY && !isOfThisBoot(there);
}

/**
 * True when somebody wrote the store while its machine stopped. He is put into the last place of `writers`, where neither a
 * claim nor a kill takes his name away before `forgetOtherBoots` does.
 */
export function noteOtherBoot(memory: Memory): boolean {
  const word = WRITERS.find(word => isOfOtherBoot(memory, word));
  if (word === undefined) return false;
  if (word !== LAST) memory.atomics.store(memory.u64, LAST, memory.atomics.load(memory.u64, word));
  return true;
}

export function hasOtherBoot(memory: Memory): boolean {
  return WRITERS.some(word => isOfOtherBoot(memory, word));
}

export function forgetOtherBoots(memory: Memory): void {
  for (const word of WRITERS) if (isOfOtherBoot(memory, word)) memory.atomics.store(memory.u64, word, NOBODY);
}
