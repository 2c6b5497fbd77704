import {type ChildProcess, execFileSync, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import test from 'ava';
import {killAll, processesWith, segments, segmentsMadeBy} from '../leftovers.mjs';

async function end(child: ChildProcess) {
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

test('a process is found by the variable it inherited, and not when it is gone', async t => {
  const value = `${process.pid}-${process.hrtime.bigint()}`;
  const child = spawn('sleep', ['9000'], {env: {MARK_OF_TEST: value}, detached: true, stdio: 'ignore'});
  await once(child, 'spawn');
  t.deepEqual(processesWith('MARK_OF_TEST', value), [{pid: child.pid!, command: 'sleep 9000'}]);
  t.deepEqual(processesWith('MARK_OF_TEST', value.slice(0, -1)), []);
  await end(child);
  t.deepEqual(processesWith('MARK_OF_TEST', value), []);
});

test('a segment is known by its maker, unless it stood before: pids are used again', async t => {
  const before = segments();
  const maker = spawn('ipcmk', ['-M', '4096'], {stdio: ['ignore', 'pipe', 'inherit']});
  const exited = once(maker, 'exit');
  const [said] = await once(maker.stdout.setEncoding('utf8'), 'data');
  const id = Number(/\d+/.exec(said)![0]);
  t.teardown(() => execFileSync('ipcrm', ['-m', String(id)]));
  await exited;
  t.deepEqual(segmentsMadeBy(before, new Set([maker.pid!])), [{id, size: 4096, creator: maker.pid!}]);
  t.deepEqual(segmentsMadeBy(before, new Set([process.pid])), []);
  t.deepEqual(segmentsMadeBy(segments(), new Set([maker.pid!])), []);
});

test('a file that a runner left open for all it starts makes nobody the keeper of another', async t => {
  const runDir = mkdtempSync(join(tmpdir(), 'zlr-left-'));
  t.teardown(() => rmSync(runDir, {recursive: true}));
  const cat = spawn('cat', {stdio: ['pipe', 'ignore', 'ignore']});
  t.teardown(() => end(cat));
  const {fd} = (cat.stdin as unknown as {_handle: {fd: number}})._handle;
  const name = `shared-${process.pid}`;
  const supervisor = spawn(
    process.execPath,
    [resolve('packages/cli/bin/zlr.js'), 'serve', 'scripts', '--port', '0', '--name', name],
    {env: {...process.env, ZLR_RUN_DIR: runDir}, stdio: ['ignore', 'pipe', 'ignore', fd]},
  );
  t.teardown(async () => {
    const exited = once(supervisor, 'exit');
    supervisor.kill('SIGTERM');
    await exited;
  });
  await once(supervisor.stdout!, 'data');
  const child = spawn('sleep', ['9000'], {
    env: {MARK_OF_TEST: name},
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', fd],
  });
  t.teardown(() => end(child));
  await once(child, 'spawn');
  t.deepEqual(processesWith('MARK_OF_TEST', name), [{pid: child.pid!, command: 'sleep 9000'}]);
});

test('a service without its supervisor is found with its keepers, which would start it again, and all are ended', async t => {
  const runDir = mkdtempSync(join(tmpdir(), 'zlr-left-'));
  t.teardown(() => rmSync(runDir, {recursive: true}));
  const before = segments();
  const name = `left-${process.pid}`;
  const env = {...process.env, ZLR_RUN_DIR: runDir, MARK_OF_TEST: name};
  const supervisor = spawn(
    process.execPath,
    [resolve('packages/cli/bin/zlr.js'), 'serve', 'scripts', '--port', '0', '--name', name],
    {env, stdio: ['ignore', 'pipe', 'ignore']},
  );
  await once(supervisor.stdout, 'data');
  await end(supervisor);

  const left = () => processesWith('MARK_OF_TEST', name);
  t.teardown(() => killAll(left));
  const isKeeper = ({command}: {command: string}): boolean => command === 'zlr-keeper';
  while (left().filter(isKeeper).length < 2); // the second is cloned by the first in its own time
  const [service, ...others] = left().filter(each => !isKeeper(each));
  t.regex(service?.command ?? '', /serve-main\.js .* --name left-/);
  t.deepEqual(others, []);

  await killAll(left);
  t.deepEqual(left(), []);
  const made = segmentsMadeBy(before, new Set([service!.pid]));
  t.is(made.length, 1);
  execFileSync('ipcrm', ['-m', `${made[0]?.id}`]);
});
