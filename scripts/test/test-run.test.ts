// Whole runs of the test script over small folders of tests, because a run that loses a failure looks like success.
import {execFileSync, spawnSync} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {readRecord} from '../test-record.mjs';

const script = resolve('scripts/test.mjs');
const record = resolve('scripts/test-record.mjs');

function runTests(t: ExecutionContext, files: Record<string, string>, args: string[] = []) {
  const folder = mkdtempSync(join(tmpdir(), 'zlr-run-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
  writeFileSync(
    join(folder, 'ava.config.js'),
    `import {recordRun} from '${record}';
     export default {files: ['*.test.js'], workerThreads: false, cache: false,
       nonSemVerExperiments: {observeRunsFromConfig: true}, observeRun: recordRun};`,
  );
  for (const [name, body] of Object.entries(files)) {
    writeFileSync(join(folder, `${name}.test.js`), `import test from 'ava';\n${body}`);
  }
  const {status, stdout, stderr} = spawnSync(process.execPath, [script, ...args], {
    cwd: folder,
    encoding: 'utf8',
  });
  return {status, output: stdout + stderr, lastLine: stdout.trimEnd().split('\n').pop()};
}

const good = "test('good', t => t.pass());";

test('all passed: exit 0, and the counts are the last line', t => {
  const run = runTests(t, {a: `${good} test.failing('known', t => t.fail());`, b: good});
  t.is(run.lastLine, '3 passed, 0 failed');
  t.is(run.status, 0);
});

test('a failed test is shown with its place and difference, one only declared has failed, skipped count apart', t => {
  const a = `${good}
    test('bad', t => t.is(1, 2));
    test.todo('declared');
    test.skip('later', t => t.pass());`;
  const run = runTests(t, {a});
  t.is(run.lastLine, '1 passed, 2 failed, 1 skipped');
  t.is(run.status, 1);
  t.regex(run.output, /a\.test\.js:3/);
  t.regex(run.output, /- 1\n.*\+ 2/);
});

test('a file has failed that crashes (and each of its tests that never ended), throws early or lost its tests', t => {
  const crash =
    "test('crash', async () => { process.kill(process.pid, 'SIGSEGV'); await new Promise(() => {}); });";
  const run = runTests(t, {good, crash, early: "throw new Error('early');", empty: 'export {test};'});
  t.is(run.lastLine, '1 passed, 4 failed');
  t.is(run.status, 1);
  for (const file of ['crash', 'early', 'empty']) t.regex(run.output, new RegExp(`${file}\\.test\\.js`));
});

test('a run without any test has failed', t => {
  const run = runTests(t, {});
  t.is(run.lastLine, '0 passed, 1 failed');
  t.is(run.status, 1);
});

test('arguments select the files to run', t => {
  const run = runTests(t, {a: good, b: "test('bad', t => t.fail());"}, ['a.test.js']);
  t.is(run.lastLine, '1 passed, 0 failed');
  t.is(run.status, 0);
});

test('a process and a segment that outlive the run are named, fail it, and the process is killed', t => {
  const leak = `import {execFileSync, spawn} from 'node:child_process';
    test('leak', t => {
      spawn('sleep', ['9000'], {detached: true, stdio: 'inherit'}).unref();
      execFileSync('ipcmk', ['-M', '12345']);
      t.pass();
    });`;
  const run = runTests(t, {a: leak});
  const segment = /left behind: shared-memory segment (\d+) of 12345 bytes/.exec(run.output)?.[1];
  t.truthy(segment);
  execFileSync('ipcrm', ['-m', segment!]);
  const pid = /left behind, now killed: process (\d+) \(sleep 9000\)/.exec(run.output)?.[1];
  t.truthy(pid);
  // Its new parent may not have waited for it yet, but a dead process has no command line.
  t.true(!existsSync(`/proc/${pid}`) || readFileSync(`/proc/${pid}/cmdline`).length === 0);
  t.is(run.lastLine, '1 passed, 2 failed');
  t.is(run.status, 1);
});

test('a runner that was cut short has failed, whatever it had counted', t => {
  const line = '{"counts":{"passed":5,"failed":0,"skipped":0},"ended":false}\n';
  t.deepEqual(readRecord(line, true), {passed: 5, failed: 1, skipped: 0});
  t.deepEqual(readRecord('', true), {passed: 0, failed: 1, skipped: 0});
  const ended = line.replace('false', 'true');
  t.deepEqual(readRecord(ended, true), {passed: 5, failed: 0, skipped: 0});
  t.deepEqual(readRecord(ended, false), {passed: 5, failed: 1, skipped: 0});
});
