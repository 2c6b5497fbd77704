import {at, READY, stateOf} from './header.js';
import {CELL, type Memory} from './memory.js';
import {isAlive, isOfThisBoot, NOBODY, ownIdentity} from './process-identity.js';
import {PLACES, type Tenure} from './tenure.js';

/*
 * The names of those who write, in the header: `owner` that of a single writer, `writers` those of several by their places.
 * For messages, and so that whoever comes after a stop of the machine knows that somebody wrote. Only in memory of one
 * process they are the places themselves.
 */
const WRITERS = at.writers / CELL;
const NAMES = [at.owner / CELL, ...Array.from({length: PLACES}, (_, place) => WRITERS + place)];

/** Puts this thread down, as the single writer or one of several. True when one before stopped with his machine, and nobody has looked since. */
export function signIn(memory: Memory, tenure: Tenure, access: 'one' | 'many'): boolean {
  if (stateOf(memory) === READY) noteOtherBoot(memory);
  const {atomics, u64} = memory;
  const [own, owner] = [ownIdentity(), at.owner / CELL];
  // Whoever else wrote alone is dead, or this one would have no place.
  if (access === 'one') atomics.store(u64, owner, own);
  else if (atomics.load(u64, owner) !== own) atomics.store(u64, owner, NOBODY);
  if (tenure.place !== undefined) atomics.store(u64, WRITERS + tenure.place, own);
  return hasOtherBoot(memory);
}

export function signOut(memory: Memory, tenure: Tenure): void {
  const own = ownIdentity();
  memory.atomics.compareExchange(memory.u64, at.owner / CELL, own, NOBODY);
  if (tenure.place !== undefined)
    memory.atomics.compareExchange(memory.u64, WRITERS + tenure.place, own, NOBODY);
}

/** For messages: somebody else who is put down as a writer, one who can be seen to live first. */
export function otherWriter(memory: Memory): bigint {
  const names = NAMES.map(word => memory.atomics.load(memory.u64, word)).filter(
    name => name !== NOBODY && name !== ownIdentity(),
  );
  return names.find(isAlive) ?? names[0] ?? NOBODY;
}

/** Somebody wrote the store while its machine stopped: it is kept in a word of its own until `forgetOtherBoots`. */
export function noteOtherBoot(memory: Memory): void {
  if (NAMES.some(word => isOfOtherBoot(memory, word))) memory.atomics.store(memory.u32, at.stopped / 4, 1);
}

function isOfOtherBoot(memory: Memory, word: number): boolean {
  const there = memory.atomics.load(memory.u64, word);
  return there !== NOBODY && !isOfThisBoot(there);
}

export function hasOtherBoot(memory: Memory): boolean {
  return memory.atomics.load(memory.u32, at.stopped / 4) !== 0;
}

export function forgetOtherBoots(memory: Memory): void {
  for (const word of NAMES) if (isOfOtherBoot(memory, word)) memory.atomics.store(memory.u64, word, NOBODY);
  memory.atomics.store(memory.u32, at.stopped / 4, 0);
}

/** True when every place of several writers has a name. */
export function isFull(memory: Memory): boolean {
  return NAMES.slice(1).every(word => memory.atomics.load(memory.u64, word) !== NOBODY);
}
