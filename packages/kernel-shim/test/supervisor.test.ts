/**
 * Proves, with real processes, what a supervisor does with a service that ends: gives it another life, gives it up, or
 * lets it go; what it refuses, by which code; and that none of it needs a privilege, or a supervisor at all.
 *
 * To see it fail: change FAST_FAULTS_MAX or EX_CONFIG in src/supervisor/fault.ts; leave out a check in src/control/run-dir.ts; let
 * supervise() leave its folder behind when the program cannot be started.
 */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import {connect} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {FAST_FAULTS_MAX} from '../src/supervisor/fault.js';
import {Client, exited, makeRunDir, type StartOptions, Supervised, type Up} from './supervised.js';

const node = process.execPath;
const shim = fileURLToPath(new URL('..', import.meta.url));
const always = (fault: string): string[] => Array(20).fill(fault);

test.serial('a service that faults at once again and again is given up, and the log says why', async t => {
  const service = new Supervised(t, {plan: always('exit 3')});
  const {end} = await service.next('end');
  t.is(end.exitCode, 1);
  t.is(await service.outcome, 1);
  t.is(service.count('up'), FAST_FAULTS_MAX + 1); // the first life was no restart
  const logs: string[] = [];
  while (service.count('log') > 0) logs.push((await service.next('log')).log);
  t.is(logs.length, FAST_FAULTS_MAX + 1);
  t.regex(
    logs[0]!,
    /^generation 1 \(pid \d+\) ended with exit code 3 \([^)]*\); generation 2 \(pid \d+\) takes over 1 channels$/,
  );
  t.is(
    logs.at(-1),
    `giving up: ${FAST_FAULTS_MAX} faults in a row came within 60 s after a restart, which looks like a bug that restarting does not heal; the state stays, its channels close`,
  );
});

test.serial('with the threshold 0 every fault is transient', async t => {
  const plan = Array(FAST_FAULTS_MAX + 3).fill('exit 3');
  const {service, up} = await Supervised.start(t, {plan, thresholdMs: 0});
  let {port, up: last} = up;
  while (last <= plan.length) ({port, up: last} = await service.next('up'));
  t.like(await (await Client.open(t, port)).who(), {generation: plan.length + 1});
  t.is(service.count('end'), 0);
});

test.serial('a wrong configuration is not tried again', async t => {
  const service = new Supervised(t, {plan: always('exit 78')});
  t.like((await service.next('end')).end, {exitCode: 78});
  t.is((await service.next('log')).log, 'not restarted: the service says that its configuration is wrong');
  t.is(await service.outcome, 78);
  t.is(service.count('up'), 1);
});

test.serial('of a later generation it is not believed: the same files were right a moment ago', async t => {
  const {service} = await Supervised.start(t, {plan: ['SIGSEGV', 'exit 78', 'exit 78'], thresholdMs: 0});
  for (let generation = 2; generation <= 4; generation++) t.is((await service.next('up')).up, generation);
  t.is((await service.status()).generation, 4);
});

test.serial('exit code 0 is the end, after faults too', async t => {
  const service = new Supervised(t, {plan: ['SIGKILL', 'exit 0']});
  t.deepEqual(await service.next('end'), {end: {exitCode: 0, reason: 'the service ended by itself'}});
  t.is(await service.outcome, 0);
  t.is(service.count('up'), 2);
  t.false(existsSync(join(service.runDir, 'service')));
});

test.serial('a stop ends service, keeper and supervisor, and leaves nothing', async t => {
  const {service, up} = await Supervised.start(t);
  const gone = Promise.all([exited(up.pid), exited(up.keeper)]);
  process.kill(service.supervisorPid, 'SIGTERM');
  t.is(await service.outcome, 0);
  await gone;
  t.deepEqual((await service.next('end')).end, {exitCode: 0, reason: 'stopped'});
  t.false(existsSync(join(service.runDir, 'service')));
});

test.serial('whoever sends nonsense to the control socket is cut off, and nothing else happens', async t => {
  const {service, up} = await Supervised.start(t);
  const nonsense = [
    'garbage\n',
    'null\n',
    '5\n',
    '[]\n',
    '{"type":5}\n',
    '{"type":"unheard of"}\n',
    'x'.repeat(1 << 17),
  ];
  for (const text of nonsense) {
    const socket = connect(join(service.runDir, 'service', 'control.sock'));
    socket.on('error', () => socket.destroy()); // cut off in the middle of a long line
    const closed = new Promise(resolve => socket.once('close', resolve));
    socket.resume().write(text);
    await closed;
    t.like(await service.status(), {pid: up.pid, generation: 1, channels: 1, faults: []}, text.slice(0, 20));
  }
});

async function refusal(t: Parameters<typeof makeRunDir>[0], options: StartOptions) {
  const service = new Supervised(t, options);
  const {error} = await service.next('error');
  t.is(await service.outcome, 0);
  return {...error, service};
}

