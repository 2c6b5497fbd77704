import type {Backing} from '../backends/backing.js';
import {parseSize} from '../backends/size.js';
import {CollectionType} from '../collections/collection.js';
import {type Ancestor, encodeSchema, fingerprintOf} from '../declaration/schema-blob.js';
import {StoreError} from '../errors.js';
import type {Fields} from '../schema/record.js';
import type {Struct} from '../schema/struct.js';
import type {Builder} from '../segment/builder.js';
import {beginHeader, HEADER_BYTES, type Plan, writeHeader} from '../segment/header.js';
import {LEAST_LOG_CELLS} from '../segment/log-ring.js';
import {CELL, type Memory} from '../segment/memory.js';

const fingerprints = new WeakMap<Struct<Fields>, Buffer>();

export function fingerprint(root: Struct<Fields>): Buffer {
  const known = fingerprints.get(root);
  if (known) return known;
  const made = fingerprintOf(root.describe());
  fingerprints.set(root, made);
  return made;
}

/** A default log holds 65,536 cells: half a megabyte changed by one transaction. */
const DEFAULT_LOG_BYTES = 2 ** 16 * 12;

/** Lays out an empty store in a segment; nobody takes it for one before `publish`. */
export function build(
  memory: Memory,
  backing: Backing,
  name: string,
  root: Struct<Fields>,
  logSize: number | string | undefined,
  lineage: readonly Ancestor[] = [],
): Plan {
  const size = memory.byteLength;
  const description = encodeSchema(root.describe(), lineage);
  const logBytes =
    logSize === undefined
      ? Math.min(Math.max(size / 16, 2 ** 14), DEFAULT_LOG_BYTES)
      : parseSize(logSize, 'logSize');
  const logCells = Math.max(Math.floor(logBytes / CELL), LEAST_LOG_CELLS);
  const logCell = HEADER_BYTES / CELL;
  const schemaCell = logCell + logCells;
  const rootCell = roundUp(schemaCell + Math.ceil(description.length / CELL), 64 / CELL);
  const rootCells = root.size / CELL;
  const heapEnd = size / CELL;
  if (rootCell + rootCells > heapEnd)
    tooSmall(size, (rootCell + rootCells) * CELL, 'its header, undo log and root');
  beginHeader(memory);
  // A maker that died half-way may have left anything behind the header.
  if (!backing.created) memory.u8.fill(0, HEADER_BYTES);
  memory.u8.set(description, schemaCell * CELL);
  const plan: Plan = {
    name,
    size,
    fingerprint: fingerprint(root),
    logCell,
    logCells,
    schemaCell,
    schemaBytes: description.length,
    rootCell,
    rootCells,
    heapCell: rootCell + rootCells,
    heapEnd,
  };
  let number = 0;
  const builder: Builder = {
    memory,
    nextNumber() {
      if (++number > 63)
        throw new StoreError('ERR_SCHEMA', 'a store has at most 63 tables, maps, lists and sorted maps.');
      return number;
    },
    reserve(cells, what, align = CELL) {
      const cell = roundUp(plan.heapCell, align / CELL);
      if (cell + cells > heapEnd) tooSmall(size, (cell + cells) * CELL, what);
      plan.heapCell = cell + cells;
      return cell;
    },
  };
  for (const {type, offset} of root.placed)
    if (type instanceof CollectionType) type.build(builder, rootCell + offset / CELL);
  writeHeader(memory, plan);
  return plan;
}

function tooSmall(size: number, needed: number, what: string): never {
  throw new StoreError(
    'ERR_FULL',
    `size: ${size} bytes are too few, ${what} alone reach to byte ${needed}; open the store with a larger size.`,
  );
}

function roundUp(n: number, multiple: number): number {
  return Math.ceil(n / multiple) * multiple;
}
