/**
 * `zlr restart`: a fresh generation, or a new program, is started beside the old one and takes everything over, with nobody's request lost,
 * also of those that may not be run again; when it is no good, the former program goes on, or comes back.
 *
 * To see it fail: in machine.ts do not take the verdict for planned, or do not roll back; in dropin/keep.ts do not wait for what may not be
 * run again.
 */
import {mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
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
async function serve(t: ExecutionContext, text: string, args: string[] = [], options: string[] = []) {
  const commandLine = new CommandLine(t);
  const file = join(commandLine.runDir, 'program.cjs');
  writeFileSync(file, text);
  const command = [node, file, '0', ...args];
  const own = ['--http', '--name', commandLine.serviceName, ...options];
  const foreground = commandLine.start('run', ...own, '--', ...command);
  return {commandLine, file, foreground, port: Number(await foreground.line())};
}

const AT_ONCE = ['--probation', '0'];

test.serial(
  'the program on disk takes over, and every request is answered, a POST in work by the one that began it',
  async t => {
    const {commandLine, file, foreground, port} = await serve(t, program('one'));
    const idle = await Wire.open(port);
    idle.get('/');
    t.is((await idle.answer()).body.toString(), 'one');
    const posting = await Wire.open(port);
    posting.post('/', 'once only');
    t.is(await foreground.line(), 'posted');
    writeFileSync(file, program('two'));
    const {pid} = JSON.parse((await commandLine.run('status', '--json')).stdout);
    const restarted = commandLine.run('restart', ...AT_ONCE);
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
    t.regex(
      stdout,
      /: generation 2 \(pid \d+\) goes on with \d+ channels, after \d+ ms\n( +\d+ ms {2}.+\n){5}$/,
    );
    for (const wire of [idle, posting]) {
      wire.get('/');
      t.is((await wire.answer()).body.toString(), 'two', 'over the same connection');
      wire.close();
    }
    const status = JSON.parse((await commandLine.run('status', '--json')).stdout);
    t.is(status.generation, 2);
    t.like(status.faults[0], {class: 'restart', generation: 1});
  },
);

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

test.serial('under load no request is refused, and what may not be run again is done once', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'zlr-restart-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  const done = join(folder, 'done');
  const {commandLine, port} = await serve(t, COUNTING, [done]);
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
    t.regex((await commandLine.run('restart', ...AT_ONCE)).stdout, new RegExp(`: generation ${generation} `));
  isOver = true;
  await Promise.all(clients);
  t.true(posted.length > 50, `${posted.length}`);
  t.deepEqual(readFileSync(done, 'utf8').trim().split('\n').sort(), posted.sort());
});

test.serial('restarts one after the other count as no faults', async t => {
  const {commandLine, port} = await serve(t, program('one'));
  const wire = await Wire.open(port);
  for (let generation = 2; generation <= 8; generation++) {
    t.regex((await commandLine.run('restart', ...AT_ONCE)).stdout, new RegExp(`: generation ${generation} `));
    wire.get('/');
    t.is((await wire.answer()).body.toString(), 'one');
  }
  wire.close();
});

test.serial(
  'what keeps nothing is not restarted, what does not run cannot be, and each is told why',
  async t => {
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
  },
);

test.serial(
  'a program that does not come up does not come: the old one has gone on, and the next restart is as good as any',
  async t => {
    const {commandLine, file, port} = await serve(t, program('one'));
    const wire = await Wire.open(port);
    const answered = async (): Promise<string> => {
      wire.get('/');
      return (await wire.answer()).body.toString();
    };
    writeFileSync(file, 'this is no JavaScript');
    const failed = await commandLine.run('restart');
    t.is(failed.exitCode, 1);
    t.regex(
      failed.stderr,
      /was not restarted: generation 2 \(pid \d+\) ended with exit code 1 before its turn; generation 1 \(pid \d+\) has gone on/,
    );
    t.is(await answered(), 'one');
    const missing = await commandLine.run('restart', '--', '/no/such/node', file);
    t.regex(
      missing.stderr,
      /was not restarted: cannot start \/no\/such\/node: ENOENT; is it installed and executable\?; generation 1 .* has gone on/,
    );
    writeFileSync(file, program('two'));
    t.is((await commandLine.run('restart', ...AT_ONCE)).exitCode, 0);
    t.is(await answered(), 'two');
    wire.close();
  },
);

