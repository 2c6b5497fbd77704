/**
 * What the state store costs beside plain objects, Map, typed arrays by hand, DataView and lmdb-js.
 *
 * Goal: nanoseconds an operation, hot (1,000 records) and beyond the caches (100,000). No goal: throughput of several
 * processes, or of a disk. Every contender lives in a process of its own, since type feedback and heap of one would
 * change another; one of them is at work at a time.
 *
 *   npm run bench -- store [--json] [--rounds N] [--seed N] [--small]
 */
import {fork} from 'node:child_process';
import {once} from 'node:events';
import {fileURLToPath} from 'node:url';
import {interleave, ratio, readOptions, report, show, summarize, table, withScratch} from '../harness.mjs';
import {contenders} from './contenders.mjs';

const options = readOptions({rounds: 7});
const MS = options.small ? 5 : 100;
const HOT = 1000;
const COLD = options.small ? 5000 : 100_000;

/** Each group's first contender is what the others are compared with. */
const GROUPS = [
  {
    title: 'read and write one u32 and one f64',
    names: [
      'field: plain objects',
      'field: live records kept',
      'field: live records by id',
      'field: DataView',
    ],
    sizes: [HOT, COLD],
  },
  {
    title: 'scan: read one u32 and one f64 of each record',
    names: ['scan: plain objects', 'scan: table, for of', 'scan: table.scan', 'scan: typed arrays by hand'],
    sizes: [HOT, COLD],
  },
  {
    title: 'read a string of 32 characters',
    names: ['string: Buffer.toString', 'string: variable field', 'string: fixed field'],
    sizes: [HOT],
  },
  {
    title: 'a transaction that writes four fields of one record',
    names: ['transaction: lmdb', 'transaction: store'],
    sizes: [HOT],
  },
  {
    title: 'remove one record, insert another',
    names: ['churn: object in an array', 'churn: table'],
    sizes: [COLD],
  },
  {
    title: 'map: get by a string made just now',
    names: ['map get fresh: JS Map', 'map get fresh: store', 'map get fresh: lmdb'],
    sizes: [COLD],
  },
  {
    title: 'map: get by the same string objects',
    names: ['map get same: JS Map', 'map get same: store'],
    sizes: [COLD],
  },
  {
    title: 'map: get by a string made just now, keys beyond latin1',
    names: ['map get fresh, wide keys: JS Map', 'map get fresh, wide keys: store'],
    sizes: [COLD],
  },
  {
    title: 'map: get by the same string objects, keys beyond latin1',
    names: ['map get same, wide keys: JS Map', 'map get same, wide keys: store'],
    sizes: [COLD],
  },
  {
    title: 'map: delete a key and put it again',
    names: ['map delete and put: JS Map', 'map delete and put: store', 'map delete and put: lmdb'],
    sizes: [COLD],
  },
];

const only = process.env['ZLR_BENCH_ONLY'];
const groups = only === undefined ? GROUPS : GROUPS.filter(({title}) => title.includes(only));

/** @type {Record<string, unknown>[]} */
const results = [];
const texts = await withScratch(async ({defer}) => {
  const parts = [];
  for (const {title, names, sizes} of groups) {
    for (const size of sizes) {
      /** @type {Record<string, () => Promise<number>>} */
      const runs = {};
      const children = [];
      for (const name of names) {
        if (!(name in contenders)) throw new Error(`there is no contender '${name}'`);
        const child = fork(fileURLToPath(new URL('contender.mjs', import.meta.url)), [name, String(size)], {
          signal: options.signal,
        });
        defer(() => child.kill());
        await once(child, 'message');
        runs[name] = async () => {
          child.send({ms: MS});
          const [answer] = await once(child, 'message');
          return answer.ns;
        };
        children.push(child);
      }
      const samples = await interleave(options, runs);
      const rows = names.map(name => {
        const mine = /** @type {number[]} */ (samples[name]);
        const against = ratio(mine, /** @type {number[]} */ (samples[names[0] ?? '']));
        results.push({title, records: size, name, ns: summarize(mine), ratio: against});
        return [name.replace(/^.*?: /, ''), show(summarize(mine), 1), show(against, 2)];
      });
      for (const child of children) {
        const left = once(child, 'exit');
        child.send('end');
        await left;
      }
      parts.push(`${title}, ${size.toLocaleString('en-US')} records\n${table(['', 'ns', 'ratio'], rows)}`);
      if (!options.json) console.error(parts.at(-1), '\n');
    }
  }
  return parts;
});
report(options, 'store', {results}, () => texts.join('\n\n'));
