/**
 * Proves that what only helps to look after a service stops none: a run folder that cannot be written, is full, has too long a path, or is
 * taken away. A fault costs what it always costs, the log says so once, and the folder comes back when it can.
 *
 * To see it fail: in supervisor.ts (#openFolder) let an error through.
 */
import {spawnSync} from 'node:child_process';
import {existsSync, mkdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import {Client, makeRunDir, Supervised} from './supervised.js';

const MOUNTS = ['unshare', '--mount'];
const mayMount =
  spawnSync(MOUNTS[0]!, [...MOUNTS.slice(1), 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

/** Runs what follows where a folder is another one. */
const mounted = (script: string): string[] => [...MOUNTS, 'sh', '-c', `${script}; exec "$@"`, 'sh'];

const folders: Record<string, (folder: string) => {runDir: string; wrap?: string[]}> = {
  'has too long a path': folder => ({runDir: join(folder, 'l'.repeat(100))}),
  'cannot be written': folder => ({
    runDir: folder,
    wrap: mounted(`mount --bind ${folder} ${folder} && mount -o remount,ro,bind ${folder}`),
  }),
  'is full': folder => ({
    runDir: folder,
    wrap: mounted(
      `mount -t tmpfs -o size=4k,mode=700 none ${folder} && head -c 4096 /dev/zero > ${folder}/full`,
    ),
  }),
};

for (const [what, place] of Object.entries(folders))
  test.serial(`a run folder that ${what} stops no service`, async t => {
    const {runDir, wrap} = place(makeRunDir(t));
    if (wrap && !mayMount) {
      t.log('not tested: this user may not mount');
      t.pass();
      return;
    }
    const {service, up} = await Supervised.start(t, {
      runDir,
      thresholdMs: 0,
      cwd: tmpdir(),
      ...(wrap && {wrap}),
    });
    const client = await Client.open(t, up.port);
    for (let {pid} = up, generation = 1; generation <= 3; generation++) {
      t.like(await client.who(), {generation, pid});
      process.kill(pid, 'SIGKILL');
      ({pid} = await service.next('up'));
    }
    t.is((await client.who()).generation, 4);
    const lines: string[] = [];
    while (service.count('log') > 0) lines.push((await service.next('log')).log);
    t.is(lines.filter(line => line.includes('the service runs, but')).length, 1, lines.join('\n'));
  });

test.serial('a run folder that is taken away comes back, and a fault meanwhile costs nothing', async t => {
  const runDir = join(makeRunDir(t), 'services');
  mkdirSync(runDir, {mode: 0o700});
  const {service, up} = await Supervised.start(t, {runDir, thresholdMs: 0, cwd: tmpdir()});
  const client = await Client.open(t, up.port);
  rmSync(runDir, {recursive: true});
  process.kill(up.pid, 'SIGKILL');
  const second = await service.next('up');
  t.is((await client.who()).generation, 2);
  while (!existsSync(join(runDir, service.name, 'control.sock'))) await delay(50);
  t.like(await service.status(), {generation: 2, pid: second.pid, faultCount: 1});
  process.kill(second.pid, 'SIGSEGV');
  await service.next('up');
  t.is((await client.who()).generation, 3);
});