/** It serves, until it is asked for anything. */
const FAULTY = program('faulty').replace(
  'const answer',
  "process.kill(process.pid, 'SIGSEGV'); const answer",
);

test.serial(
  'a program that faults in its probation goes: the former one comes back, and answers',
  async t => {
    const {commandLine, file, foreground, port} = await serve(t, program('one'));
    const wire = await Wire.open(port);
    wire.get('/');
    t.is((await wire.answer()).body.toString(), 'one');
    const other = join(commandLine.runDir, 'other.cjs');
    writeFileSync(other, FAULTY);
    const restarted = commandLine.run('restart', '--probation', '30', '--', node, other, '0');
    await foreground.warned(/generation 2 \(pid \d+\), which stood by, takes over 2 channels/);
    wire.get('/');
    t.is((await wire.answer()).body.toString(), 'one', 'no client met the fault');
    const {exitCode, stderr} = await restarted;
    t.is(exitCode, 1);
    t.regex(
      stderr,
      /was not restarted: generation 2 \(pid \d+\) of the new program died of SIGSEGV within its probation; the former program comes back/,
    );
    // What comes after it is of the former program, too.
    t.is((await commandLine.run('restart', ...AT_ONCE)).exitCode, 0);
    wire.get('/');
    t.is((await wire.answer()).body.toString(), 'one');
    writeFileSync(file, program('two'));
    t.is((await commandLine.run('restart', ...AT_ONCE)).exitCode, 0);
    wire.get('/');
    t.is((await wire.answer()).body.toString(), 'two');
    wire.close();
  },
);

test.serial('with a standby the former program comes back even where it was overwritten', async t => {
  const {commandLine, file, foreground, port} = await serve(t, program('one'), [], ['--standby']);
  await foreground.warned(/generation 2 \(pid \d+\) stands by/);
  const wire = await Wire.open(port);
  wire.get('/');
  t.is((await wire.answer()).body.toString(), 'one');
  writeFileSync(file, FAULTY);
  const restarted = commandLine.run('restart', '--probation', '30');
  await foreground.warned(/generation 3 \(pid \d+\), which stood by, takes over 2 channels/);
  wire.get('/');
  t.is((await wire.answer()).body.toString(), 'one');
  t.is((await restarted).exitCode, 1);
  t.is(JSON.parse((await commandLine.run('status', '--json')).stdout).generation, 2);
  wire.close();
});

test.serial('a new program, with its environment read anew, from the next restart on for good', async t => {
  const commandLine = new CommandLine(t);
  const envFile = join(commandLine.runDir, 'environment');
  writeFileSync(envFile, 'COLOUR=red\n');
  const write = (name: string): string => {
    const file = join(commandLine.runDir, name);
    writeFileSync(file, program('').replace("end('')", `end(process.env.COLOUR + ' ${name}')`));
    return file;
  };
  const first = write('first.cjs');
  const own = ['--http', '--name', commandLine.serviceName, '--env-file', envFile];
  const foreground = commandLine.start('run', ...own, '--', node, first, '0');
  const wire = await Wire.open(Number(await foreground.line()));
  const answered = async (): Promise<string> => {
    wire.get('/');
    return (await wire.answer()).body.toString();
  };
  t.is(await answered(), 'red first.cjs');
  writeFileSync(envFile, 'COLOUR=blue\n');
  t.is((await commandLine.run('restart', ...AT_ONCE, '--', node, write('second.cjs'), '0')).exitCode, 0);
  t.is(await answered(), 'blue second.cjs');
  const {pid} = JSON.parse((await commandLine.run('status', '--json')).stdout);
  process.kill(pid, 'SIGKILL');
  await foreground.warned(/died of SIGKILL/);
  t.is(await answered(), 'blue second.cjs');
  rmSync(envFile);
  const refused = await commandLine.run('restart');
  t.is(refused.exitCode, 1);
  t.regex(refused.stderr, /the environment cannot be read: ENOENT/);
  t.is(await answered(), 'blue second.cjs');
  wire.close();
});

