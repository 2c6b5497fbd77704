// A download that outlives its server's process, seven times: run it with `npm run demo`.
import {createHash} from 'node:crypto';
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {drawChart} from './demo/chart.mjs';
import {EXPRESS_SCENARIO, markOf, runScenario, SCENARIOS, STANDBY_SCENARIO} from './demo/scenarios.mjs';
import {Service} from './demo/service.mjs';
import {shortcomings, table} from './demo/verdict.mjs';

const FILE_BYTES = 5_000_000;
const START_MS = 20_000;

/** The same bytes in every run, without a pattern that a lost or doubled piece could hide in: xorshift32. */
function pseudoRandomBytes(/** @type {number} */ length) {
  const words = new Uint32Array(Math.ceil(length / 4));
  let word = 0x9e3779b9;
  for (let index = 0; index < words.length; index++) {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    words[index] = word;
  }
  return Buffer.from(words.buffer, 0, length);
}

/**
 * @param {{service: Service, scenarios: readonly import('./demo/scenarios.mjs').Scenario[]}[]} parts
 * @param {string} sha256
 * @param {AbortSignal} signal
 * @returns {Promise<string[]>} what did not hold
 */
async function show(parts, sha256, signal) {
  const results = [];
  const total = parts.reduce((sum, {scenarios}) => sum + scenarios.length, 0);
  for (const {service, scenarios} of parts) {
    const place = await service.listening(AbortSignal.any([signal, AbortSignal.timeout(START_MS)]));
    console.log(
      `a file of ${FILE_BYTES.toLocaleString('en-US')} bytes is served at ${place.host}:${place.port}`,
    );
    for (const scenario of scenarios) {
      process.stdout.write(`${results.length + 1}/${total} ${scenario.title} ...`);
      const progress = (/** @type {string} */ word) => process.stdout.write(` ${word}`);
      try {
        results.push(await runScenario(scenario, {...place, path: '/data.bin', service, signal, progress}));
      } catch (error) {
        throw new Error(`${scenario.title}: ${reasonOf(error)}`, {cause: error});
      } finally {
        process.stdout.write('\n');
      }
    }
  }
  console.log(`\n${table(results, sha256)}\n`);

  const panels = results.map(({scenario, download, faultMs, gap}) => ({
    title: scenario.title,
    fault: markOf(scenario),
    arrivals: download.arrivals,
    faultMs,
    gap,
  }));
  const subtitle = `${FILE_BYTES / 1e6} MB over one TCP connection each, HTTP/1.1; the client reads slowly until the fault or the restart (dashed), and at full speed when that is over`;
  mkdirSync('out', {recursive: true});
  writeFileSync('out/demo.svg', drawChart(panels, subtitle));
  console.log('the bytes over time: out/demo.svg');
  return results.flatMap(result =>
    shortcomings(result, sha256).map(problem => `${result.scenario.title}: ${problem}`),
  );
}

/** @param {unknown} error @returns {string} */
function reasonOf(error) {
  if (!(error instanceof Error)) return String(error);
  // Node's own functions say only that they were aborted; why is in the cause.
  if (error.name === 'AbortError' && error.cause !== undefined) return reasonOf(error.cause);
  return error.name === 'TimeoutError' ? 'it did not come to its end in time' : error.message;
}

const interrupt = new AbortController();
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => interrupt.abort(new Error(`interrupted by ${signal}`)));
}

const scratch = mkdtempSync(join(tmpdir(), 'zlr-demo-'));
const folder = join(scratch, 'files');
const content = pseudoRandomBytes(FILE_BYTES);
mkdirSync(folder);
writeFileSync(join(folder, 'data.bin'), content);

const runDir = join(scratch, 'run');
const serve = new Service(
  'serve',
  name => ['serve', folder, '--port', '0', '--name', name, '--threshold', '0'],
  runDir,
);
const standing = new Service(
  'standby',
  name => ['serve', folder, '--port', '0', '--name', name, '--threshold', '0', '--standby'],
  runDir,
);
const express = new Service(
  'express',
  name => [
    ...['run', '--http', '--name', name, '--threshold', '0', '--', process.execPath],
    ...[fileURLToPath(new URL('demo/express-app.cjs', import.meta.url)), join(folder, 'data.bin')],
  ],
  runDir,
);
const parts = [
  {service: serve, scenarios: SCENARIOS},
  {service: standing, scenarios: [STANDBY_SCENARIO]},
  {service: express, scenarios: [EXPRESS_SCENARIO]},
];
/** @type {string[]} */
let problems = [];
try {
  problems = await show(parts, createHash('sha256').update(content).digest('hex'), interrupt.signal);
} catch (error) {
  problems = [reasonOf(error)];
}
for (const {service} of parts) problems.push(...(await service.stop()).map(each => `left behind: ${each}`));
rmSync(scratch, {recursive: true});

if (problems.length > 0) {
  for (const {service} of parts)
    if (service.log !== '') console.error(`what a service said:\n${service.log}`);
  for (const problem of problems) console.error(`FAILED: ${problem}`);
  process.exitCode = 1;
} else {
  console.log('all of it held: every byte arrived once, in order, and no connection was reset');
}
