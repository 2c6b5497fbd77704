import {randomBytes} from 'node:crypto';
import {at} from './header.js';

/*
 * The right to write a store. A store has 64 places: several writers have one each, a single writer has all of them. Who has
 * which is known to what ends with its holder, the kernel where there is one, and asked there; what stands in the segment
 * about it is for messages. docs/decisions/store-sole-writer.md says why.
 */
export const PLACES = at.writersCount;

/** The places of one store, as one opening of it sees them. Nothing here waits. */
export interface Seats {
  /** Takes all of them, or all besides its own. False: somebody else has one. */
  takeAll(own: number | undefined): boolean;
  /** Takes a free one; undefined: there is none. */
  takeOne(): number | undefined;
  /** Gives back all but one. */
  keepOne(place: number): void;
  /** True when somebody else has it, who lives. */
  isTaken(place: number): boolean;
  /** True when somebody else has all of them. */
  areTaken(): boolean;
  /** Gives back what it has. */
  leave(): void;
}

/** What one opening of a store holds. */
export class Tenure {
  /** One of several: which. */
  place: number | undefined;
  /**
   * What the lock says in a transaction of one of several: bits 0-7 its place + 1, the rest drawn at random, so that nobody
   * is taken for who had the place before.
   */
  word = 0n;
  private all = false;

  constructor(private seats: Seats) {}

  get isAlone(): boolean {
    return this.all;
  }

  /** Becomes the only one. False: there are others; then nothing has changed. */
  alone(): boolean {
    this.all ||= this.seats.takeAll(this.place);
    return this.all;
  }

  /** Becomes one of several. False: there is no room beside the others. */
  join(): boolean {
    if (this.all) {
      this.place ??= 0;
      this.seats.keepOne(this.place);
      this.all = false;
    } else this.place ??= this.seats.takeOne();
    if (this.place === undefined) return false;
    if (this.word === 0n) this.word = (randomBytes(8).readBigUInt64LE() & ~0xffn) | BigInt(this.place + 1);
    return true;
  }

  /** True when who wrote this to the lock still has his place. */
  isHolding(word: bigint): boolean {
    const place = Number(word & 0xffn) - 1;
    return place >= 0 && place < PLACES && place !== this.place && this.seats.isTaken(place);
  }

  /** The store is another segment now, of which the same places were taken. */
  move(seats: Seats): void {
    const before = this.seats;
    this.seats = seats;
    before.leave();
  }

  leave(): void {
    this.seats.leave();
    this.all = false;
  }
}
