import {type Books, localAddress, readBooks} from '@zlr/kernel-shim';
import {native} from '@zlr/kernel-shim/internal';
import {ALONE} from './exchange-record.js';
import {type House, SLOT_SIZE, SLOTS} from './house.js';
import {type HeldRequest, judge, type Policy, type Recorded, type Verdict} from './judge.js';

/** A connection that a former generation left, and what is to become of it. */
export interface Left {
  readonly fd: number;
  readonly books: Books;
  readonly verdict: Verdict;
  /** The number of its record; -1: none is kept. */
  readonly record: number;
  /** What the program is to be given again, or is set aside; empty: nothing. */
  readonly held: Buffer;
  /** Records that the request which was being worked on is begun once more, alone or not. */
  countAttempt(alone: boolean): void;
  /** Records that it is no longer alone. */
  joined(): void;
}

export interface Inherited {
  readonly connections: Left[];
  readonly listeners: {fd: number; cookie: bigint}[];
  /** For native code: what no connection has. */
  readonly freeRecords: Uint32Array;
  readonly freeSlots: Uint32Array;
}

type Row = House['root']['exchanges'] extends Iterable<infer R> ? R : never;

function recordedOf(row: Row): Recorded {
  const {inBase, inSlot, attempts, flags} = row;
  return {inBase, inSlot, attempts, flags, now: row.progress.at(row.which === 1 ? 1 : 0)!};
}

function requestsIn(bytes: Uint8Array): HeldRequest[] {
  const numbers = native().exchangeScan(bytes);
  return Array.from({length: numbers.length / 2}, (_, at) => ({
    end: numbers[2 * at]!,
    flags: numbers[2 * at + 1]!,
  }));
}

/**
 * Looks at what a former generation left and decides; changes nothing yet but the records of connections that are
 * gone. A death in the middle leaves all to the next generation as it was.
 */
export function takeStock(house: House, fds: readonly number[], policy: Policy): Inherited {
  const {exchanges, slots} = house.root;
  const rows = [...exchanges];
  const numbers = new Map<bigint, number>();
  for (const [number, row] of rows.entries()) if (row.cookie !== 0n) numbers.set(row.cookie, number);
  const room = {size: SLOT_SIZE, count: SLOTS};

  const connections: Left[] = [];
  const listeners: {fd: number; cookie: bigint}[] = [];
  const usedRecords = new Set<number>();
  const usedSlots = new Set<number>();
  for (const fd of fds) {
    if (localAddress(fd)?.listening) {
      listeners.push({fd, cookie: native().socketCookie(fd)});
      continue;
    }
    const books = readBooks(fd);
    if (!books) {
      native().close(fd);
      continue;
    }
    const record = numbers.get(books.cookie) ?? -1;
    const recorded = record < 0 ? undefined : recordedOf(rows[record]!);
    let held: Buffer = Buffer.alloc(0);
    const verdict = judge(books, recorded, room, policy, () => {
      const {inSlot, inBase, now} = recorded!;
      const at = (inSlot - 1) * SLOT_SIZE - inBase;
      held = Buffer.from(slots.subarray(at + now.inDone, at + books.read)); // a copy: the slot goes on changing
      return requestsIn(held);
    });
    if (verdict.act === 'rerun') held = held.subarray(verdict.from);
    else if (verdict.act !== 'poison') held = Buffer.alloc(0);
    connections.push({
      fd,
      books,
      verdict,
      record,
      held,
      countAttempt(alone) {
        const row = rows[record]!;
        row.attempts = (row.attempts % ALONE) + 1 + (alone ? ALONE : 0);
      },
      joined() {
        rows[record]!.attempts %= ALONE;
      },
    });
    if (!recorded || verdict.act === 'close' || verdict.act === 'reset') continue;
    usedRecords.add(record);
    if (recorded.inSlot > 0) usedSlots.add(recorded.inSlot - 1);
    if (books.written < recorded.now.outPos) usedSlots.add(recorded.now.outSlot - 1);
  }
  const freeRecords = rows.flatMap((_, number) => (usedRecords.has(number) ? [] : [number]));
  for (const number of freeRecords) if (rows[number]!.cookie !== 0n) rows[number]!.cookie = 0n;
  const freeSlots = Array.from({length: SLOTS}, (_, slot) => slot).filter(slot => !usedSlots.has(slot));
  // Both are stacks, and the lowest are to be taken first: so few pages are touched.
  return {
    connections,
    listeners,
    freeRecords: Uint32Array.from(freeRecords.reverse()),
    freeSlots: Uint32Array.from(freeSlots.reverse()),
  };
}