/** A program that keeps its state in a store, says what is in it, and adds to it when it gets SIGUSR2. */
const keeping = (schema: string, version: number, more = ''): string => `
  import {openStore, struct, t} from '${import.meta.resolve('@zlr/state-store')}';
  import {endOrderly, reregist} from '${import.meta.resolve('@zlr/kernel-shim')}';
  const store = await openStore({name: process.argv[2], size: '1MB', version: ${version}, schema: ${schema}});
  const {root} = store;
  process.on('SIGTERM', () => { store.destroy(); endOrderly(); process.exit(); });
  process.on('SIGUSR2', () => { root.users.insert({name: 'later'}); console.log('users ' + root.users.size); });
  setInterval(() => {}, 2 ** 30);
  reregist();
  console.log('users ' + root.users.size);
  ${more}`;

for (const standby of [false, true]) {
  test.serial(
    `a program that comes back has its state without what the new one added, which is kept${standby ? '; as a standby, too' : ''}`,
    async t => {
      const commandLine = new CommandLine(t);
      const name = commandLine.serviceName;
      const dumps = join(commandLine.runDir, 'dumps');
      process.env['ZLR_DUMPS'] = dumps;
      t.teardown(() => delete process.env['ZLR_DUMPS']);
      const write = (file: string, text: string): string => {
        const path = join(commandLine.runDir, file);
        writeFileSync(path, text);
        return path;
      };
      const before = write(
        'before.mjs',
        keeping(`{users: t.table(struct('User', {name: t.string(16)}), {capacity: 16})}`, 1),
      );
      const after = write(
        'after.mjs',
        keeping(
          `{users: t.table(struct('User', {name: t.string(16), plan: t.string(16)}), {capacity: 16}), orders: t.uint}`,
          2,
          `root.users.insert({name: 'new', plan: 'gold'}); root.orders = 7; process.kill(process.pid, 'SIGSEGV');`,
        ),
      );
      const own = ['--name', name, '--threshold', '0', ...(standby ? ['--standby'] : [])];
      const foreground = commandLine.start('run', ...own, '--', node, before, name);
      t.is(await foreground.line(), 'users 0');
      if (standby) await foreground.warned(/generation 2 \(pid \d+\) stands by/);
      const {pid} = JSON.parse((await commandLine.run('status', '--json')).stdout);
      process.kill(pid, 'SIGUSR2');
      t.is(await foreground.line(), 'users 1');

      const {exitCode, stderr} = await commandLine.run('restart', '--', node, after, name);
      t.is(exitCode, 1);
      t.regex(stderr, /the former program comes back/);
      t.is(await foreground.line(), 'users 1', 'the new one');
      t.is(
        await foreground.line(),
        'users 2',
        'the former one, with what the new one put where both know it',
      );
      await foreground.warned(
        /goes back to the schema of the program that comes back.*\(orders, User\.plan\)/,
      );
      const [dump, ...rest] = readdirSync(dumps);
      t.deepEqual(rest, []);

      const copy = `${name}-copy`;
      t.teardown(() => commandLine.run('rm', copy));
      t.is((await commandLine.run('load', copy, '--input', join(dumps, dump!))).exitCode, 0);
      t.is((await commandLine.run('inspect', copy, 'orders')).stdout.trim(), '7');
      t.regex((await commandLine.run('inspect', copy, 'users', '--json')).stdout, /"gold"/);

      // And once more forward.
      const better = write('better.mjs', readFileSync(after, 'utf8').replace(/process\.kill.*$/m, ''));
      t.is((await commandLine.run('restart', ...AT_ONCE, '--', node, better, name)).exitCode, 0);
      t.is(await foreground.line(), 'users 2');
      t.is((await commandLine.run('stop')).exitCode, 0);
    },
  );
}
