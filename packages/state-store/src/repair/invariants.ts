import {types} from 'node:util';
import {isSlotted, type Slotted} from '../collections/collection.js';
import {StoreError} from '../errors.js';
import type {Engine} from '../segment/engine.js';
import type {Ledger, SetAside} from './ledger.js';
import {entryOfSlot} from './set-aside.js';

/**
 * Runs the structs' own validate over every record in a slot, and sets aside what it refuses. One that is set aside leaves
 * null in the refs that named it, so all are looked at again until nothing is refused: afterwards every record holds.
 */
export function examine(engine: Engine, ledger: Ledger, collections: Iterable<unknown>): SetAside[] {
  const guarded = [...collections].filter(isSlotted).filter(({slots}) => slots.struct?.validate);
  const setAside: SetAside[] = [];
  for (;;) {
    const before = setAside.length;
    for (const collection of guarded)
      for (const [slot, generation] of suspects(engine, collection)) {
        const entry = engine.transact(() => {
          // Beside other writers the first look may have seen half a transaction; now the lock is ours.
          if (collection.slots.generation(slot) !== generation) return undefined;
          const reason = engine.look(() => refusal(collection, slot));
          if (reason === undefined) return undefined;
          const entry = entryOfSlot(collection, slot, reason);
          ledger.add(entry);
          collection.removeSlot(slot);
          return entry;
        });
        if (entry) setAside.push(entry);
      }
    if (setAside.length === before) return setAside;
  }
}

/** Slots and generations of the records that are refused. */
function suspects(engine: Engine, collection: Slotted): [number, number][] {
  const {slots} = collection;
  const found: [number, number][] = [];
  engine.look(() => {
    for (let slot = 0; slot < slots.used; slot++)
      if (slots.isLive(slot) && refusal(collection, slot) !== undefined)
        found.push([slot, slots.generation(slot)]);
  });
  return found;
}

/** Why a record is refused, or undefined. */
function refusal({slots}: Slotted, slot: number): string | undefined {
  const record = slots.record(slot, slots.generation(slot));
  if (record === undefined) return undefined;
  const struct = slots.struct!;
  let result: unknown;
  try {
    result = struct.validate!(record as never);
  } catch (cause) {
    // Damage is no business of users: what a record names is nobody's to free then.
    if (cause instanceof StoreError && cause.code === 'ERR_CORRUPT') throw cause;
    return types.isNativeError(cause) || cause instanceof Error ? cause.message : String(cause);
  }
  if (typeof (result as {then?: unknown} | undefined)?.then === 'function')
    throw new StoreError(
      'ERR_SCHEMA',
      `validate of struct '${struct.name}' returned a promise: it must throw before it returns to refuse a record.`,
    );
  return undefined;
}
