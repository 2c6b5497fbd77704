// The process of one contender: builds what it needs, shows by a checksum that it does the work, warms up, then
// measures a slice whenever it is asked to, and ends, undoing everything, when nobody is left to ask.
import {mkdtempSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {random} from '../harness.mjs';
import {timedCases} from './cases.mjs';

const WARM_UP = 600e6; // nanoseconds
const SLICE = 100e6;

const {caseName, setting: settingName, contender, seed, small, folder} = JSON.parse(process.argv[2] ?? '{}');
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {}); // the parent ends, and this one then too

/** @type {(() => unknown)[]} */
const undo = [];
process.once('disconnect', async () => {
  for (const step of undo.reverse()) await step();
  process.exit();
});

const {default: bench} = await timedCases[caseName]();
const setting = bench.settings(small).find(each => each.name === settingName);
const own = mkdtempSync(join(folder, 'contender-'));
undo.push(() => rmSync(own, {recursive: true, force: true}));
const pass = await bench.contenders[contender](setting, {
  random: random(seed),
  folder: own,
  name: `bench-${process.pid}`,
  defer: step => undo.push(step),
});

const unit = setting.unit ?? 1;
const checksum = pass(unit === 1 ? (small ? 200 : 20_000) : unit * 2);

/**
 * Processor time, of all threads: collecting garbage counts, waiting for a processor that others use does not.
 * @param {number} operations
 */
function spentOn(operations) {
  const start = process.cpuUsage();
  pass(operations);
  const {user, system} = process.cpuUsage(start);
  return (user + system) * 1000;
}

let operations = unit;
if (!small) {
  for (let spent = 0, last = 0; spent < WARM_UP; spent += last) {
    last = spentOn(operations);
    const wanted = Math.max(1, Math.round((operations * SLICE) / Math.max(last, 1) / unit)) * unit;
    operations = Math.min(wanted, operations * 8);
  }
  globalThis.gc?.();
}

const say = (/** @type {object} */ message) => void (process.connected && process.send?.(message));
process.on('message', () => say({nanoseconds: Math.max(spentOn(operations), 1) / operations}));
say({checksum});
