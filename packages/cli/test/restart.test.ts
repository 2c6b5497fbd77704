/**
 * `zlr restart`: a fresh generation of what is on disk now takes everything over, with nobody's request lost, also of those that may not
 * be run again; and what it says when it cannot.
 *
 * To see it fail: in machine.ts do not take the verdict for planned; in dropin/keep.ts do not wait for what may not be run again.
 */
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {Wire} from '../../../test/support/wire.js';
import {CommandLine} from './command-line.js';

const node = process.execPath;

/** A node:http program of a version, which answers with it, a POST when it gets a signal. */
const program = (version: string): string => `
  const waiting = [];
  process.on('SIGUSR2', () => { for (const each of waiting.splice(0)) each(); });
  require('node:http').createServer((request, response) => {
    const answer = () => response.end('${version}');
    if (request.method === 'POST') { waiting.push(answer); console.log('posted'); }
    else answer();
  }).listen(+process.argv[2], '127.0.0.1', function () { console.log(this.address().port); });`;

/** A program under `zlr run --http`, which says first at which port it listens. */
async function serve(t: ExecutionContext, text: string, ...args: string[]) {
  const commandLine = new CommandLine(t);
  const file = join(commandLine.runDir, 'program.cjs');
  writeFileSync(file, text);
  const command = [node, file, '0', ...args];
  const foreground = commandLine.start('run', '--http', '--name', commandLine.serviceName, '--', ...command);
  return {commandLine, file, foreground, port: Number(await foreground.line())};
}

test('the program on disk takes over, and every request is answered, a POST in work by the one that began it', async t => {
  const {commandLine, file, foreground, port} = await serve(t, program('one'));
  const idle = await Wire.open(port);
  idle.get('/');
  t.is((await idle.answer()).body.toString(), 'one');
  const posting = await Wire.open(port);
  posting.post('/', 'once only');
  t.is(await foreground.line(), 'posted');
  writeFileSync(file, program('two'));
  const {pid} = JSON.parse((await commandLine.run('status', '--json')).stdout);
  const restarted = commandLine.run('restart');
  await foreground.warned(/is to be restarted; a fresh one follows/);
  await commandLine.run('status'); // by then the service has heard of it, too
  // What comes now waits for the next generation, so that there is an end to what is to be finished.
  idle.get('/');
  process.kill(pid, 'SIGUSR2');
  t.is((await posting.answer()).body.toString(), 'one');
  t.is((await idle.answer()).body.toString(), 'two');
  const {exitCode, stdout, stderr} = await restarted;
  t.is(stderr, '');
  t.is(exitCode, 0);
  t.regex(stdout, /: generation 2 \(pid \d+\) goes on with \d+ channels, after \d+ ms\n$/);
  for (const wire of [idle, posting]) {
    wire.get('/');
    t.is((await wire.answer()).body.toString(), 'two', 'over the same connection');
    wire.close();
  }
  const status = JSON.parse((await commandLine.run('status', '--json')).stdout);
  t.is(status.generation, 2);
  t.like(status.faults[0], {class: 'restart', generation: 1});
});

const COUNTING = `
  const {appendFileSync} = require('node:fs');
  require('node:http').createServer((request, response) => {
    let body = '';
    request.on('data', data => { body += data; });
    request.on('end', () => setTimeout(() => {
      if (request.method === 'POST') appendFileSync(process.argv[3], body + '\\n');
      response.end(body);
    }, 15));
  }).listen(+process.argv[2], '127.0.0.1', function () { console.log(this.address().port); });`;

test('under load no request is refused, and what may not be run again is done once', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'zlr-restart-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  const done = join(folder, 'done');
  const {commandLine, port} = await serve(t, COUNTING, done);
  let isOver = false;
  const posted: string[] = [];
  const clients = Array.from({length: 16}, async (_, client) => {
    const wire = await Wire.open(port);
    for (let n = 0; !isOver; n++) {
      const what = `${client}-${n}`;
      wire.post('/', what);
      const answer = await wire.answer();
      t.is(answer.status, 200);
      t.is(answer.body.toString(), what);
      posted.push(what);
    }
    wire.close();
  });
  for (let generation = 2; generation <= 6; generation++)
    t.regex((await commandLine.run('restart')).stdout, new RegExp(`: generation ${generation} `));
  isOver = true;
  await Promise.all(clients);
  t.true(posted.length > 50, `${posted.length}`);
  t.deepEqual(readFileSync(done, 'utf8').trim().split('\n').sort(), posted.sort());
});

test('restarts one after the other count as no faults', async t => {
  const {commandLine, port} = await serve(t, program('one'));
  const wire = await Wire.open(port);
  for (let generation = 2; generation <= 8; generation++) {
    t.regex((await commandLine.run('restart')).stdout, new RegExp(`: generation ${generation} `));
    wire.get('/');
    t.is((await wire.answer()).body.toString(), 'one');
  }
  wire.close();
});

test('what keeps nothing is not restarted, what does not run cannot be, and each is told why', async t => {
  const commandLine = new CommandLine(t);
  const plain = commandLine.start('run', '--', node, '-e', 'console.log(1); setInterval(() => {}, 1e6)');
  await plain.line();
  const refused = await commandLine.run('restart');
  t.is(refused.exitCode, 1);
  t.regex(
    refused.stderr,
    /cannot be restarted now: it has not called reregist\(\), so nothing of it would be kept; try again later/,
  );
  const nobody = await commandLine.run('restart', '--name', 'ghost');
  t.regex(nobody.stderr, /no service named 'ghost' is running/);
});

test('a program that does not come up any more is told of', async t => {
  const {commandLine, file, foreground} = await serve(t, program('one'));
  writeFileSync(file, 'this is no JavaScript');
  const {exitCode, stderr} = await commandLine.run('restart');
  t.is(exitCode, 1);
  t.regex(stderr, /ended instead of going on: 5 faults in a row came within 60 s after a restart/);
  await foreground.outcome;
  // Its state stays, for whoever puts the former program back.
  t.is((await commandLine.run('rm', `exchanges-${commandLine.serviceName}`)).exitCode, 0);
});
