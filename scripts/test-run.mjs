// One run of the tests, which test.mjs starts. What it made is known by what is its own (a mark in the environment, an
// IPC namespace, a folder for temporary files) and nothing else is judged.
import {spawn} from 'node:child_process';
import {randomUUID} from 'node:crypto';
import {once} from 'node:events';
import {chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {runGuests} from '../kmod/test/guest.mjs';
import {killAll, processesWith, segments} from './leftovers.mjs';
import {countsLine, RECORD_FD, readRecord} from './test-record.mjs';

const MARK = 'ZLR_TEST_RUN';
// A keeper goes when it sees its service gone, and nobody can wait for a process that is not his child.
const SETTLE_MS = 10_000;
// A run in which nothing ends for so long hangs. ava's own timeout is lost for good once a test has asked for a longer
// one, so it is not what a whole run relies on.
const SILENCE_MS = Number(process.env['ZLR_TEST_SILENCE_MS'] ?? 15 * 60_000);
const FAREWELL_MS = 60_000;

const [outerIpc, ...files] = process.argv.slice(2);
const ownIpc = readlinkSync('/proc/self/ns/ipc') !== outerIpc;
const run = randomUUID();
const folder = mkdtempSync(join(tmpdir(), 'zlr-test-'));
chmodSync(folder, 0o755); // some tests become another user
const services = join(folder, 'services');
mkdirSync(services, {mode: 0o700});

const runner = spawn(process.execPath, ['node_modules/ava/entrypoints/cli.mjs', ...files], {
  env: {
    ...process.env,
    TMPDIR: folder,
    ZLR_RUN_DIR: services,
    [MARK]: run,
    [RECORD_FD]: '3',
  },
  stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
});
const exited = once(runner, 'exit');
// The terminal sends Ctrl-C to the runner as well, which ends in good order; the counts come all the same.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => runner.kill('SIGTERM'));

/** @type {NodeJS.Timeout | undefined} */
let silence;
function heard() {
  clearTimeout(silence);
  silence = setTimeout(() => {
    console.log(
      `no test has ended for ${SILENCE_MS / 1000} s: the run is ended, and what is pending has failed`,
    );
    // As Ctrl-C does: ava names the tests that are pending.
    runner.kill('SIGINT');
    silence = setTimeout(() => runner.kill('SIGKILL'), FAREWELL_MS);
  }, SILENCE_MS);
}
heard();

let record = '';
const recorded = /** @type {import('node:stream').Readable} */ (runner.stdio[3]);
recorded.setEncoding('utf8');
await new Promise(resolve => {
  recorded.on('data', text => {
    heard();
    record += text;
    // Not the runner's exit: it waits for every process that holds a test's output open, left-overs too.
    if (record.includes('"ended":true')) resolve(undefined);
  });
  recorded.on('end', resolve);
});

const leftProcesses = () => processesWith(MARK, run).filter(each => each.pid !== runner.pid);
const leftSegments = () => (ownIpc ? [...segments().values()] : []);
const deadline = performance.now() + SETTLE_MS;
while (leftProcesses().length + leftSegments().length > 0 && performance.now() < deadline) await delay(20);
const killed = leftProcesses();
await killAll(leftProcesses);
const [exitCode] = await exited;
clearTimeout(silence);
// tsx and Node keep compiled code in caches of theirs.
const leftFiles = [
  ...readdirSync(folder).filter(name => !/^(tsx-\d+|node-compile-cache|services)$/.test(name)),
  ...readdirSync(services).map(name => `services/${name}`),
];
const left = [
  ...killed.map(({pid, command}) => `process ${pid} (${command})`),
  ...leftSegments().map(each => `segment ${each.id} of ${each.size} bytes, made by process ${each.creator}`),
  ...leftFiles.map(path => `${path} in the run's folder for temporary files`),
];
rmSync(folder, {recursive: true});

const counts = readRecord(record, exitCode === 0);
counts.failed += left.length;
for (const each of left) console.log(`left behind, gone with the run: ${each}`);
if (!ownIpc) console.log('shared memory was not checked: this user gets no IPC namespace of his own');
// A run of chosen files is one of ava's only, and so is one elsewhere.
if (files.length === 0 && existsSync('kmod/test/guest.mjs')) {
  const guests = await runGuests();
  counts.passed += guests.passed;
  counts.failed += guests.failed;
  counts.skipped += guests.skipped;
}
console.log(countsLine(counts));
process.exitCode = counts.failed === 0 && counts.passed > 0 ? 0 : 1;
