// One process in the life of a store that is opened: it builds it, is killed in a transaction, or opens it.
import {closeSync, openSync, readFileSync, writeFileSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import {deserialize, serialize} from 'node:v8';
import {openLmdb} from './lmdb.mjs';
import {rowObjects} from './rows.mjs';

/** Records that the interrupted transaction changes, adds and removes, each. */
const TOUCHED = 100;

/** @type {{role: 'build' | 'crash' | 'open' | 'destroy', kind: 'store' | 'lmdb' | 'json' | 'v8', records: number, name: string, folder: string, first?: boolean, all?: boolean}} */
const job = JSON.parse(process.argv[2] ?? '{}');
const {role, kind, records, name, folder} = job;
const file = join(folder, kind);
/** @type {(() => unknown)[]} */
const undo = [];
const place = {folder: file, defer: (/** @type {() => unknown} */ step) => void undo.push(step)};
const die = () => process.kill(process.pid, 'SIGKILL');

async function loadStore() {
  const {openStore, t} = await import('@zlr/state-store');
  const {Row} = await import('./schema.mjs');
  const schema = {rows: t.table(Row)};
  const size = records * 160 + 2 ** 22;
  return {
    open: () => openStore({name, size, schema}),
    openAnother: () => openStore({name: `${name}-another`, size: 2 ** 20, schema}),
  };
}

const WORK = {
  async build() {
    const all = rowObjects(records);
    if (kind === 'store') {
      const store = await (await loadStore()).open();
      for (const each of all) store.root.rows.insert(each);
      store.close();
    } else if (kind === 'lmdb') {
      const db = await openLmdb(place);
      db.transactionSync(() => {
        for (const [i, each] of all.entries()) db.put(i, each);
      });
    } else if (kind === 'json') writeJson(all);
    else writeFileSync(file, serialize(all));
  },

  async crash() {
    if (kind === 'store') {
      const store = await (await loadStore()).open();
      const {rows} = store.root;
      const all = [...rows].slice(0, TOUCHED * 2);
      store.transaction(() => {
        for (const each of all.slice(0, TOUCHED)) each.hits = 4_000_000_000;
        for (const each of all.slice(TOUCHED)) rows.remove(each);
        for (let i = 0; i < TOUCHED; i++) rows.insert({hits: 3_000_000_000});
        die();
      });
    } else {
      const db = await openLmdb(place);
      db.transactionSync(() => {
        for (let i = 0; i < TOUCHED; i++) db.put(i, {...db.get(i), hits: 4_000_000_000});
        for (let i = 0; i < TOUCHED; i++) db.remove(TOUCHED + i);
        for (let i = 0; i < TOUCHED; i++) db.put(records + i, {hits: 3_000_000_000});
        die();
      });
    }
  },

  async open() {
    const {open, prepare} = await opener();
    await prepare?.();
    globalThis.gc?.();
    const before = process.memoryUsage().rss;
    const start = performance.now();
    const cpu = process.cpuUsage();
    const spent = () => {
      const {user, system} = process.cpuUsage(cpu);
      return (user + system) / 1000;
    };
    const {first, all, recovered} = await open();
    let checksum = first();
    const openMs = spent();
    const clockMs = performance.now() - start;
    for (const each of all()) checksum += each.hits;
    const allMs = spent();
    const residentMB = (process.memoryUsage().rss - before) / 2 ** 20;
    const cells = recovered?.() ?? 0;
    console.log(JSON.stringify({openMs, clockMs, allMs, recovered: cells, residentMB, checksum}));
  },

  async destroy() {
    (await (await loadStore()).open()).destroy();
  },
};

/**
 * @typedef {{first: () => number, all: () => Iterable<{hits: number}>, recovered?: () => number}} Open
 * @returns {Promise<{open: () => Open | Promise<Open>, prepare?: () => Promise<void>}>}
 */
async function opener() {
  if (kind === 'store') {
    const {open, openAnother} = await loadStore();
    return {
      async open() {
        const store = await open();
        undo.push(() => store.close());
        const {rows} = store.root;
        return {
          first: () => rows.get(0)?.hits ?? 0,
          all: () => rows,
          recovered: () => store.info().recovered,
        };
      },
      // The native module is loaded by the first open.
      ...(job.first === true ? {} : {prepare: async () => (await openAnother()).destroy()}),
    };
  }
  if (kind === 'lmdb') {
    await import('lmdb');
    return {
      async open() {
        const db = await openLmdb(place);
        const read = () => [...db.getRange().map((/** @type {any} */ each) => each.value)];
        const loaded = job.all === true ? read() : undefined;
        return {first: () => (loaded?.[0] ?? db.get(0)).hits, all: () => loaded ?? read()};
      },
    };
  }
  const read =
    kind === 'json' ? () => JSON.parse(readFileSync(file, 'utf8')) : () => deserialize(readFileSync(file));
  return {
    open() {
      const all = read();
      return {first: () => all[0].hits, all: () => all};
    },
  };
}

/** Row by row: a string of all would be near the longest there can be. @param {object[]} all */
function writeJson(all) {
  const to = openSync(file, 'w');
  for (let from = 0; from < all.length; from += 10_000) {
    const text = JSON.stringify(all.slice(from, from + 10_000)).slice(1, -1);
    writeSync(to, `${from === 0 ? '[' : ','}${text}`);
  }
  writeSync(to, ']');
  closeSync(to);
}

await WORK[role]();
for (const step of undo.reverse()) await step();
