/**
 * Goes through all records in their order: sums one field, or changes two.
 *
 * Goal: what iterating a table costs beside plain objects and beside arithmetic on typed arrays, which is the bound.
 * No goal: columns of one field each, which are a vector and not a table.
 */
import {BALANCE, HITS, ROW_BYTES, rowBytes, rowObjects} from './rows.mjs';

/** @typedef {import('./measured.mjs').Pass} Pass */
/** @typedef {{hits: number, balance: number}} Scanned */

const SUM = 'sum';
const OURS = 'state-store, table.scan()';

/** @param {boolean} update @param {number} count @param {() => Iterable<Scanned>} all @returns {Pass} */
function iterating(update, count, all) {
  if (update)
    return operations => {
      let sum = 0;
      for (let done = 0; done < operations; done += count)
        for (const record of all()) {
          record.hits = (record.hits + 1) & 0xffffff;
          record.balance = record.balance * 0.5 + 1;
          sum += record.hits;
        }
      return sum;
    };
  return operations => {
    let sum = 0;
    for (let done = 0; done < operations; done += count) for (const record of all()) sum += record.hits;
    return sum;
  };
}

/** @param {boolean} update @param {number} count @param {{scan(): Scanned & {next(): boolean}}} table @returns {Pass} */
function scanning(update, count, table) {
  if (update)
    return operations => {
      let sum = 0;
      for (let done = 0; done < operations; done += count)
        for (const record = table.scan(); record.next(); ) {
          record.hits = (record.hits + 1) & 0xffffff;
          record.balance = record.balance * 0.5 + 1;
          sum += record.hits;
        }
      return sum;
    };
  return operations => {
    let sum = 0;
    for (let done = 0; done < operations; done += count)
      for (const record = table.scan(); record.next(); ) sum += record.hits;
    return sum;
  };
}

/** @param {boolean} update @param {ArrayLike<Scanned>} records @returns {Pass} */
function byIndex(update, records) {
  const {length} = records;
  if (update)
    return operations => {
      let sum = 0;
      for (let done = 0; done < operations; done += length)
        for (let i = 0; i < length; i++) {
          const record = records[i];
          record.hits = (record.hits + 1) & 0xffffff;
          record.balance = record.balance * 0.5 + 1;
          sum += record.hits;
        }
      return sum;
    };
  return operations => {
    let sum = 0;
    for (let done = 0; done < operations; done += length)
      for (let i = 0; i < length; i++) sum += records[i].hits;
    return sum;
  };
}

/** @type {import('./measured.mjs').TimedCase} */
export default {
  title: 'a scan over all records in their order',
  unit: 'ns per record',
  baseline: 'plain objects',
  settings: small =>
    [SUM, 'update'].flatMap(kind =>
      Object.entries({hot: small ? 20 : 1000, cold: small ? 50 : 100_000}).map(([heat, records]) => ({
        name: `${kind}, ${heat}`,
        kind,
        records,
        unit: records,
      })),
    ),
  contenders: {
    async [OURS]({records, kind}, place) {
      const {openRows} = await import('./schema.mjs');
      const {rows} = await openRows(place, records);
      return scanning(kind !== SUM, records, rows);
    },
    async 'state-store, for ... of'({records, kind}, place) {
      const {openRows} = await import('./schema.mjs');
      const {rows} = await openRows(place, records);
      return iterating(kind !== SUM, records, () => rows);
    },
    async 'state-store, records kept'({records, kind}, place) {
      const {openRows} = await import('./schema.mjs');
      const {kept} = await openRows(place, records);
      return byIndex(kind !== SUM, kept);
    },
    'plain objects': ({records, kind}) => byIndex(kind !== SUM, rowObjects(records)),
    'plain objects, for ... of': ({records, kind}) => {
      const all = rowObjects(records);
      return iterating(kind !== SUM, records, () => all);
    },
    'typed arrays, by hand'({records, kind}) {
      const bytes = rowBytes(records);
      const [u32, f64] = [new Uint32Array(bytes), new Float64Array(bytes)];
      const [words, doubles] = [ROW_BYTES / 4, ROW_BYTES / 8];
      if (kind === SUM)
        return operations => {
          let sum = 0;
          for (let done = 0; done < operations; done += records)
            for (let i = 0; i < records; i++) sum += u32[i * words + HITS / 4];
          return sum;
        };
      return operations => {
        let sum = 0;
        for (let done = 0; done < operations; done += records)
          for (let i = 0; i < records; i++) {
            u32[i * words + HITS / 4] = (u32[i * words + HITS / 4] + 1) & 0xffffff;
            f64[i * doubles + BALANCE / 8] = f64[i * doubles + BALANCE / 8] * 0.5 + 1;
            sum += u32[i * words + HITS / 4];
          }
        return sum;
      };
    },
  },
  goals: [SUM, 'update'].flatMap(kind => [
    {
      text: `${kind}, hot: no slower than plain objects`,
      setting: `${kind}, hot`,
      of: OURS,
      beside: 'plain objects',
      atMost: 1,
    },
    {
      text: `${kind}, hot: at most 1.2 x typed arrays by hand`,
      setting: `${kind}, hot`,
      of: OURS,
      beside: 'typed arrays, by hand',
      atMost: 1.2,
    },
  ]),
};
