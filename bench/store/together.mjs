/**
 * The hot fields once more, by benchmark.js, all contenders in one process: whether a user who tries them side by side,
 * as benchmarks of libraries are mostly written, sees the same order.
 *
 * No goal: figures to judge by. docs/decisions/benchmark-js.md says why those are measured apart.
 */
import {summarize} from '../harness.mjs';
import {run} from './whole.mjs';

const BASELINE = 'plain objects in an Array';

/** @type {import('./whole.mjs').WholeCase} */
export default {
  title: "a field's get + set, hot, all in one process (benchmark.js)",
  unit: 'ns for both fields',
  baseline: BASELINE,
  async run({small, seed, signal}, folder) {
    /** @type {{checksum: number, results: {name: string, nanoseconds: number, samples: number}[]}} */
    const {checksum, results} = await run('./together-process.mjs', {small, seed, folder}, {signal});
    const baseline = results.find(each => each.name === BASELINE)?.nanoseconds ?? Number.NaN;
    return [
      {
        setting: 'hot',
        checksum,
        contenders: results.map(({name, nanoseconds, samples}) => ({
          name,
          values: [nanoseconds],
          value: summarize([nanoseconds]),
          relative: summarize([nanoseconds / baseline]),
          notes: {samples},
        })),
        goals: [],
      },
    ];
  },
};
