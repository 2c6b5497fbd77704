// Fills one contender with records and says how much memory that takes.
import {statSync} from 'node:fs';
import {join} from 'node:path';
import {openLmdb} from './lmdb.mjs';
import {row, rowBytes, rowObjects} from './rows.mjs';
import {segmentBytes} from './segment.mjs';

/** @type {{kind: string, records: number, folder: string}} */
const {kind, records, folder} = JSON.parse(process.argv[2] ?? '{}');
/** @type {(() => unknown)[]} */
const undo = [];
const place = {folder, defer: (/** @type {() => unknown} */ step) => void undo.push(step)};

function heap() {
  globalThis.gc?.();
  const {heapUsed, external} = process.memoryUsage();
  return heapUsed + external;
}

/** @param {Iterable<{hits: number}>} all */
function sum(all) {
  let result = 0;
  for (const {hits} of all) result += hits;
  return result;
}

/** @template T @param {() => T} build @param {(built: T) => number} check */
function onHeap(build, check) {
  const before = heap();
  const built = build();
  return {bytes: heap() - before, checksum: check(built)};
}

/** @param {object} tableOptions @param {object} storeOptions */
async function inStore(tableOptions, storeOptions) {
  const {openStore, t} = await import('@zlr/state-store');
  const {Row} = await import('./schema.mjs');
  const store = await openStore({
    name: `bench-${process.pid}`,
    size: records * 160 + 2 ** 22,
    schema: {rows: t.table(Row, tableOptions)},
    ...storeOptions,
  });
  undo.push(() => store.destroy());
  for (let i = 0; i < records; i++) store.root.rows.insert(row(i));
  return {bytes: segmentBytes(process.pid), checksum: sum(store.root.rows)};
}

/** @param {object} options @param {(i: number) => unknown} value @param {(value: any) => {hits: number}} read */
async function inLmdb(options, value, read) {
  const db = await openLmdb(place, options);
  db.transactionSync(() => {
    for (let i = 0; i < records; i++) db.put(i, value(i));
  });
  const {blocks} = statSync(join(folder, 'data.mdb'));
  return {
    bytes: blocks * 512,
    checksum: sum(db.getRange().map((/** @type {any} */ each) => read(each.value))),
  };
}

/** @type {Record<string, () => {bytes: number, checksum: number} | Promise<{bytes: number, checksum: number}>>} */
const KINDS = {
  raw() {
    const words = new Uint32Array(rowBytes(records));
    return {
      bytes: words.byteLength,
      checksum: sum(Array.from({length: records}, (_, i) => ({hits: words[i * 16]}))),
    };
  },
  store: () => inStore({capacity: records}, {logSize: '64KB'}),
  growing: () => inStore({}, {}),
  objects: () => onHeap(() => rowObjects(records), sum),
  map: () =>
    onHeap(
      () => new Map(rowObjects(records).map((each, i) => [i, each])),
      map => sum(map.values()),
    ),
  lmdb: () => inLmdb({}, row, value => value),
  'lmdb-bytes': () => {
    const bytes = Buffer.from(rowBytes(records));
    return inLmdb(
      {encoding: 'binary'},
      i => bytes.subarray(i * 64, i * 64 + 64),
      value => ({hits: value.readUInt32LE(0)}),
    );
  },
};

const result = await KINDS[kind]();
for (const step of undo.reverse()) await step();
console.log(JSON.stringify(result));
