/**
 * What a record of 64 bytes takes.
 *
 * Goal: the bytes of its fields and hardly more. Memory that is touched counts, as the kernel counts it for a segment or
 * a file, and as V8 does for objects after a collection. No goal: records with strings (see churn).
 */
import {mkdirSync} from 'node:fs';
import {join} from 'node:path';
import {interleave, ratio, summarize} from '../harness.mjs';
import {agreed} from './timed.mjs';
import {run} from './whole.mjs';

const BASELINE = 'raw bytes in an ArrayBuffer';
const OURS = 'state-store, capacity given';
const CONTENDERS = {
  [BASELINE]: 'raw',
  [OURS]: 'store',
  'state-store, growing, undo log of its own choice': 'growing',
  'plain objects in an Array': 'objects',
  'plain objects in a Map': 'map',
  'lmdb, objects': 'lmdb',
  'lmdb, 64 bytes': 'lmdb-bytes',
};

/** @type {import('./whole.mjs').WholeCase} */
export default {
  title: 'memory of records of 64 bytes',
  unit: 'bytes per record',
  baseline: BASELINE,
  async run(options, folder) {
    const records = options.small ? 1000 : 1_000_000;
    const samples = await interleave(
      {...options, rounds: 1}, // there is no noise in it
      Object.fromEntries(
        Object.entries(CONTENDERS).map(([name, kind]) => [
          name,
          async () => {
            const own = join(folder, `memory-${kind}`);
            mkdirSync(own);
            return run('./memory-process.mjs', {kind, records, folder: own}, {signal: options.signal});
          },
        ]),
      ),
    );
    const names = Object.keys(CONTENDERS);
    const values = (/** @type {string} */ name) => samples[name].map(each => each.bytes / records);
    const measured = ratio(values(OURS), values(BASELINE)).median;
    return [
      {
        setting: `${records.toLocaleString('en-US')} records`,
        checksum: agreed(
          'memory',
          names.flatMap(name => samples[name].map(each => [name, each.checksum])),
        ),
        contenders: names.map(name => ({
          name,
          values: values(name),
          value: summarize(values(name)),
          relative: ratio(values(name), values(BASELINE)),
        })),
        goals: [{text: 'at most 1.1 x the raw bytes', atMost: 1.1, measured, met: measured <= 1.1}],
      },
    ];
  },
};