test.serial(
  'a name that is in use is refused, and of twenty that start at one instant one gets it',
  async t => {
    const {service} = await Supervised.start(t);
    const {runDir} = service;
    const {code, message} = await refusal(t, {runDir});
    t.is(code, 'NAME_IN_USE');
    t.regex(message, /'service' runs already; stop it \(`zlr stop --name service`\)/);
    const many = Array.from({length: 20}, () => new Supervised(t, {runDir, name: 'other'}));
    const first = await Promise.race(many.map((each, index) => each.next('up').then(() => index)));
    for (const other of many.filter((_, index) => index !== first))
      t.is((await other.next('error')).error.code, 'NAME_IN_USE');
  },
);

test.serial('a name that is none is refused before anything is made', async t => {
  for (const name of ['', '.', '..', '../escape', 'a/b', '-x', 'x'.repeat(33)]) {
    const runDir = join(makeRunDir(t), 'run');
    mkdirSync(runDir, {mode: 0o700});
    const {code} = await refusal(t, {name, runDir});
    t.is(code, 'NAME_INVALID', name);
  }
});

test.serial('a program that cannot be started is an error that names it, and nothing stays', async t => {
  const missing = await refusal(t, {command: ['/nowhere/server']});
  t.like(missing, {code: 'SPAWN_FAILED', errno: 'ENOENT'});
  t.regex(missing.message, /\/nowhere\/server: ENOENT/);
  t.false(existsSync(join(missing.service.runDir, 'service')));
  t.like(await refusal(t, {command: ['/etc/passwd']}), {code: 'SPAWN_FAILED', errno: 'EACCES'});
  t.like(await refusal(t, {command: []}), {code: 'COMMAND_EMPTY'});
});

test.serial('a folder that others may enter, or that is a link, is refused', async t => {
  const open = makeRunDir(t);
  chmodSync(open, 0o770);
  const {code, message} = await refusal(t, {runDir: open});
  t.is(code, 'RUN_DIR_UNSAFE');
  t.regex(message, /with mode 700.*ZLR_RUN_DIR/);

  const linked = join(makeRunDir(t), 'link');
  symlinkSync(makeRunDir(t), linked);
  t.is((await refusal(t, {runDir: linked})).code, 'RUN_DIR_UNSAFE');

  const inner = makeRunDir(t);
  mkdirSync(join(inner, 'service'));
  chmodSync(join(inner, 'service'), 0o755);
  t.is((await refusal(t, {runDir: inner})).code, 'RUN_DIR_UNSAFE');
});

test.serial('without a supervisor the same service is an ordinary one', async t => {
  t.timeout(60_000);
  const child = spawn(node, [join(shim, 'test/fixtures/service.mjs'), join(shim, 'dist')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = once(child, 'exit');
  t.teardown(() => child.kill('SIGKILL'));
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const up = JSON.parse(line) as Up;
  t.like(up, {up: 1, supervised: false, keeper: 0, channels: null});
  const client = await Client.open(t, up.port);
  t.like(await client.who(), {generation: 1, keeper: 0});
  child.kill('SIGTERM');
  await client.ended; // no keeper holds it
  t.deepEqual(await exit, [0, null]);
});

/** The built package where everybody can read it: a checkout may lie in a private folder. */
function publish(t: Parameters<typeof makeRunDir>[0]): NonNullable<StartOptions['at']> {
  const directory = mkdtempSync(join(tmpdir(), 'zlr-public-'));
  t.teardown(() => rmSync(directory, {recursive: true}));
  chmodSync(directory, 0o755);
  for (const part of ['dist', 'build/Release/zlr.node', 'package.json', 'test/fixtures']) {
    cpSync(join(shim, part), join(directory, part), {recursive: true});
  }
  return {dist: join(directory, 'dist'), fixture: name => join(directory, 'test/fixtures', name)};
}

test.serial('an ordinary user without any capability has all of it', async t => {
  const nobody = 65534;
  const isRoot = process.getuid!() === 0;
  // Who runs this as an ordinary user has proved it with every other test; here the same without root's means.
  const wrap = [
    'setpriv',
    '--no-new-privs',
    ...(isRoot ? [`--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', '--bounding-set=-all'] : []),
    '--inh-caps=-all',
  ];
  const home = mkdtempSync(join(tmpdir(), 'zlr-home-'));
  t.teardown(() => rmSync(home, {recursive: true, force: true}));
  chmodSync(home, 0o777);
  const {service, up} = await Supervised.start(t, {
    wrap,
    at: publish(t),
    cwd: home,
    runDir: join(home, 'run'),
    thresholdMs: 0,
  });
  const processStatus = readFileSync(`/proc/${up.pid}/status`, 'utf8');
  t.regex(processStatus, /^CapEff:\s0+$/m);
  t.regex(processStatus, /^NoNewPrivs:\s1$/m);
  if (isRoot) t.regex(processStatus, /^Uid:\s65534\s65534\s65534\s65534$/m);
  const client = await Client.open(t, up.port);
  await client.who();
  process.kill(up.pid, 'SIGSEGV');
  t.like(await client.who(), {generation: 2});
  const second = await service.next('up');
  process.kill(second.keeper, 'SIGKILL');
  await exited(second.keeper);
  let {keeper} = await client.who();
  while (keeper === 0 || keeper === second.keeper) ({keeper} = await client.who());
  await service.killSupervisor();
  process.kill(second.pid, 'SIGKILL');
  t.like(await client.who(), {generation: 3});
});
