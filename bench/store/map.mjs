/**
 * A hash map of 100,000 string keys: gets of keys freshly made (as a server gets them out of its input) and of the same
 * string objects (whose hash a JS Map finds in them), of latin1 keys and of others; sets of keys that are there, and of
 * keys in place of others.
 *
 * Goal: a crash-safe map at the price of the JS Map. Making a fresh key is counted, and shown alone. No goal: integer keys.
 */
import {openLmdb} from './lmdb.mjs';
import {DRAW_MASK, draw, row} from './rows.mjs';
import {fresh, keys} from './texts.mjs';

const KEY_ALONE = 'making the key alone';
const LMDB_BATCH = 'lmdb, 1,000 in one transaction';

/** @typedef {import('./measured.mjs').Pass} Pass */
/** @typedef {{kind: string, fresh: boolean, wide: boolean, records: number, within: number}} Of */
/** @typedef {{get(key: string): {hits: number} | undefined}} Rows */
/** @typedef {{get(key: string): number | undefined, set(key: string, value: number): unknown, delete(key: string): unknown}} Counts */

/** The keys of a setting, and the way to one of them. @param {Of} of @param {() => number} random */
function keysOf({records, within, fresh: made, wide}, random) {
  const all = keys(random, records, wide);
  // A literal joined by + is a rope until its first use; these are flat, and their own string objects.
  const flat = fresh(all);
  const same = all.map((_, i) => flat(i));
  return {all: same, key: made ? flat : (/** @type {number} */ i) => same[i], order: draw(random, within)};
}

/** @param {Of} of @param {() => number} random @param {(all: string[]) => Rows} build @returns {Pass} */
function getting(of, random, build) {
  const {all, key, order} = keysOf(of, random);
  const map = build(all);
  let at = 0;
  return operations => {
    let sum = 0;
    const first = at;
    at += operations;
    for (let step = first, end = at; step < end; step++) sum += map.get(key(order[step & DRAW_MASK])).hits;
    return sum;
  };
}

/** @param {Of} of @param {() => number} random @param {(all: string[]) => Counts} build @returns {Pass} */
function putting(of, random, build) {
  const {all, key, order} = keysOf(of, random);
  const map = build(of.kind === 'put' ? all : all.slice(0, all.length / 2));
  let at = 0;
  if (of.kind === 'put')
    return operations => {
      const first = at;
      at += operations;
      for (let step = first, end = at; step < end; step++)
        map.set(key(order[step & DRAW_MASK]), step & 0xfffff);
      let sum = 0;
      for (let i = 0; i < 20; i++) sum += map.get(all[i]) ?? 0;
      return sum;
    };
  // Half of the keys are in the map: one of them makes room for one of the others, which it changes roles with.
  const half = all.length / 2;
  const place = Uint32Array.from(all.keys());
  return operations => {
    const first = at;
    at += operations;
    for (let step = first, end = at; step < end; step++) {
      const out = order[step & DRAW_MASK] % half;
      const into = half + (order[(step + 1) & DRAW_MASK] % half);
      map.delete(key(place[out]));
      map.set(key(place[into]), step & 0xfffff);
      [place[out], place[into]] = [place[into], place[out]];
    }
    let sum = 0;
    for (let i = 0; i < 20; i++) sum += map.get(all[place[i]]) ?? 0;
    return sum;
  };
}

/** @param {import('./measured.mjs').Setting} setting */
const of = setting => /** @type {Of} */ (/** @type {unknown} */ (setting));

