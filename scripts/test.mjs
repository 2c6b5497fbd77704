// Runs every package's tests; the last line printed is the counts. Arguments select test files, `--node 24` another Node.
import {spawn} from 'node:child_process';
import {randomUUID} from 'node:crypto';
import {once} from 'node:events';
import {delimiter, dirname} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {killAll, newSegments, processesWith, segments} from './leftovers.mjs';
import {chosenNode} from './nodes.mjs';
import {countsLine, RECORD_FD, readRecord} from './test-record.mjs';

const MARK = 'ZLR_TEST_RUN';
// A keeper goes when it sees its service gone, and nobody can wait for a process that is not his child.
const SETTLE_MS = 2000;

const run = randomUUID();
const before = segments();

const {execPath, rest} = await chosenNode(process.argv.slice(2));
const path = `${dirname(execPath)}${delimiter}${process.env['PATH']}`;
const runner = spawn(execPath, ['node_modules/ava/entrypoints/cli.mjs', ...rest], {
  env: {...process.env, PATH: path, [MARK]: run, [RECORD_FD]: '3'},
  stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
});
const exited = once(runner, 'exit');
// The terminal sends Ctrl-C to the runner as well, which ends in good order; the counts come all the same.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => runner.kill('SIGTERM'));

let record = '';
const recorded = /** @type {import('node:stream').Readable} */ (runner.stdio[3]);
recorded.setEncoding('utf8');
await new Promise(resolve => {
  recorded.on('data', text => {
    record += text;
    // Not the runner's exit: it waits for every process that holds a test's output open, left-overs too.
    if (record.includes('"ended":true')) resolve(undefined);
  });
  recorded.on('end', resolve);
});

const leftProcesses = () => processesWith(MARK, run).filter(each => each.pid !== runner.pid);
const deadline = performance.now() + SETTLE_MS;
let processes = leftProcesses();
let left = newSegments(before, processes);
while (processes.length + left.length > 0 && performance.now() < deadline) {
  await delay(20);
  processes = leftProcesses();
  // What this run left stays as it is. One that is taken up or goes meanwhile is of another program of this user.
  const still = new Set(newSegments(before, processes).map(each => each.id));
  left = left.filter(each => still.has(each.id));
}
await killAll(leftProcesses);
const [exitCode] = await exited;

const counts = readRecord(record, exitCode === 0);
counts.failed += processes.length + left.length;
for (const each of processes) {
  console.log(`left behind, now killed: process ${each.pid} (${each.command})`);
}
for (const each of left) {
  console.log(
    `left behind: shared-memory segment ${each.id} of ${each.size} bytes, made by process ${each.creator}; remove it with: ipcrm -m ${each.id}`,
  );
}
console.log(countsLine(counts));
process.exitCode = counts.failed === 0 && counts.passed > 0 ? 0 : 1;
