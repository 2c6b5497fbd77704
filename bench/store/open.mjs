/**
 * Opens what a process left that was killed inside a transaction, until the first record has been read.
 *
 * Goal: that a store is there at once, whatever its size: the work is that of the interrupted transaction. Beside it what
 * people do instead: reading a file of JSON or of v8.serialize (which no transaction protects), and lmdb, killed alike.
 * Each open is in a fresh process whose modules are loaded and whose file is in the page cache. No goal: a cold disk.
 */
import {mkdirSync} from 'node:fs';
import {join} from 'node:path';
import {interleave, ratio, summarize} from '../harness.mjs';
import {agreed} from './timed.mjs';
import {run} from './whole.mjs';

const SCRIPT = './open-process.mjs';
const OURS = 'state-store';
/** @type {Record<string, {kind: string, crashes?: boolean, first?: boolean, all?: boolean}>} */
const CONTENDERS = {
  [OURS]: {kind: 'store', crashes: true},
  'state-store, first of its process': {kind: 'store', crashes: true, first: true},
  lmdb: {kind: 'lmdb', crashes: true},
  'lmdb, all records as objects': {kind: 'lmdb', crashes: true, all: true},
  'JSON.parse': {kind: 'json'},
  'v8.deserialize': {kind: 'v8'},
};
const BASELINE = 'JSON.parse';

/** @type {import('./whole.mjs').WholeCase} */
export default {
  title: 'opening records of 64 bytes after a SIGKILL inside a transaction',
  unit: 'ms of processor time until a record is read',
  baseline: BASELINE,
  async run(options, folder) {
    const {small, signal} = options;
    const sizes = small ? [100, 1000] : [10_000, 100_000, 1_000_000];
    const jobs = sizes.map(records => {
      const own = join(folder, `open-${records}`);
      mkdirSync(own);
      return {records, folder: own, name: `bench-open-${process.pid}-${records}`};
    });
    try {
      for (const job of jobs)
        for (const kind of ['store', 'lmdb', 'json', 'v8'])
          await run(SCRIPT, {...job, kind, role: 'build'}, {signal});
      const samples = await interleave(
        options,
        Object.fromEntries(
          jobs.flatMap(job =>
            Object.entries(CONTENDERS).map(([name, {crashes = false, ...how}]) => [
              `${job.records} ${name}`,
              async () => {
                if (crashes) await run(SCRIPT, {...job, ...how, role: 'crash'}, {dies: true, signal});
                return run(SCRIPT, {...job, ...how, role: 'open'}, {signal});
              },
            ]),
          ),
        ),
      );
      return sizes.map(records => resultOf(records, sizes, samples));
    } finally {
      for (const job of jobs) await run(SCRIPT, {...job, kind: 'store', role: 'destroy'});
    }
  },
};

/** @typedef {{openMs: number, clockMs: number, allMs: number, recovered: number, residentMB: number, checksum: number}} Opened */

/** @param {number} records @param {number[]} sizes @param {Record<string, Opened[]>} samples @returns {import('./result.mjs').SettingResult} */
function resultOf(records, sizes, samples) {
  const opened = (/** @type {string} */ name, of = records) => samples[`${of} ${name}`];
  const times = (/** @type {string} */ name, of = records) => opened(name, of).map(each => each.openMs);
  const median = (/** @type {string} */ name, /** @type {keyof Opened} */ what) =>
    summarize(opened(name).map(each => each[what])).median;
  const [least = 0] = sizes;
  const most = sizes.at(-1);
  const ours = summarize(times(OURS)).median;
  const growth = ours / summarize(times(OURS, least)).median;
  return {
    setting: `${records.toLocaleString('en-US')} records`,
    checksum: agreed(
      `open, ${records}`,
      Object.keys(CONTENDERS).flatMap(name => opened(name).map(each => [name, each.checksum])),
    ),
    contenders: Object.keys(CONTENDERS).map(name => ({
      name,
      values: times(name),
      value: summarize(times(name)),
      relative: ratio(times(name), times(BASELINE)),
      notes: {
        'cells taken back': median(name, 'recovered'),
        'ms on the clock': median(name, 'clockMs'),
        'ms until all are read': median(name, 'allMs'),
        'resident, MB': median(name, 'residentMB'),
      },
    })),
    goals: [
      {text: 'under 1 ms', atMost: 1, measured: ours, met: ours <= 1},
      ...(records === most
        ? [
            {
              text: `independent of the size: at most 1.5 x as long as with ${least.toLocaleString('en-US')}`,
              atMost: 1.5,
              measured: growth,
              met: growth <= 1.5,
            },
          ]
        : []),
    ],
  };
}
