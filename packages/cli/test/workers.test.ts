/**
 * `--workers N`: processes of one service that share its port, each followed for itself when it faults or is restarted, commanded together or
 * one by one.
 *
 * To see it fail: let zlr_bind set no SO_REUSEPORT, or have ownName() give every worker the same state.
 */
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {native} from '@zlr/kernel-shim/internal';
import test from 'ava';
import {Wire} from '../../../test/support/wire.js';
import {CommandLine} from './command-line.js';
import {folder} from './served-folder.js';

/** Nearly surely, each of two workers has some of so many connections. */
const CLIENTS = 40;

interface Found {
  name: string;
  generation: number;
  pid: number;
  supervisorPid: number;
  channels: number;
  faults: {class: string}[];
}

async function workersOf({run}: {run: CommandLine['run']}, name: string): Promise<Found[]> {
  const {stdout} = await run('status', '--name', name, '--json');
  return stdout
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line));
}

const open = (port: number): Promise<Wire[]> =>
  Promise.all(Array.from({length: CLIENTS}, () => Wire.open(port)));

async function askAll(wires: readonly Wire[], path: string): Promise<string[]> {
  for (const wire of wires) wire.get(path);
  return Promise.all(wires.map(async wire => (await wire.answer()).body.toString()));
}

test.serial(
  'workers share a port and its connections; the fault of one, and their restart one by one, lose none',
  async t => {
    const commandLine = new CommandLine(t);
    const cli = {run: commandLine.run.bind(commandLine)};
    const name = commandLine.serviceName;
    const served = ['serve', folder(t), '--port', '0', '--workers', '2', '--name', name, '--threshold', '0'];
    const server = commandLine.start(...served);
    const port = Number(new URL((await server.line()).replace('listening on ', '')).port);
    for (let ready = 0; ready < 2; )
      ready = (await workersOf(cli, name)).filter(({channels}) => channels > 0).length;
    const wires = await open(port);
    const hello = Array(CLIENTS).fill('hello\n');
    t.deepEqual(await askAll(wires, '/hello.txt'), hello);

    const [first, second] = (await workersOf(cli, name)) as [Found, Found];
    t.deepEqual([first.name, second.name], [`${name}.1`, `${name}.2`]);
    t.true(first.channels > 1 && second.channels > 1, 'the kernel has dealt the connections out');
    t.is(first.channels + second.channels, CLIENTS + 2);
    process.kill(first.pid, 'SIGKILL');
    t.deepEqual(await askAll(wires, '/hello.txt'), hello);
    t.deepEqual(
      (await workersOf(cli, name)).map(({generation}) => generation),
      [2, 1],
    );

    const restarted = await commandLine.run('restart', '--name', name, '--probation', '0');
    t.is(restarted.exitCode, 0, restarted.stderr);
    t.regex(
      restarted.stdout,
      new RegExp(`^${name}\\.1: generation 3 .*\n(  .*\n)+${name}\\.2: generation 2 `),
    );
    t.deepEqual(await askAll(wires, '/hello.txt'), hello);

    t.is((await commandLine.run('restart', '--name', `${name}.2`, '--probation', '0')).exitCode, 0);
    t.deepEqual(
      (await workersOf(cli, name)).map(({generation}) => generation),
      [3, 3],
    );
    t.is((await commandLine.run('stop', '--name', `${name}.1`)).exitCode, 0);
    t.deepEqual(
      (await workersOf(cli, name)).map(each => each.name),
      [`${name}.2`],
    );
    const [late] = await open(port);
    t.deepEqual(await askAll([late!], '/hello.txt'), ['hello\n'], 'the one that is left serves');
    for (const wire of wires) wire.socket.destroy();
    t.is((await commandLine.run('stop')).exitCode, 0);
    t.is((await server.outcome).exitCode, 0);
  },
);

test.serial(
  'any node:http program: its workers keep the port, their connections and what each has in work',
  async t => {
    const commandLine = new CommandLine(t);
    const cli = {run: commandLine.run.bind(commandLine)};
    const name = commandLine.serviceName;
    // Bound for as long as this test runs, so that nobody else has it.
    const fd = native().socketBind('127.0.0.1', 0, 1);
    t.teardown(() => native().close(fd));
    const {port} = native().localAddress(fd);
    const program = join(commandLine.runDir, 'program.cjs');
    writeFileSync(
      program,
      `require('node:http').createServer((request, response) => {
      if (request.url === '/die') process.kill(process.pid, 'SIGKILL');
      else response.end('here');
    }).listen(${port}, '127.0.0.1', () => console.log('ready'));`,
    );
    const server = commandLine.start(
      'run',
      '--http',
      '--workers',
      '2',
      '--name',
      name,
      '--',
      process.execPath,
      program,
    );
    t.deepEqual([await server.line(), await server.line()], ['ready', 'ready']);
    const wires = await open(port);
    t.deepEqual(await askAll(wires, '/'), Array(CLIENTS).fill('here'));
    const before = await workersOf(cli, name);
    t.true(before.every(({channels}) => channels > 1));
    const dying = await Wire.open(port);
    dying.get('/die');
    t.is((await dying.answer()).status, 500, 'what ends the process each time is set aside');
    t.deepEqual(await askAll(wires, '/'), Array(CLIENTS).fill('here'));
    const after = await workersOf(cli, name);
    t.deepEqual(after.map(({generation}) => generation).sort(), [1, 4], 'it has concerned one of them alone');
    for (const wire of [...wires, dying]) wire.socket.destroy();
    t.is((await commandLine.run('stop', '--name', name)).exitCode, 0);
    t.is((await server.outcome).exitCode, 0);
  },
);

test.serial('SIGHUP to a supervisor without a terminal restarts its service', async t => {
  const commandLine = new CommandLine(t);
  const name = commandLine.serviceName;
  const server = commandLine.start('serve', folder(t), '--port', '0', '--name', name);
  const port = Number(new URL((await server.line()).replace('listening on ', '')).port);
  const wire = await Wire.open(port);
  wire.get('/hello.txt');
  t.is((await wire.answer()).body.toString(), 'hello\n');
  server.signal('SIGHUP');
  await server.warned(/generation 2 goes on with 1 connections/);
  wire.get('/hello.txt');
  t.is((await wire.answer()).body.toString(), 'hello\n');
  const [found] = await workersOf({run: commandLine.run.bind(commandLine)}, name);
  t.is(found!.faults[0]!.class, 'restart');
  wire.socket.destroy();
});

test('a number of workers that is none is refused', async t => {
  const commandLine = new CommandLine(t);
  for (const workers of ['0', '-1', 'two', '1.5', '99999']) {
    const {exitCode, stderr} = await commandLine.run('serve', '.', '--port', '0', `--workers=${workers}`);
    t.is(exitCode, 2);
    t.regex(stderr, /^zlr: --workers takes a number from 1 to 1024, not '.*'; see zlr serve --help\n$/);
  }
});
