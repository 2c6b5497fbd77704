import {StoreError} from '../errors.js';
import type {Checker} from '../segment/check.js';
import type {Engine} from '../segment/engine.js';
import {at} from '../segment/header.js';
import {USED} from '../segment/heap.js';
import {CELL} from '../segment/memory.js';

/*
 * The ledger of what was set aside: values that failed a check are out of their collections, but not lost.
 *
 *   header.quarantine:    u32 payload cell of the newest entry, or 0 | u32 entries
 *   entry, a heap block:  u32 payload cell of the entry before it, or 0 | u32 bytes of the text
 *                         the text: JSON in UTF-8, see SetAside
 *
 * An entry tells everything by itself, in no schema's terms: it outlives the schema, the slots and the segment it came from.
 */
const HEAD = at.quarantine / CELL; // cell

/** A value that was set aside, as plain data. */
export interface SetAside {
  /** Its field at the root. */
  collection: string;
  /** Of a table the $id, of a list the id, of maps that of the slot; of a vector the index, of a ring the place; else null. */
  id: number | null;
  /** In a map or a sorted map. */
  key?: unknown;
  /** When, ISO 8601. */
  at: string;
  /** What the check said that refused it, or what is damaged. */
  reason: string;
  /** As much as could be read; bigints as text, bytes in base64, {unreadable} for what could not. */
  value: unknown;
  /** The cells it lay in, in base64. */
  raw: string;
}

interface Block {
  payload: number;
  next: number;
  text: string;
}

export class Ledger {
  constructor(private readonly engine: Engine) {}

  get size(): number {
    return this.engine.memory.u32[HEAD * 2 + 1]!;
  }

  /** In the order in which they were set aside. */
  entries(): SetAside[] {
    return [...this.blocks()].map(({text}) => JSON.parse(text) as SetAside).reverse();
  }

  /** Part of a transaction. */
  add(entry: SetAside): void {
    const {memory, heap} = this.engine;
    const text = Buffer.from(JSON.stringify(entry));
    const payload = heap.alloc(CELL + text.length);
    memory.u32[payload * 2] = memory.u32[HEAD * 2]!;
    memory.u32[payload * 2 + 1] = text.length;
    memory.u8.set(text, (payload + 1) * CELL);
    this.point(payload, this.size + 1);
  }

  /** Part of a transaction. False when there is no such entry. */
  remove(entry: SetAside): boolean {
    const {memory, log, heap} = this.engine;
    const wanted = JSON.stringify(entry);
    let before = 0;
    for (const {payload, next, text} of this.blocks()) {
      if (text === wanted) {
        if (before !== 0) {
          log.save(before);
          memory.u32[before * 2] = next;
        }
        this.point(before === 0 ? next : memory.u32[HEAD * 2]!, this.size - 1);
        heap.free(payload);
        return true;
      }
      before = payload;
    }
    return false;
  }

  verify(checker: Checker): void {
    const seen = new Set<number>();
    for (let payload = this.engine.memory.u32[HEAD * 2]!; payload !== 0; ) {
      const block = seen.has(payload) ? undefined : this.read(payload);
      if (block === undefined || !checker.block(payload, this.bytes(payload), 'quarantine')) {
        checker.problem(
          'quarantine',
          `its chain names cell ${payload}, which is no entry, or runs in a circle`,
        );
        return;
      }
      seen.add(payload);
      payload = block.next;
    }
    if (seen.size !== this.size)
      checker.problem('quarantine', `${seen.size} entries in its chain, the header says ${this.size}`);
  }

  /** Ends the chain where it leads to no entry. Part of a transaction. */
  mend(): void {
    const {memory, log} = this.engine;
    let last = 0;
    let size = 0;
    const seen = new Set<number>();
    for (let payload = memory.u32[HEAD * 2]!; !seen.has(payload); payload = memory.u32[payload * 2]!) {
      if (payload === 0 || this.read(payload) === undefined) break;
      seen.add(payload);
      last = payload;
      size++;
    }
    if (last !== 0) {
      log.save(last);
      memory.u32[last * 2] = 0;
    }
    this.point(last === 0 ? 0 : memory.u32[HEAD * 2]!, size);
  }

  /** Takes in a block that nobody owns, if it is an entry. */
  adopt(payload: number): boolean {
    if (this.read(payload) === undefined) return false;
    const {engine} = this;
    engine.transact(() => {
      engine.log.save(payload);
      engine.memory.u32[payload * 2] = engine.memory.u32[HEAD * 2]!;
      this.point(payload, this.size + 1);
    });
    return true;
  }

  /** Newest first. Believes nothing and always ends. */
  private *blocks(): IterableIterator<Block> {
    const seen = new Set<number>();
    for (let payload = this.engine.memory.u32[HEAD * 2]!; payload !== 0; ) {
      const block = seen.has(payload) ? undefined : this.read(payload);
      if (block === undefined)
        throw new StoreError(
          'ERR_CORRUPT',
          `${this.engine.where}: the chain of what was set aside names cell ${payload}, which is no entry; run check().`,
        );
      seen.add(payload);
      yield block;
      payload = block.next;
    }
  }

  private bytes(payload: number): number {
    return CELL + this.engine.memory.u32[payload * 2 + 1]!;
  }

  private read(payload: number): Block | undefined {
    const {memory, heap} = this.engine;
    const {u32} = memory;
    const block = payload - 1;
    if (!(block >= heap.start && block < heap.top) || u32[block * 2 + 1] !== USED) return undefined;
    const room = Math.min(u32[block * 2]! - 1, heap.top - payload) * CELL;
    if (this.bytes(payload) > room) return undefined;
    const text = memory.buffer.toString('utf8', (payload + 1) * CELL, payload * CELL + this.bytes(payload));
    return isEntry(text) ? {payload, next: u32[payload * 2]!, text} : undefined;
  }

  private point(payload: number, size: number): void {
    const {memory, log} = this.engine;
    log.save(HEAD);
    memory.u32[HEAD * 2] = payload;
    memory.u32[HEAD * 2 + 1] = size;
  }
}

function isEntry(text: string): boolean {
  try {
    const entry = JSON.parse(text) as Partial<SetAside> | null;
    return typeof entry?.collection === 'string' && typeof entry.reason === 'string';
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}
