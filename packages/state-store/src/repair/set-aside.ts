import {types} from 'node:util';
import type {Rowed, Slotted} from '../collections/collection.js';
import type {Placed} from '../schema/record.js';
import {Struct} from '../schema/struct.js';
import type {AnyType} from '../schema/type.js';
import type {Engine} from '../segment/engine.js';
import {CELL, type Memory} from '../segment/memory.js';
import type {SetAside} from './ledger.js';

/** The entry for what lies in a slot. Reads only. */
export function entryOfSlot(collection: Slotted, slot: number, reason: string): SetAside {
  const {slots} = collection;
  return {
    collection: slots.path,
    id: slots.idOf(slot, slots.generation(slot)),
    ...(collection.keyAt ? {key: readable(() => collection.keyAt?.(slot))} : {}),
    at: new Date().toISOString(),
    reason,
    value: salvage(collection.valueType, () => collection.valueAt(slot)),
    raw: rawCells(slots.engine.memory, slots.cell(slot), slots.stride),
  };
}

/** The entry for what lies in one place of a row. */
export function entryOfPlace(collection: Rowed, place: number, reason: string): SetAside {
  const {cell, cells} = collection.where(place);
  return {
    collection: collection.path,
    id: place,
    at: new Date().toISOString(),
    reason,
    value: salvage(collection.type, () => collection.valueIn(place)),
    raw: rawCells(collection.engine.memory, cell, cells),
  };
}

/** The entry for all that lies in a row, whose head is damaged: its values lie nowhere that can be told. */
export function entryOfRow(collection: Rowed, reason: string): SetAside {
  const {path, engine} = collection;
  return {
    collection: path,
    id: null,
    at: new Date().toISOString(),
    reason,
    // As many as the segment could hold: the length is not to be believed either.
    value: Array.from(
      {length: Math.min(collection.filled, Math.floor(engine.memory.byteLength / collection.type.size))},
      (_, place) => salvage(collection.type, () => collection.valueIn(place)),
    ),
    raw: rawCells(engine.memory, collection.head, collection.headCells),
  };
}

/** The entry for a field of the root that is no collection. */
export function entryOfField(
  {memory, header: {rootCell}}: Engine,
  root: Record<string, unknown>,
  {name, type, offset}: Placed,
  reason: string,
): SetAside {
  const cell = rootCell + Math.floor(offset / CELL);
  return {
    collection: name,
    id: null,
    at: new Date().toISOString(),
    reason,
    value: salvage(type, () => root[name]),
    raw: rawCells(memory, cell, rootCell + Math.ceil((offset + type.size) / CELL) - cell),
  };
}

function rawCells({buffer}: Memory, cell: number, cells: number): string {
  return buffer.toString('base64', cell * CELL, (cell + cells) * CELL);
}

/** As much of a value as can be read: one damaged field does not cost the others. */
export function salvage(type: AnyType, read: () => unknown): unknown {
  if (!(type instanceof Struct)) return readable(() => type.plain(read()));
  const record = read() as Record<string, unknown>;
  return Object.fromEntries(
    type.placed.map(({name, type: field}) => [name, readable(() => field.plain(record[name]))]),
  );
}

/** Damaged content may throw anything, generated code of users included; its cells are kept all the same. */
function readable(read: () => unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(read(), plainly) ?? 'null');
  } catch (error) {
    return {unreadable: (error as Error).message};
  }
}

function plainly(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  return types.isUint8Array(value) ? Buffer.from(value).toString('base64') : value;
}
