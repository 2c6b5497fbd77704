/**
 * Reads and writes a u32 and an f64 of random records.
 *
 * Goal: what a property of a live record costs, its check for a removed record included, beside a plain object's, when
 * all is in the cache (hot) and when it is not (cold). No goal: how peers do with other types or layouts of records.
 */

import {flatbuffersRows, objectbufferRows, structuraeRows, typedStructRows} from './peers.mjs';
import {BALANCE, DRAW_MASK, draw, HITS, ROW_BYTES, rowBytes, rowObjects} from './rows.mjs';

/** @typedef {import('./measured.mjs').TimedCase} TimedCase */

const END_EVERY = 100;

/**
 * @param {Uint32Array} order
 * @param {ArrayLike<{hits: number, balance: number}>} records
 * @returns {(operations: number, before?: number) => number}
 */
function overProperties(order, records) {
  let at = 0;
  return (operations, before = 0) => {
    let sum = before;
    const first = at;
    at += operations;
    for (let step = first, end = at; step < end; step++) {
      const record = records[order[step & DRAW_MASK]];
      const {hits} = record;
      record.hits = (hits + 1) & 0xffffff;
      const {balance} = record;
      record.balance = balance * 0.5 + 1;
      sum += hits + balance;
    }
    return sum;
  };
}

/** @type {TimedCase} */
export default {
  title: "a field's get + set: one u32 and one f64 of a random record",
  unit: 'ns for both fields',
  baseline: 'plain objects in an Array',
  settings: small => [
    {name: 'hot', records: small ? 20 : 1000},
    {name: 'cold', records: small ? 50 : 100_000},
  ],
  leftOut: ({name}, contender) => name === 'cold' && contender === '@bnaya/objectbuffer', // minutes to build
  contenders: {
    async 'state-store, records kept'({records}, place) {
      const {openRows} = await import('./schema.mjs');
      const {kept} = await openRows(place, records);
      return overProperties(draw(place.random, records), kept);
    },
    // Handles look at their slot again only when some record has ended since.
    async [`state-store, kept, one ends every ${END_EVERY}`]({records}, place) {
      const {openRows} = await import('./schema.mjs');
      const {rows, kept} = await openRows(place, records, 1);
      const pass = overProperties(draw(place.random, records), kept);
      let another = rows.insert({});
      return operations => {
        let sum = 0;
        for (let done = 0; done < operations; done += END_EVERY) {
          sum = pass(Math.min(END_EVERY, operations - done), sum);
          rows.remove(another);
          another = rows.insert({});
        }
        return sum;
      };
    },
    async 'state-store, get(id)'({records}, place) {
      const {openRows} = await import('./schema.mjs');
      const {rows, ids} = await openRows(place, records);
      const order = draw(place.random, records);
      let at = 0;
      return operations => {
        let sum = 0;
        const first = at;
        at += operations;
        for (let step = first, end = at; step < end; step++) {
          const record = rows.get(ids[order[step & DRAW_MASK]]);
          const {hits} = record;
          record.hits = (hits + 1) & 0xffffff;
          const {balance} = record;
          record.balance = balance * 0.5 + 1;
          sum += hits + balance;
        }
        return sum;
      };
    },
    'plain objects in an Array': ({records}, {random}) =>
      overProperties(draw(random, records), rowObjects(records)),
    'plain objects in a Map'({records}, {random}) {
      const order = draw(random, records);
      const map = new Map(rowObjects(records).map((record, i) => [i, record]));
      let at = 0;
      return operations => {
        let sum = 0;
        const first = at;
        at += operations;
        for (let step = first, end = at; step < end; step++) {
          const record = map.get(order[step & DRAW_MASK]);
          const {hits} = record;
          record.hits = (hits + 1) & 0xffffff;
          const {balance} = record;
          record.balance = balance * 0.5 + 1;
          sum += hits + balance;
        }
        return sum;
      };
    },
    'typed arrays, by hand'({records}, {random}) {
      const order = draw(random, records);
      const bytes = rowBytes(records);
      const [u32, f64] = [new Uint32Array(bytes), new Float64Array(bytes)];
      let at = 0;
      return operations => {
        let sum = 0;
        const first = at;
        at += operations;
        for (let step = first, end = at; step < end; step++) {
          const i = order[step & DRAW_MASK];
          const hits = u32[i * (ROW_BYTES / 4) + HITS / 4];
          u32[i * (ROW_BYTES / 4) + HITS / 4] = (hits + 1) & 0xffffff;
          const balance = f64[i * (ROW_BYTES / 8) + BALANCE / 8];
          f64[i * (ROW_BYTES / 8) + BALANCE / 8] = balance * 0.5 + 1;
          sum += hits + balance;
        }
        return sum;
      };
    },
    'DataView, by hand'({records}, {random}) {
      const order = draw(random, records);
      const view = new DataView(rowBytes(records));
      let at = 0;
      return operations => {
        let sum = 0;
        const first = at;
        at += operations;
        for (let step = first, end = at; step < end; step++) {
          const from = order[step & DRAW_MASK] * ROW_BYTES;
          const hits = view.getUint32(from + HITS, true);
          view.setUint32(from + HITS, (hits + 1) & 0xffffff, true);
          const balance = view.getFloat64(from + BALANCE, true);
          view.setFloat64(from + BALANCE, balance * 0.5 + 1, true);
          sum += hits + balance;
        }
        return sum;
      };
    },
    async flatbuffers({records}, {random}) {
      const order = draw(random, records);
      const cursor = await flatbuffersRows(rowBytes(records));
      let at = 0;
      return operations => {
        let sum = 0;
        const first = at;
        at += operations;
        for (let step = first, end = at; step < end; step++) {
          const record = cursor.at(order[step & DRAW_MASK] * ROW_BYTES);
          const hits = record.hits();
          record.mutateHits((hits + 1) & 0xffffff);
          const balance = record.balance();
          record.mutateBalance(balance * 0.5 + 1);
          sum += hits + balance;
        }
        return sum;
      };
    },
    async structurae({records}, {random}) {
      const order = draw(random, records);
      const rows = await structuraeRows(records);
      let at = 0;
      return operations => {
        let sum = 0;
        const first = at;
        at += operations;
        for (let step = first, end = at; step < end; step++) {
          const record = rows.getView(order[step & DRAW_MASK]);
          const hits = record.get('hits');
          record.set('hits', (hits + 1) & 0xffffff);
          const balance = record.get('balance');
          record.set('balance', balance * 0.5 + 1);
          sum += hits + balance;
        }
        return sum;
      };
    },
    'typed-struct': async ({records}, {random}) =>
      overProperties(draw(random, records), await typedStructRows(rowBytes(records))),
    '@bnaya/objectbuffer': async ({records}, {random}) =>
      overProperties(draw(random, records), await objectbufferRows(records)),
  },
  goals: [
    {
      text: 'hot: at most 1.5 x a plain object',
      setting: 'hot',
      of: 'state-store, records kept',
      beside: 'plain objects in an Array',
      atMost: 1.5,
    },
    {
      text: 'cold: at most 0.5 x plain objects',
      setting: 'cold',
      of: 'state-store, get(id)',
      beside: 'plain objects in an Array',
      atMost: 0.5,
    },
  ],
};
