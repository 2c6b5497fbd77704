// One process with all contenders of the hot fields in it, timed one after the other by benchmark.js.
import {mkdtempSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import Benchmark from 'benchmark';
import {random} from '../harness.mjs';
import field from './field.mjs';
import {agreed} from './timed.mjs';

/** Operations that benchmark.js sees as one, so that its own loop does not count. */
const BATCH = 1000;

/** @type {{small: boolean, seed: number, folder: string}} */
const {small, seed, folder} = JSON.parse(process.argv[2] ?? '{}');
const setting = field.settings(small).find(({name}) => name === 'hot');
if (setting === undefined) throw new Error('there is no hot setting');

/** @type {(() => unknown)[]} */
const undo = [];
const suite = new Benchmark.Suite();
/** @type {[string, number][]} */
const sums = [];
/** @type {{name: string, nanoseconds: number, samples: number}[]} */
const results = [];
for (const [name, make] of Object.entries(field.contenders)) {
  const own = mkdtempSync(join(folder, 'together-'));
  undo.push(() => rmSync(own, {recursive: true, force: true}));
  const pass = await make(setting, {
    random: random(seed),
    folder: own,
    name: `bench-${process.pid}-${sums.length}`,
    defer: step => undo.push(step),
  });
  sums.push([name, pass(small ? 200 : 20_000)]);
  suite.add(
    name,
    () => pass(BATCH),
    small ? {maxTime: 0.01, minTime: 0.001, minSamples: 1, initCount: 1} : {maxTime: 1},
  );
}
const checksum = agreed('together', sums);
suite.on('cycle', ({target}) => {
  if (target.error) throw target.error;
  results.push({
    name: target.name,
    nanoseconds: (target.stats.mean * 1e9) / BATCH,
    samples: target.stats.sample.length,
  });
});
suite.run();
for (const step of undo.reverse()) await step();
console.log(JSON.stringify({checksum, results}));
