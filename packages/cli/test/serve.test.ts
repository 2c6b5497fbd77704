// The life of `zlr serve` with real processes: start, serve, fault, status, end.
import {execFile} from 'node:child_process';
import {once} from 'node:events';
import {readdirSync} from 'node:fs';
import {connect} from 'node:net';
import {promisify} from 'node:util';
import test from 'ava';
import type {CommandLine} from './command-line.js';
import {serve} from './served-folder.js';

const exec = promisify(execFile);

async function status(commandLine: CommandLine) {
  return JSON.parse((await commandLine.run('status', '--json')).stdout);
}

test('serves files, says what it is, and stops', async t => {
  const {commandLine, server, host, port} = await serve(t);
  const {stdout} = await exec('curl', ['-sS', '--fail', `http://${host}:${port}/hello.txt`]);
  t.is(stdout, 'hello\n');

  const found = await status(commandLine);
  t.deepEqual(Object.keys(found), [
    'name',
    'supervisorPid',
    'generation',
    'pid',
    'keepers',
    'startedAt',
    'standby',
    'health',
    'channels',
    'faults',
    'faultCount',
  ]);
  t.is(found.name, commandLine.serviceName);
  t.is(found.generation, 1);
  t.deepEqual(found.faults, []);
  t.true(found.channels >= 1);
  t.is(new Date(found.startedAt).toISOString(), found.startedAt);
  t.notThrows(() => process.kill(found.pid, 0));
  t.notThrows(() => process.kill(found.supervisorPid, 0));

  t.is((await commandLine.run('stop')).exitCode, 0);
  t.is((await server.outcome).exitCode, 0);
  t.is((await commandLine.run('status', '--name', commandLine.serviceName)).exitCode, 1);
  t.deepEqual(readdirSync(commandLine.runDir), []);
});

test('a connection outlives a kill, and status tells of it', async t => {
  const {commandLine, host, port} = await serve(t);
  const socket = connect(port, host);
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  socket.write('GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(socket, 'data');
  const {pid} = await status(commandLine);

  process.kill(pid, 'SIGKILL');
  socket.write('GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n');
  const [answer] = await once(socket, 'data');
  t.regex(answer.toString('latin1'), /^HTTP\/1\.1 200 /);

  // The server tells its supervisor after it has answered, so the news may be a moment behind the answer.
  let found = await status(commandLine);
  while (found.faults[0]?.downMs === null) found = await status(commandLine);
  t.is(found.generation, 2);
  t.not(found.pid, pid);
  t.is(found.faults.length, 1);
  const [fault] = found.faults;
  t.deepEqual(Object.keys(fault), [
    'generation',
    'class',
    'signal',
    'exitCode',
    'at',
    'downMs',
    'channels',
    'uptimeMs',
    'rssBytes',
    'heapBytes',
  ]);
  t.like(fault, {generation: 1, class: 'signal', signal: 'SIGKILL', exitCode: null});
  t.true(fault.downMs > 0);
  t.true(fault.channels >= 2, 'the listening socket and the connection');

  const human = await commandLine.run('status');
  t.regex(human.stdout, /^cli-[\d-]+: generation 2 \(pid \d+\) for \d+ s, \d+ channels? open\n/);
  t.regex(human.stdout, /\n {2}supervisor pid \d+\n {2}1 takeover, the latest first:\n/);
  t.regex(
    human.stdout,
    /\n {4}\d+ s ago: SIGKILL of generation 1 after \d+ s; \d+ channels? handed over, served again after \d+ ms\n$/,
  );
});
