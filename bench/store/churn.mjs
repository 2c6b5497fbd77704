/**
 * Removes a random record and inserts another, with two strings of 0 to 200 units each, again and again, 10,000 being live.
 *
 * Goal: that a store which has reached its size stays there: from the half of the run to its end it may grow by as much as
 * the mix of lengths, which is drawn, changes by chance. A million
 * pairs, a hundred million with --long. No goal: time, which is shown beside that of plain objects.
 */
import {interleave, ratio, summarize} from '../harness.mjs';
import {agreed} from './timed.mjs';
import {run} from './whole.mjs';

const BASELINE = 'plain objects';
const OURS = 'state-store';

/** @type {import('./whole.mjs').WholeCase} */
export default {
  title: 'records with two strings, removed and inserted again and again',
  unit: 'ns per pair',
  baseline: BASELINE,
  async run(options, _folder) {
    const {small, long, seed, signal} = options;
    const pairs = small ? 2000 : long ? 100_000_000 : 1_000_000;
    const live = small ? 100 : 10_000;
    const measure = (/** @type {string} */ kind) => () =>
      run('./churn-process.mjs', {kind, pairs, live, seed}, {signal});
    const samples = await interleave(
      {...options, rounds: long ? 1 : Math.min(options.rounds, 3)},
      {[OURS]: measure('store'), [BASELINE]: measure('objects')},
    );
    const names = [OURS, BASELINE];
    const values = (/** @type {string} */ name) => samples[name].map(each => each.nanoseconds);
    const [last] = samples[OURS].slice(-1);
    const growth = last.used.at(-1) / last.used[last.used.length / 2 - 1];
    return [
      {
        setting: `${pairs.toLocaleString('en-US')} pairs among ${live.toLocaleString('en-US')}`,
        checksum: agreed(
          'churn',
          names.flatMap(name => samples[name].map(each => [name, each.checksum])),
        ),
        contenders: names.map(name => ({
          name,
          values: values(name),
          value: summarize(values(name)),
          relative: ratio(values(name), values(BASELINE)),
          notes: name === OURS ? usedNotes(last) : {},
        })),
        goals: [
          {
            text: 'no growth in the second half: touched bytes at its end at most 1.01 x those at its begin',
            atMost: 1.01,
            measured: growth,
            met: growth <= 1.01,
          },
        ],
      },
    ];
  },
};

/** @param {{used: number[], content: number}} run */
function usedNotes({used, content}) {
  return {
    'KB of content': content / 1024,
    'KB used after a tenth': used[used.length / 10 - 1] / 1024,
    half: used[used.length / 2 - 1] / 1024,
    all: used[used.length - 1] / 1024,
  };
}
