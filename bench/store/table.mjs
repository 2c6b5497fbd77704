/**
 * Removes a random record and inserts a new one with all its ten fields, 100,000 being live all the time.
 *
 * Goal: what a record costs from its making to its end, crash-safe, beside a plain object that an array drops for a new
 * one. Garbage collection counts: it runs meanwhile. No goal: records with strings (see churn).
 */
import {openLmdb} from './lmdb.mjs';
import {DRAW_MASK, draw, row, rowObjects} from './rows.mjs';

const BATCH = 1000;

/** @param {Uint32Array} order @param {(i: number, next: number) => number} exchange @returns {import('./measured.mjs').Pass} */
function exchanging(order, exchange) {
  let at = 0;
  return operations => {
    let sum = 0;
    const first = at;
    at += operations;
    for (let step = first, end = at; step < end; step++)
      sum += exchange(order[step & DRAW_MASK], step & 0xfffff);
    return sum;
  };
}

/** @type {import('./measured.mjs').TimedCase} */
export default {
  title: 'a record removed and another inserted, among 100,000',
  unit: 'ns for both',
  baseline: 'plain objects in an Array',
  settings: small => [{name: '100,000 live', records: small ? 50 : 100_000}],
  contenders: {
    async 'state-store, each its own transaction'({records}, place) {
      const {openRows} = await import('./schema.mjs');
      const {rows, kept} = await openRows(place, records);
      return exchanging(draw(place.random, records), (i, next) => {
        const {hits} = kept[i];
        rows.remove(kept[i]);
        kept[i] = rows.insert(row(next));
        return hits;
      });
    },
    async 'state-store, ids kept'({records}, place) {
      const {openRows} = await import('./schema.mjs');
      const {rows, ids} = await openRows(place, records);
      return exchanging(draw(place.random, records), (i, next) => {
        const {hits} = rows.get(ids[i]);
        rows.remove(ids[i]);
        ids[i] = rows.insert(row(next)).$id;
        return hits;
      });
    },
    async 'state-store, both in one transaction'({records}, place) {
      const {openRows} = await import('./schema.mjs');
      const {store, rows, kept} = await openRows(place, records);
      return exchanging(draw(place.random, records), (i, next) =>
        store.transaction(() => {
          const {hits} = kept[i];
          rows.remove(kept[i]);
          kept[i] = rows.insert(row(next));
          return hits;
        }),
      );
    },
    'plain objects in an Array'({records}, {random}) {
      const rows = rowObjects(records);
      return exchanging(draw(random, records), (i, next) => {
        const {hits} = rows[i];
        rows[i] = row(next);
        return hits;
      });
    },
    'plain objects in a Map'({records}, {random}) {
      const rows = new Map(rowObjects(records).map((each, i) => [i, each]));
      return exchanging(draw(random, records), (i, next) => {
        const {hits} = rows.get(i);
        rows.delete(i);
        rows.set(i, row(next));
        return hits;
      });
    },
    async [`lmdb, ${BATCH} pairs in a transaction`]({records}, place) {
      const db = await openLmdb(place);
      db.transactionSync(() => {
        for (let i = 0; i < records; i++) db.put(i, row(i));
      });
      const pass = exchanging(draw(place.random, records), (i, next) => {
        const {hits} = db.get(i);
        db.remove(i);
        db.put(i, row(next));
        return hits;
      });
      return operations => {
        let sum = 0;
        for (let done = 0; done < operations; done += BATCH)
          sum += db.transactionSync(() => pass(Math.min(BATCH, operations - done)));
        return sum;
      };
    },
  },
  goals: [
    {
      text: 'at least 3 x faster than plain objects in an array',
      setting: '100,000 live',
      of: 'state-store, each its own transaction',
      beside: 'plain objects in an Array',
      atMost: 1 / 3,
    },
  ],
};
