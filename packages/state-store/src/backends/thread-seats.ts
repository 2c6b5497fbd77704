import {at, recognise} from '../segment/header.js';
import {CELL, type Memory} from '../segment/memory.js';
import {isAlive, NOBODY, ownIdentity} from '../segment/process-identity.js';
import {PLACES, type Seats} from '../segment/tenure.js';
import {noteOtherBoot} from '../segment/writers.js';

const OWNER = at.owner / CELL;
const WRITERS = at.writers / CELL;

/**
 * Among the threads of one process, which all see the same /proc, the names in the header are the places: a thread has its
 * place by its name, and while it lives. One that wants all and one that wants one put themselves down in different
 * words; each looks again after its own store, so that one sees the other.
 */
export class ThreadSeats implements Seats {
  constructor(private readonly memory: Memory) {}

  private load(word: number): bigint {
    return this.memory.atomics.load(this.memory.u64, word);
  }

  private exchange(word: number, from: bigint, to: bigint): boolean {
    return this.memory.atomics.compareExchange(this.memory.u64, word, from, to) === from;
  }

  private isOthers(word: number): boolean {
    const there = this.load(word);
    return there !== NOBODY && there !== ownIdentity() && isAlive(there);
  }

  private isCrowded(): boolean {
    for (let place = 0; place < PLACES; place++) if (this.isOthers(WRITERS + place)) return true;
    return false;
  }

  takeAll(): boolean {
    if (this.isOthers(OWNER) || this.isCrowded()) return false;
    this.note();
    if (!this.exchange(OWNER, this.load(OWNER), ownIdentity())) return false;
    if (!this.isCrowded()) return true;
    this.exchange(OWNER, ownIdentity(), NOBODY);
    return false;
  }

  takeOne(): number | undefined {
    if (this.isOthers(OWNER)) return undefined;
    this.note();
    for (let place = 0; place < PLACES; place++) {
      const there = this.load(WRITERS + place);
      if ((there !== NOBODY && isAlive(there)) || !this.exchange(WRITERS + place, there, ownIdentity()))
        continue;
      if (!this.isOthers(OWNER)) return place;
      this.exchange(WRITERS + place, ownIdentity(), NOBODY);
      return undefined;
    }
    return undefined;
  }

  /** Before a name of another boot is written over. */
  private note(): void {
    if (recognise(this.memory.u8) === 'ours') noteOtherBoot(this.memory);
  }

  keepOne(place: number): void {
    this.memory.atomics.store(this.memory.u64, WRITERS + place, ownIdentity());
    this.exchange(OWNER, ownIdentity(), NOBODY);
  }

  isTaken(place: number): boolean {
    return this.isOthers(WRITERS + place);
  }

  areTaken(): boolean {
    return this.isOthers(OWNER);
  }

  leave(): void {
    if (this.memory.byteLength === 0) return;
    this.exchange(OWNER, ownIdentity(), NOBODY);
    for (let place = 0; place < PLACES; place++) this.exchange(WRITERS + place, ownIdentity(), NOBODY);
  }
}
