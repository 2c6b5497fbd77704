import {Checker} from '../segment/check.js';
import {type Engine, OWNER} from '../segment/engine.js';
import {at} from '../segment/header.js';
import {CELL} from '../segment/memory.js';
import type {Live} from './record.js';
import {type Access, type Captures, refuse, Type, type TypeDescription} from './type.js';

/**
 * A pointer as C has it, to something in the segment: for records that native code of the writing process follows without
 * a detour. JavaScript sees the byte offset in `store.memory`, or null. When the segment lies elsewhere the next time, every
 * address is moved by the difference, in one transaction, before anybody sees it.
 */
export class AddressType extends Type<number | null, number | object | null, number | null> {
  override readonly kind = 'address';
  override readonly size = 8;
  override readonly align = 8;
  override readonly single = true;
  override describe(): TypeDescription {
    return {kind: 'address', size: 8};
  }
  override optional(): AddressType {
    return this;
  }
  override access(byte: number, path: string, captures: Captures): Access {
    const {engine} = captures;
    const place = `U64[${captures.element(8, byte)}]`;
    const expected = 'a byte offset in store.memory, a live record of this store, or null';
    const read = captures.add((address: bigint) => (address === 0n ? null : Number(address - engine.base())));
    const address = captures.add((v: unknown) => {
      if (v === null || v === undefined) return 0n;
      const offset =
        typeof v === 'object' && OWNER in v && engine.slotsOf(v) ? (v as unknown as Live).$c * CELL : v;
      if (
        typeof offset !== 'number' ||
        !Number.isSafeInteger(offset) ||
        offset < 0 ||
        offset >= engine.memory.byteLength
      )
        refuse(path, expected, v);
      return engine.base() + BigInt(offset);
    });
    return {get: `${read}(${place})`, check: `v=${address}(v);`, set: `${place}=v;`};
  }
  override verify(checker: Checker, cell: number, byte: number, path: string): void {
    checker.address(cell + byte / CELL, path);
  }
}

/** Finds every address in a store by the walk that check() takes. */
class AddressFinder extends Checker {
  readonly cells: number[] = [];
  override address(cell: number): void {
    if (this.engine.memory.u64[cell] !== 0n) this.cells.push(cell);
  }
}

/** After the segment was attached at `base`: moves all addresses by the difference to where they held true. */
export function rebase(engine: Engine, base: bigint, walk: (checker: Checker) => void): number {
  const {memory, log} = engine;
  const before = memory.u64[at.base / CELL]!;
  if (before === base) return 0;
  const finder = new AddressFinder(engine);
  walk(finder);
  engine.transact(() => {
    for (const cell of finder.cells) {
      log.save(cell);
      memory.u64[cell] = memory.u64[cell]! - before + base;
    }
    log.save(at.base / CELL);
    memory.u64[at.base / CELL] = base;
  });
  return finder.cells.length;
}

export function describesAddress(type: TypeDescription): boolean {
  return (
    type.kind === 'address' ||
    (type.of ?? []).some(describesAddress) ||
    (type.fields ?? []).some(field => describesAddress(field.type))
  );
}