/** @type {import('./measured.mjs').TimedCase} */
export default {
  title: 'a hash map of 100,000 string keys of 12 to 24 units',
  unit: 'ns per operation',
  baseline: 'JS Map',
  settings(small) {
    const records = small ? 60 : 100_000;
    const hot = small ? 20 : 1000;
    const all = [
      {name: 'get, fresh', kind: 'get', fresh: true, wide: false, within: records},
      {name: 'get, fresh, 1,000 of the keys', kind: 'get', fresh: true, wide: false, within: hot},
      {name: 'get, same', kind: 'get', fresh: false, wide: false, within: records},
      {name: 'get, same, 1,000 of the keys', kind: 'get', fresh: false, wide: false, within: hot},
      {name: 'get, fresh, not latin1', kind: 'get', fresh: true, wide: true, within: records},
      {name: 'get, same, not latin1', kind: 'get', fresh: false, wide: true, within: records},
      {name: 'put, fresh', kind: 'put', fresh: true, wide: false, within: records},
      {name: 'put, same', kind: 'put', fresh: false, wide: false, within: records},
      {name: 'delete + put', kind: 'churn', fresh: true, wide: false, within: records},
    ].map(each => ({...each, records}));
    return small ? all.filter(({name}) => !/^get, same|,000/.test(name)) : all;
  },
  bounds: [KEY_ALONE],
  leftOut: (setting, contender) =>
    (contender === KEY_ALONE && !of(setting).fresh) || (contender === LMDB_BATCH && setting.kind === 'get'),
  contenders: {
    async 'state-store'(setting, {random, name, defer}) {
      const {openStore, t} = await import('@zlr/state-store');
      const {Row} = await import('./schema.mjs');
      const store = await openStore({
        name,
        size: '64MB',
        schema: {rows: t.map(t.string(), Row), counts: t.map(t.string(), t.u32)},
      });
      defer(() => store.destroy());
      const {rows, counts} = store.root;
      if (setting.kind === 'get')
        return getting(of(setting), random, all => {
          for (const [i, key] of all.entries()) rows.set(key, row(i));
          return rows;
        });
      return putting(of(setting), random, all => {
        for (const [i, key] of all.entries()) counts.set(key, i);
        return counts;
      });
    },
    'JS Map'(setting, {random}) {
      if (setting.kind === 'get')
        return getting(of(setting), random, all => new Map(all.map((key, i) => [key, row(i)])));
      return putting(of(setting), random, all => new Map(all.map((key, i) => [key, i])));
    },
    async lmdb(setting, place) {
      const db = await openLmdb(place);
      const fill = (/** @type {string[]} */ all, /** @type {(i: number) => unknown} */ value) =>
        db.transactionSync(() => {
          for (const [i, key] of all.entries()) db.put(key, value(i));
        });
      if (setting.kind === 'get')
        return getting(of(setting), place.random, all => {
          fill(all, i => ({hits: i % 1000})); // only the one field: nothing else to decode
          return db;
        });
      return putting(of(setting), place.random, all => {
        fill(all, i => i);
        return {
          get: key => db.get(key),
          set: (key, value) => db.putSync(key, value),
          delete: key => db.removeSync(key),
        };
      });
    },
    async [LMDB_BATCH](setting, place) {
      const db = await openLmdb(place);
      const pass = putting(of(setting), place.random, all => {
        db.transactionSync(() => {
          for (const [i, key] of all.entries()) db.put(key, i);
        });
        return {
          get: key => db.get(key),
          set: (key, value) => db.put(key, value),
          delete: key => db.remove(key),
        };
      });
      return operations => {
        let sum = 0;
        for (let done = 0; done < operations; done += 1000)
          sum = db.transactionSync(() => pass(Math.min(1000, operations - done)));
        return sum;
      };
    },
    [KEY_ALONE](setting, {random}) {
      const {key, order} = keysOf(of(setting), random);
      let at = 0;
      return operations => {
        let sum = 0;
        const first = at;
        at += operations;
        for (let step = first, end = at; step < end; step++) sum += key(order[step & DRAW_MASK]).length;
        return sum;
      };
    },
  },
  goals: [
    ...['get, fresh', 'get, fresh, 1,000 of the keys', 'get, fresh, not latin1'].map(setting => ({
      text: `${setting}: no slower than JS Map`,
      setting,
      of: 'state-store',
      beside: 'JS Map',
      atMost: 1,
    })),
    ...[
      'get, same',
      'get, same, 1,000 of the keys',
      'get, same, not latin1',
      'put, fresh',
      'put, same',
      'delete + put',
    ].map(setting => ({
      text: `${setting}: at most 1.5 x JS Map`,
      setting,
      of: 'state-store',
      beside: 'JS Map',
      atMost: 1.5,
    })),
    ...['get, fresh', 'get, same', 'put, fresh', 'put, same'].map(setting => ({
      text: `${setting}: at least 8 x faster than lmdb`,
      setting,
      of: 'state-store',
      beside: setting.startsWith('put') ? LMDB_BATCH : 'lmdb',
      atMost: 1 / 8,
    })),
  ],
};
