/**
 * Proves that each class of fault is told as what it was, with what an operator needs beside it, and that connections outlive all
 * of them: signals, uncaught errors, a full heap, the kernel's OOM killer, hangs, and age.
 *
 * To see it fail: in machine.ts do not set the verdict, or kill at the first silence of a stopped supervisor; in backend/heartbeat.ts
 * do not beat; in memory.ts read another counter.
 */
import {once} from 'node:events';
import {existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import {Client, Supervised} from './supervised.js';

const {serial} = test;
const node = process.execPath;

const FATAL = [
  'SIGSEGV',
  'SIGBUS',
  'SIGFPE',
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGSYS',
  'SIGKILL',
  'SIGQUIT',
  'SIGXCPU',
] as const;

serial('every fatal signal is told as itself, and a connection outlives all of them', async t => {
  const {service, up} = await Supervised.start(t, {thresholdMs: 0});
  const client = await Client.open(t, up.port);
  let {pid} = up;
  for (const [index, signal] of FATAL.entries()) {
    t.is((await client.who()).generation, index + 1);
    // What is told is the matter here, not how soon it may come.
    let {keepers} = await service.status();
    while (keepers.length < 2) ({keepers} = await service.status());
    process.kill(pid, signal);
    pid = (await service.next('up')).pid;
  }
  t.is((await client.who()).generation, FATAL.length + 1);
  t.deepEqual(
    (await service.faults()).map(({class: kind, signal}) => [kind, signal]),
    FATAL.map(signal => ['signal', signal]),
  );
});

serial('uncaught exceptions, unhandled rejections and exit codes are exits with their code', async t => {
  const {service, up} = await Supervised.start(t, {thresholdMs: 0});
  const client = await Client.open(t, up.port);
  for (const way of ['throw', 'reject', 'exit 3']) {
    client.send(way);
    await service.next('up');
  }
  t.is((await client.who()).generation, 4);
  t.deepEqual(
    (await service.faults()).map(({class: kind, exitCode}) => [kind, exitCode]),
    [
      ['exit', 1],
      ['exit', 1],
      ['exit', 3],
    ],
  );
  const {faults} = await service.status();
  for (const {uptimeMs, rssBytes, heapBytes} of faults) {
    t.true(uptimeMs > 0);
    t.true(rssBytes! > 10e6 && heapBytes! > 1e6);
  }
  t.regex((await service.next('log')).log, /exit code 1 \(after [\d.]+ s, RSS \d+ MB, heap \d+ MB\); gen/);
});

serial("V8's heap out of memory is class oom, told apart from any other SIGABRT", async t => {
  const {service, up} = await Supervised.start(t, {
    thresholdMs: 0,
    env: {NODE_OPTIONS: '--max-old-space-size=60'},
  });
  const client = await Client.open(t, up.port);
  client.send('heap');
  const second = await service.next('up');
  t.false(existsSync(join(service.runDir, service.name, `fatal-${up.pid}.json`)));
  client.send('SIGABRT');
  await service.next('up');
  t.is((await client.who()).generation, 3);
  t.not(second.pid, up.pid);
  t.deepEqual(
    (await service.faults()).map(({class: kind, signal}) => [kind, signal]),
    [
      ['oom', 'SIGABRT'],
      ['signal', 'SIGABRT'],
    ],
  );
});

/** A memory cgroup below this process' own; undefined: none can be made here. */
function makeMemoryGroup(): string | undefined {
  const own = /^\d+:memory:(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
  if (own === undefined) return undefined;
  const group = join('/sys/fs/cgroup/memory', own, `zlr-test-${process.pid}`);
  try {
    mkdirSync(group);
    writeFileSync(join(group, 'memory.limit_in_bytes'), String(300 << 20));
  } catch {
    return undefined;
  }
  return group;
}

serial(
  "the kernel's OOM killer in a memory cgroup is class oom, told apart from any other SIGKILL",
  async t => {
    const group = makeMemoryGroup();
    if (group === undefined) {
      t.log('no memory cgroup (version 1) can be made here: this is not tested on this machine');
      t.pass();
      return;
    }
    const {service, up} = await Supervised.start(t, {
      thresholdMs: 0,
      wrap: ['sh', '-c', `echo $$ > ${group}/cgroup.procs; exec "$@"`, 'sh'],
    });
    const client = await Client.open(t, up.port);
    client.send('memory');
    const {pid} = await service.next('up');
    process.kill(pid, 'SIGKILL');
    await service.next('up');
    t.is((await client.who()).generation, 3);
    t.deepEqual(
      (await service.faults()).map(({class: kind, signal}) => [kind, signal]),
      [
        ['oom', 'SIGKILL'],
        ['signal', 'SIGKILL'],
      ],
    );
    process.kill(service.supervisorPid, 'SIGTERM');
    await service.outcome;
    rmdirSync(group);
  },
);

/** The supervisor has told it, and its thread looks. */
async function untilWatched(pid: number): Promise<void> {
  const names = (): string[] =>
    readdirSync(`/proc/${pid}/task`).map(task =>
      readFileSync(`/proc/${pid}/task/${task}/comm`, 'latin1').trim(),
    );
  while (!names().includes('zlr-hang')) await delay(10);
}

serial('a loop that does not turn, and a process that is stopped, are killed and told as hang', async t => {
  const {service, up} = await Supervised.start(t, {thresholdMs: 0, hangMs: 2_000});
  const client = await Client.open(t, up.port);
  await untilWatched(up.pid);
  client.send('spin');
  await untilWatched((await service.next('up')).pid);
  client.send('deadlock'); // in native code: a futex that nobody wakes
  const {pid} = await service.next('up');
  process.kill(pid, 'SIGSTOP');
  await service.next('up');
  t.is((await client.who()).generation, 4);
  const said: string[] = [];
  while (service.count('log') > 0) said.push((await service.next('log')).log);
  const hangs = said.flatMap((line, index) => (line.includes(' hangs: ') ? [index] : []));
  t.regex(said[hangs[0]!]!, /no heartbeat for 2\.5 s; killing it\. Its JavaScript is at:$/);
  t.regex(said[hangs[0]! + 1]!, /^ {4}at spin \(file:\/\/.*\/service\.mjs:\d+:\d+\)$/);
  t.true(
    said.some(line => /^ {4}at .*onStreamRead \(node:internal/.test(line)),
    said.join('\n'),
  );
  t.is(hangs.length, 3);
  t.regex(said[hangs[2]!]!, /It does not say where: it is stopped, or in native code$/);
  t.deepEqual(
    (await service.faults()).map(({class: kind, signal}) => [kind, signal]),
    [
      ['hang', 'SIGKILL'],
      ['hang', 'SIGKILL'],
      ['hang', 'SIGKILL'],
    ],
  );
});

serial('a supervisor that was stopped itself takes no service for hung', async t => {
  const {service, up} = await Supervised.start(t, {thresholdMs: 0, hangMs: 2_000});
  const client = await Client.open(t, up.port);
  // Another process measures the time: longer than the limit for sure.
  process.kill(service.supervisorPid, 'SIGSTOP');
  const {spawn} = await import('node:child_process');
  await once(spawn(node, ['-e', 'setTimeout(() => {}, 4000)']), 'exit');
  process.kill(service.supervisorPid, 'SIGCONT');
  t.deepEqual(await service.faults(), []);
  t.is((await client.who()).generation, 1);
});

serial(
  'a service beyond a limit for three beats is followed by a fresh one, with its connections',
  async t => {
    const {service, up} = await Supervised.start(t, {thresholdMs: 0, aging: {rssBytes: 200e6}});
    const client = await Client.open(t, up.port);
    for (let life = 1; life <= 2; life++) {
      client.send('leak');
      t.is((await service.next('up')).up, life + 1);
    }
    t.is((await client.who()).generation, 3);
    for (const {class: kind, rssBytes} of (await service.status()).faults) {
      t.is(kind, 'aging');
      t.true(rssBytes! > 200e6);
    }
  },
);

serial('a service that grows and grows is followed by a fresh one, with its connections', async t => {
  // A beat every 500 ms, and each is a period: 15 s are enough to tell.
  const {service, up} = await Supervised.start(t, {
    thresholdMs: 0,
    hangMs: 2_000,
    aging: {descriptorsPerHour: 10_000},
  });
  const client = await Client.open(t, up.port);
  client.send('grow');
  t.is((await service.next('up')).up, 2);
  t.is((await client.who()).generation, 2);
  const said: string[] = [];
  while (service.count('log') > 0) said.push((await service.next('log')).log);
  t.regex(said.join('\n'), /has grown old \(growth of open descriptors per hour: \d+, the limit is 10000\)/);
});
