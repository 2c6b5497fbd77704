/**
 * Proves that a service below a shell, npm or another wrapper, or with helpers of its own, faults, stops and is told of as one that is
 * started bare.
 *
 * To see it fail: in supervisor.ts do not end what is left of a session, or do not answer at the door; in backend/keepers.ts do not
 * knock.
 */
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {Client, exited, Supervised} from './supervised.js';

const node = process.execPath;
const dist = fileURLToPath(new URL('../dist', import.meta.url));
const fixture = fileURLToPath(new URL('fixtures/service.mjs', import.meta.url));

function npmFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'zlr-npm-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  mkdirSync(join(folder, 'cache'));
  const scripts = {start: `${node} --no-warnings ${fixture} ${dist}`};
  writeFileSync(join(folder, 'package.json'), JSON.stringify({name: 'wrapped', scripts}));
  return folder;
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]);
}

/** The processes of this user with that in their command line. */
function withArgument(text: string): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .filter(name => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'latin1').split('\0').includes(text);
      } catch {
        return false; // it has just gone
      }
    })
    .map(Number);
}

const wrappers: Record<string, (t: ExecutionContext) => {command: string[]; cwd?: string}> = {
  'a shell': () => ({command: ['sh', '-c', `cd / && "$0" --no-warnings "$@"; exit $?`, node, fixture, dist]}),
  'two shells': () => ({
    command: ['sh', '-c', `sh -c '"$0" --no-warnings "$@"; exit $?' "$0" "$@"; exit $?`, node, fixture, dist],
  }),
  npm: t => ({
    command: [join(dirname(node), 'npm'), 'start', '--silent', '--no-update-notifier'],
    cwd: npmFolder(t),
  }),
};

for (const [what, wrap] of Object.entries(wrappers))
  test.serial(`a service below ${what}: a fault costs no connection, and a stop ends all of it`, async t => {
    const {service, up} = await Supervised.start(t, {thresholdMs: 0, ...wrap(t)});
    t.true(up.supervised);
    t.not(parentOf(up.pid), service.supervisorPid, 'something stands between them');
    const client = await Client.open(t, up.port);
    for (const [fault, signal] of (['SIGSEGV', 'SIGKILL'] as const).entries()) {
      const {pid, generation} = await client.who();
      t.is(generation, fault + 1);
      t.is((await service.status()).pid, pid, 'the service itself, not what it stands below');
      process.kill(pid, signal);
      await service.next('up');
    }
    const {pid, generation} = await client.who();
    t.is(generation, 3);
    t.deepEqual(
      (await service.faults()).map(({class: kind, signal}) => [kind, signal]),
      [
        ['signal', 'SIGSEGV'],
        ['signal', 'SIGKILL'],
      ],
    );
    process.kill(service.supervisorPid, 'SIGTERM');
    t.is(await service.outcome, 0);
    await exited(pid);
    await client.ended;
  });

test.serial('the shell above a service killed alone costs nothing', async t => {
  const {service, up} = await Supervised.start(t, {thresholdMs: 0, ...wrappers['a shell']!(t)});
  const client = await Client.open(t, up.port);
  const shell = parentOf(up.pid);
  process.kill(shell, 'SIGKILL');
  await exited(shell);
  t.like(await client.who(), {generation: 1, pid: up.pid});
  process.kill(up.pid, 'SIGKILL');
  await service.next('up');
  t.is((await client.who()).generation, 2);
});

test.serial(
  'a child that was started before the package was loaded, and lives on, costs nothing',
  async t => {
    // It has the service's links, and its variables: they are what the service has at that time.
    const mark = `early-${process.pid}`;
    const early = `import {spawn} from 'node:child_process';
    spawn(process.execPath, ['-e', 'setInterval(() => {}, 60_000)', '${mark}'], {detached: true, stdio: 'ignore'}).unref();`;
    t.teardown(() => {
      for (const pid of withArgument(mark)) process.kill(pid, 'SIGKILL');
    });
    const {service, up} = await Supervised.start(t, {
      thresholdMs: 0,
      command: [
        node,
        '--import',
        `data:text/javascript,${encodeURIComponent(early)}`,
        ...['--no-warnings', fixture, dist],
      ],
    });
    const client = await Client.open(t, up.port);
    let {pid} = up;
    for (let generation = 2; generation <= 5; generation++) {
      t.is(withArgument(mark).length, generation - 1, 'one of each generation, in a session of its own');
      if (generation === 4) await service.killSupervisor();
      process.kill(pid, 'SIGKILL');
      ({pid} = await service.next('up'));
      t.like(await client.who(), {generation, pid});
    }
  },
);

test.serial('helpers of a dead generation, and of a stopped service, are not left behind', async t => {
  // SIGTERM does not reach it: it is one that ignores it.
  const mark = `helper-${process.pid}`;
  const helper = `process.on('SIGTERM', () => {}); setInterval(() => {}, 60_000)`;
  const {service, up} = await Supervised.start(t, {
    thresholdMs: 0,
    command: [
      'sh',
      '-c',
      `"$0" -e "${helper}" ${mark} & "$0" --no-warnings "$@"; exit $?`,
      node,
      fixture,
      dist,
    ],
  });
  const client = await Client.open(t, up.port);
  const [first] = withArgument(mark).filter(pid => parentOf(pid) === parentOf(up.pid));
  t.truthy(first);
  process.kill(up.pid, 'SIGSEGV');
  await service.next('up');
  await exited(first!);
  t.is((await client.who()).generation, 2);
  process.kill(service.supervisorPid, 'SIGTERM');
  t.is(await service.outcome, 0);
  t.deepEqual(withArgument(mark), []);
});
