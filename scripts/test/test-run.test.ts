// Whole runs of the test script over small folders of tests, because a run that loses a failure looks like success.
import {execFileSync, spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {type AddressInfo, createServer, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {readRecord} from '../test-record.mjs';

const script = resolve('scripts/test.mjs');
const record = resolve('scripts/test-record.mjs');

async function runTests(
  t: ExecutionContext,
  files: Record<string, string>,
  {
    args = [],
    path = process.env['PATH'],
    env = {},
  }: {args?: string[]; path?: string | undefined; env?: NodeJS.ProcessEnv} = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'zlr-run-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
  writeFileSync(
    join(folder, 'ava.config.js'),
    `import {recordRun} from '${record}';
     export default {files: ['*.test.js'], workerThreads: false, cache: false, timeout: '10m',
       nonSemVerExperiments: {observeRunsFromConfig: true}, observeRun: recordRun};`,
  );
  for (const [name, body] of Object.entries(files)) {
    writeFileSync(join(folder, `${name}.test.js`), `import test from 'ava';\n${body}`);
  }
  const child = spawn(process.execPath, [script, ...args], {
    cwd: folder,
    env: {...process.env, ...env, PATH: path},
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const out = {stdout: '', stderr: ''};
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', text => {
      out[name] += text;
    });
  const [status] = (await once(child, 'close')) as [number];
  return {status, output: out.stdout + out.stderr, lastLine: out.stdout.trimEnd().split('\n').pop()};
}

const good = "test('good', t => t.pass());";

test.serial('all passed: exit 0, and the counts are the last line', async t => {
  const run = await runTests(t, {a: `${good} test.failing('known', t => t.fail());`, b: good});
  t.is(run.lastLine, '3 passed, 0 failed');
  t.is(run.status, 0);
});

test.serial(
  'a failed test is shown with its place and difference, one only declared has failed, skipped count apart',
  async t => {
    const a = `${good}
    test('bad', t => t.is(1, 2));
    test.todo('declared');
    test.skip('later', t => t.pass());`;
    const run = await runTests(t, {a});
    t.is(run.lastLine, '1 passed, 2 failed, 1 skipped');
    t.is(run.status, 1);
    t.regex(run.output, /a\.test\.js:3/);
    t.regex(run.output, /- 1\n.*\+ 2/);
  },
);

test.serial(
  'a file has failed that crashes (and each of its tests that never ended), throws early or lost its tests',
  async t => {
    const crash =
      "test('crash', async () => { process.kill(process.pid, 'SIGSEGV'); await new Promise(() => {}); });";
    const run = await runTests(t, {good, crash, early: "throw new Error('early');", empty: 'export {test};'});
    t.is(run.lastLine, '1 passed, 4 failed');
    t.is(run.status, 1);
    for (const file of ['crash', 'early', 'empty']) t.regex(run.output, new RegExp(`${file}\\.test\\.js`));
  },
);

test.serial('a test that hangs ends the run, also one that has asked for more time', async t => {
  const hang = `import {spawn} from 'node:child_process';
    test('hangs', async t => {
      t.timeout(3_600_000);
      spawn('sleep', ['9000'], {stdio: 'ignore'});
      await new Promise(resolve => setTimeout(resolve, 3_600_000));
    });`;
  const run = await runTests(t, {good, hang}, {env: {ZLR_TEST_SILENCE_MS: '20000'}});
  t.regex(run.output, /no test has ended for 20 s/);
  t.regex(run.output, /hangs/);
  t.is(run.status, 1);
  t.regex(run.lastLine ?? '', /^1 passed, \d failed$/);
});

test.serial('a run without any test has failed', async t => {
  const run = await runTests(t, {});
  t.is(run.lastLine, '0 passed, 1 failed');
  t.is(run.status, 1);
});

test.serial('arguments select the files to run', async t => {
  const run = await runTests(t, {a: good, b: "test('bad', t => t.fail());"}, {args: ['a.test.js']});
  t.is(run.lastLine, '1 passed, 0 failed');
  t.is(run.status, 0);
});

test.serial(
  'a process, a segment and a file that outlive the run are named, fail it and go with it',
  async t => {
    const leak = `import {execFileSync, spawn} from 'node:child_process';
    import {writeFileSync} from 'node:fs';
    import {tmpdir} from 'node:os';
    test('leak', t => {
      spawn('sleep', ['9000'], {detached: true, stdio: 'inherit'}).unref();
      writeFileSync(tmpdir() + '/left.txt', '');
      console.log(execFileSync('ipcmk', ['-M', '12345']).toString());
      t.pass();
    });`;
    const run = await runTests(t, {a: leak});
    const pid = /left behind, gone with the run: process (\d+) \(sleep 9000\)/.exec(run.output)?.[1];
    t.truthy(pid);
    // Its new parent may not have waited for it yet, but a dead process has no command line.
    t.true(!existsSync(`/proc/${pid}`) || readFileSync(`/proc/${pid}/cmdline`).length === 0);
    t.regex(run.output, /left behind, gone with the run: left\.txt in/);
    const id = /Shared memory id: (\d+)/.exec(run.output)![1]!;
    const flags = process.getuid!() === 0 ? ['--ipc'] : ['--map-current-user', '--ipc'];
    if (spawnSync('unshare', [...flags, 'true']).status === 0) {
      t.regex(run.output, new RegExp(`left behind, gone with the run: segment ${id} of 12345 bytes`));
      t.is(run.lastLine, '1 passed, 3 failed');
    } else {
      execFileSync('ipcrm', ['-m', id]);
      t.regex(run.output, /shared memory was not checked/);
      t.is(run.lastLine, '1 passed, 2 failed');
    }
    t.is(run.status, 1);
  },
);

for (const [where, path] of [
  ['', process.env['PATH']],
  [', without a namespace of its own too', '/nowhere'],
] as const)
  test.serial(`what others make while a run lasts is not judged, another run among them${where}`, async t => {
    const runs: Socket[] = [];
    const server = createServer(socket => runs.push(socket)).listen(0, '127.0.0.1');
    t.teardown(() => server.close());
    await once(server, 'listening');
    // It says that it is there, and goes on when it may.
    const waiting = `import {connect} from 'node:net';
      import {once} from 'node:events';
      test('waits', async t => {
        await once(connect(${(server.address() as AddressInfo).port}, '127.0.0.1').resume(), 'close');
        t.pass();
      });`;
    const first = runTests(t, {waiting}, {path});
    await Promise.race([once(server, 'connection'), first]);
    const second = runTests(t, {waiting}, {path});
    await Promise.race([once(server, 'connection'), second]);

    // Another program of this user: its process and its segment, which nobody has attached, come and stay.
    const id = /\d+/.exec(execFileSync('ipcmk', ['-M', '4096']).toString())![0];
    t.teardown(() => execFileSync('ipcrm', ['-m', id]));
    const other = spawn('sleep', ['9000'], {stdio: 'ignore'});
    t.teardown(async () => {
      other.kill('SIGKILL');
      await once(other, 'exit');
    });

    runs[0]?.end();
    const outcomes = [await first];
    runs[1]?.end();
    outcomes.push(await second);
    for (const {lastLine, output} of outcomes) {
      t.is(lastLine, '1 passed, 0 failed', output);
      if (where !== '') t.regex(output, /shared memory was not checked/);
    }
    t.is(other.exitCode, null);
  });

test.serial('a runner that was cut short has failed, whatever it had counted', t => {
  const line = '{"counts":{"passed":5,"failed":0,"skipped":0},"ended":false}\n';
  t.deepEqual(readRecord(line, true), {passed: 5, failed: 1, skipped: 0});
  t.deepEqual(readRecord('', true), {passed: 0, failed: 1, skipped: 0});
  const ended = line.replace('false', 'true');
  t.deepEqual(readRecord(ended, true), {passed: 5, failed: 0, skipped: 0});
  t.deepEqual(readRecord(ended, false), {passed: 5, failed: 1, skipped: 0});
});
