/**
 * The state store beside its peers: what they cost in the same run, each in a process of its own.
 *
 *   npm run bench -- store [--json] [--rounds N] [--seed N] [--small] [--only field,map] [--long]
 *   npm run bench -- store-field [the same]     one case
 *
 * Goals: ratios to plain objects, Buffer, Map and to the stores that people would use otherwise, of what a server does
 * all the time. No goals: absolute figures of this machine; a general comparison of those peers, which do other things too.
 * Each case file says what it is after.
 */
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {readOptions, report, withScratch} from '../harness.mjs';
import {timedCases, wholeCases} from './cases.mjs';
import {describe} from './result.mjs';
import {runTimed} from './timed.mjs';

/** Takes an option of this bench alone off the command line, which the harness reads. @param {string} name */
function take(name, takesValue = false) {
  const at = process.argv.indexOf(name, 2);
  if (at < 0) return undefined;
  const [, value = ''] = process.argv.splice(at, takesValue ? 2 : 1);
  return takesValue ? value : name;
}

const only = take('--only', true)?.split(',');
const long = take('--long') !== undefined;
const options = readOptions({rounds: 9});

const known = [...Object.keys(timedCases), ...Object.keys(wholeCases)];
const unknown = only?.find(name => !known.includes(name));
if (unknown !== undefined) {
  console.error(`'${unknown}' is not a case of this bench; it has ${known.join(', ')}`);
  process.exit(2);
}
const wanted = (/** @type {string} */ name) => only === undefined || only.includes(name);

const cases = await withScratch(async ({defer}) => {
  // Peers that write files do so in memory, which suits them best.
  const folder = mkdtempSync(join(tmpfs(), 'zlr-bench-store-'));
  defer(() => rmSync(folder, {recursive: true, force: true}));
  /** @type {import('./result.mjs').CaseResult[]} */
  const results = [];
  for (const [name, load] of Object.entries(timedCases).filter(([name]) => wanted(name))) {
    const {default: bench} = await load();
    const {title, unit, baseline} = bench;
    results.push({name, title, unit, baseline, settings: await runTimed(name, bench, options, folder)});
  }
  for (const [name, load] of Object.entries(wholeCases).filter(([name]) => wanted(name))) {
    const {default: bench} = await load();
    const {title, unit, baseline} = bench;
    results.push({name, title, unit, baseline, settings: await bench.run({...options, long}, folder)});
  }
  return results;
});

function tmpfs() {
  return process.platform === 'linux' ? '/dev/shm' : tmpdir();
}

report(options, 'store', {cases}, () => describe(cases));
