/**
 * Proves that a service which closes what is not its own, speaks nonsense over its own links, or leaves orphans, and an operator who
 * allows no more processes, cost no connection.
 *
 * To see it fail: in native/keeper/own.c do not compare the inode; in supervisor.ts (#onMemberWord) believe a number; in machine.ts do
 * not try again; in reaper.ts do not reap strangers.
 */
import {type ChildProcess, spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {readdirSync, readFileSync, readlinkSync} from 'node:fs';
import {setTimeout as delay} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {Client, exited, makeRunDir, Supervised} from './supervised.js';

const {serial} = test;

function mayNot(t: ExecutionContext, what: string): void {
  t.log(`not tested: this user may not ${what}`);
  t.pass();
}

function linkOf(pid: number, fd: string): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return ''; // closed since
  }
}

/** The inodes of unix sockets, as /proc/net/unix lists them. */
function unixSockets(): Set<string> {
  const lines = readFileSync('/proc/net/unix', 'latin1').split('\n').slice(1);
  return new Set(lines.map(line => `socket:[${line.split(/ +/)[6]}]`));
}

async function twoKeepers(service: Supervised): Promise<number[]> {
  for (;;) {
    const {keepers} = await service.status();
    if (keepers.length === 2) return keepers;
    await delay(20);
  }
}

serial(
  'a service that closes what its keepers and its supervisor use costs itself no connection',
  async t => {
    const {service, up} = await Supervised.start(t, {thresholdMs: 0});
    const client = await Client.open(t, up.port);
    let {pid} = up;
    let generation = 1;
    for (let nth = 0; ; nth++) {
      await twoKeepers(service);
      const unix = unixSockets();
      // In the table that service and keepers share: pidfds, and the links of all three.
      const theirs = readdirSync(`/proc/${pid}/fd`)
        .filter(fd => Number(fd) > 2)
        .filter(fd => linkOf(pid, fd) === 'anon_inode:[pidfd]' || unix.has(linkOf(pid, fd)));
      t.true(theirs.length >= 5, `${theirs.length}`);
      if (nth === theirs.length) break;
      await client.ask(`drop ${theirs[nth]}`);
      process.kill(pid, 'SIGKILL');
      ({pid} = await service.next('up'));
      t.like(await client.who(), {generation: ++generation, pid}, `number ${nth}`);
    }
  },
);

serial('whatever a service says over its links harms nobody', async t => {
  const {service, up} = await Supervised.start(t, {thresholdMs: 0});
  const client = await Client.open(t, up.port);
  let {pid} = up;
  for (let generation = 1; generation <= 5; generation++) {
    await twoKeepers(service);
    const open = (): number => readdirSync(`/proc/${service.supervisorPid}/fd`).length;
    const before = open();
    t.true((await client.ask<{sent: number}>('junk')).sent > 0);
    await service.status(); // by then it has heard
    t.true(open() <= before + 2, `${open()} descriptors instead of ${before}`); // the connections of the two questions
    process.kill(pid, 'SIGKILL');
    ({pid} = await service.next('up'));
    t.like(await client.who(), {generation: generation + 1, pid});
  }
});

const UID = 54_321;

serial('where no process can be started any more the channels wait until there can', async t => {
  if (process.getuid!() !== 0) return mayNot(t, 'become another');
  const {service, up} = await Supervised.start(t, {
    thresholdMs: 0,
    cwd: '/',
    wrap: [
      'sh',
      '-c',
      `chown ${UID} "$ZLR_RUN_DIR" && exec setpriv --reuid=${UID} --clear-groups "$@"`,
      'sh',
    ],
  });
  const client = await Client.open(t, up.port);
  const [keeper, other] = await twoKeepers(service);
  const most = /^Max processes +\S+ +(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))![1]!;
  const limit = (pid: number, processes: string): void => {
    const prlimit = ['prlimit', '--pid', String(pid), `--nproc=${processes}:`];
    t.is(spawnSync('setpriv', [`--reuid=${UID}`, '--clear-groups', ...prlimit]).status, 0);
  };
  const said = async (what: RegExp): Promise<void> => {
    while (!what.test((await service.next('log')).log));
  };

  limit(keeper!, '1');
  process.kill(other!, 'SIGKILL');
  await said(/no second keeper can be cloned: EAGAIN/);
  limit(keeper!, most);
  await twoKeepers(service);

  limit(service.supervisorPid, '1');
  process.kill(up.pid, 'SIGKILL');
  await exited(up.pid);
  await said(/cannot start .*node: EAGAIN; trying again/);
  client.send('who');
  limit(service.supervisorPid, most);
  t.is((await service.next('up')).up, 2);
  t.is((await client.ask('keeper')).generation, 2);
});

/** In the namespace of that process. */
function childrenOf(pid: number): {pid: number; state: string}[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return Number(parent) === pid ? [{pid: Number(name), state: state!}] : [];
      } catch {
        return []; // gone since
      }
    });
}

serial("as process 1 of a container it reaps everybody's orphans, and follows a service as ever", async t => {
  const unshare = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child=SIGKILL'];
  if (spawnSync(unshare[0]!, [...unshare.slice(1), 'true']).status !== 0) return mayNot(t, 'make namespaces');
  const {service, up} = await Supervised.start(t, {thresholdMs: 0, wrap: unshare});
  const client = await Client.open(t, up.port);
  for (let generation = 1; generation <= 3; generation++) {
    t.is((await client.who()).generation, generation);
    await client.ask('orphan');
    client.send('SIGKILL');
    await service.next('up');
  }
  await client.ask('orphan');
  const [init] = childrenOf(service.supervisorPid);
  while (childrenOf(init!.pid).some(({state}) => state === 'Z')) await delay(20);
  t.is((await client.who()).generation, 4);
  process.kill(init!.pid, 'SIGTERM');
  t.is(await service.outcome, 0);
});

serial("a program's other children are its own: each end of one is told to it", async t => {
  // As a program that supervises and runs something else, too.
  const child: ChildProcess = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import {supervise} from '${new URL('../dist/index.js', import.meta.url).href}';
       import {spawn} from 'node:child_process';
       import {once} from 'node:events';
       const supervisor = await supervise({name: 'busy', command: [process.execPath, '-e', 'setInterval(() => {}, 1e6)'], log: () => {}});
       for (let code = 0; code < 40; code++) {
         const [ended] = await once(spawn('sh', ['-c', 'exit ' + code]), 'exit');
         if (ended !== code) throw new Error(ended + ' instead of ' + code);
       }
       await supervisor.stop();
       console.log('told');`,
    ],
    {env: {...process.env, ZLR_RUN_DIR: makeRunDir(t)}, stdio: ['ignore', 'pipe', 'inherit']},
  );
  let out = '';
  child.stdout!.on('data', data => {
    out += data;
  });
  t.deepEqual(await once(child, 'close'), [0, null]);
  t.is(out, 'told\n');
});
