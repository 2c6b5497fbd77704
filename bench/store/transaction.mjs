/**
 * Changes four fields of a random record, which lie in four different cells, as one transaction.
 *
 * Goal: what it costs that all four are written or none, whatever kills the process. lmdb writes to a tmpfs and syncs
 * nothing: it promises no more than that either, and nothing is cheaper for it. No goal: durability beyond the machine.
 */
import {openLmdb} from './lmdb.mjs';
import {DRAW_MASK, draw, row, rowObjects} from './rows.mjs';

/** @typedef {import('./measured.mjs').Pass} Pass */
/** @typedef {import('./rows.mjs').Row} Row */

/** @param {{hits: number, balance: number, bytes: number, score: number}} record */
function change(record) {
  const {hits} = record;
  record.hits = (hits + 1) & 0xffffff;
  record.balance = record.balance * 0.5 + 1;
  record.bytes = record.bytes + 100;
  record.score = record.score + 0.5;
  return hits;
}

/** @param {Uint32Array} order @param {(i: number) => number} transact @returns {Pass} */
function passing(order, transact) {
  let at = 0;
  return operations => {
    let sum = 0;
    const first = at;
    at += operations;
    for (let step = first, end = at; step < end; step++) sum += transact(order[step & DRAW_MASK]);
    return sum;
  };
}

/** @type {import('./measured.mjs').TimedCase} */
export default {
  title: 'a transaction of four fields of a random record',
  unit: 'ns per transaction',
  baseline: 'plain objects, copied before',
  settings: small => [
    {name: 'hot', records: small ? 20 : 1000},
    {name: 'cold', records: small ? 50 : 100_000},
  ],
  contenders: {
    async 'state-store, transaction'({records}, place) {
      const {openRows} = await import('./schema.mjs');
      const {store, kept} = await openRows(place, records);
      const order = draw(place.random, records);
      return passing(order, i => store.transaction(() => change(kept[i])));
    },
    async 'state-store, four single writes'({records}, place) {
      const {openRows} = await import('./schema.mjs');
      const {kept} = await openRows(place, records);
      return passing(draw(place.random, records), i => change(kept[i]));
    },
    'plain objects, four single writes'({records}, {random}) {
      const rows = rowObjects(records);
      return passing(draw(random, records), i => change(rows[i]));
    },
    'plain objects, copied before'({records}, {random}) {
      const rows = rowObjects(records);
      return passing(draw(random, records), i => {
        const changed = {...rows[i]};
        const result = change(changed);
        rows[i] = changed;
        return result;
      });
    },
    async 'lmdb transactionSync, objects'({records}, place) {
      const db = await openLmdb(place);
      db.transactionSync(() => {
        for (let i = 0; i < records; i++) db.put(i, row(i));
      });
      return passing(draw(place.random, records), i =>
        db.transactionSync(() => {
          const record = db.get(i);
          const result = change(record);
          db.put(i, record);
          return result;
        }),
      );
    },
    async 'lmdb transactionSync, 64 bytes'({records}, place) {
      const db = await openLmdb(place, {encoding: 'binary'});
      const {rowBytes} = await import('./rows.mjs');
      const bytes = Buffer.from(rowBytes(records));
      db.transactionSync(() => {
        for (let i = 0; i < records; i++) db.put(i, bytes.subarray(i * 64, i * 64 + 64));
      });
      const copy = Buffer.alloc(64);
      const view = new DataView(copy.buffer, copy.byteOffset, 64);
      return passing(draw(place.random, records), i =>
        db.transactionSync(() => {
          copy.set(db.getBinaryFast(i).subarray(0, 64)); // its own length is that of a shared buffer
          const hits = view.getUint32(0, true);
          view.setUint32(0, (hits + 1) & 0xffffff, true);
          view.setFloat64(8, view.getFloat64(8, true) * 0.5 + 1, true);
          view.setUint32(16, view.getUint32(16, true) + 100, true);
          view.setFloat64(32, view.getFloat64(32, true) + 0.5, true);
          db.put(i, copy);
          return hits;
        }),
      );
    },
  },
  goals: [
    {text: 'hot: at most 150 ns', setting: 'hot', of: 'state-store, transaction', atMost: 150},
    ...['hot', 'cold'].map(setting => ({
      text: `${setting}: at least 50 x faster than lmdb's transactionSync`,
      setting,
      of: 'state-store, transaction',
      beside: 'lmdb transactionSync, 64 bytes',
      atMost: 1 / 50,
    })),
  ],
};
