/*
 * A real service under a real supervisor is killed at each system call that its channels make, before it, after it and
 * with half of its bytes gone: clients notice nothing, each line is counted exactly once, and nothing is left. The
 * places are chosen by a library that is loaded into the service (fixtures/fault-at.c).
 */
import {randomBytes} from 'node:crypto';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {Client} from './helpers/client.js';
import {Supervised} from './helpers/supervised.js';

// One after the other: each has a service, a supervisor and keepers.
const {serial} = test;

const fixture = fileURLToPath(new URL('fixtures/lines.mjs', import.meta.url));
const content = randomBytes(3_000_000);

interface Lines {
  service: Supervised;
  /** Lines answered so far. */
  count: number;
}

async function startLines(t: ExecutionContext, capacity = 64): Promise<Lines> {
  const folder = mkdtempSync(join(tmpdir(), 'hread-files-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  const path = join(folder, 'file');
  writeFileSync(path, content);
  const service = await Supervised.start(t, name => [process.execPath, fixture, path, name, `${capacity}`]);
  return {service, count: 0};
}

interface Stats {
  connections: number;
  records: number;
  usedExtents: number;
  files: number;
  handedOver: number;
}

async function readStats(client: Client): Promise<Stats> {
  client.take();
  client.send('stats\n');
  await client.untilText('}\n');
  return JSON.parse(client.take().toString()) as Stats;
}

/** All that is in use is this very connection, and the extent of its input while it is being answered. */
async function expectNothingLeft(t: ExecutionContext, {service}: Lines): Promise<void> {
  const client = await Client.open(service.port);
  let stats = await readStats(client);
  // The service hears of the ends of other connections in its own time; what is leaked never goes.
  for (let tries = 0; stats.connections > 1 && tries < 100; tries++) stats = await readStats(client);
  t.like(stats, {connections: 1, records: 1, usedExtents: 1, files: 0});
  await client.close();
}

async function ask(t: ExecutionContext, lines: Lines, client: Client, line: string): Promise<void> {
  const [command, offset, length] = line.split(' ');
  const head = Buffer.from(`${++lines.count} ${line}\n`);
  const file =
    command === 'file' ? content.subarray(Number(offset), Number(offset) + Number(length)) : Buffer.alloc(0);
  await client.untilLength(head.length + file.length);
  t.deepEqual(client.bytes.subarray(0, head.length).toString(), head.toString());
  t.true(client.bytes.subarray(head.length).equals(file));
  client.take();
}

/** One life of a client, through everything a channel does. */
async function converse(t: ExecutionContext, lines: Lines): Promise<void> {
  const client = await Client.open(lines.service.port);
  client.send('one\nfil');
  await ask(t, lines, client, 'one');
  client.send('e 1000 200000\n');
  await ask(t, lines, client, 'file 1000 200000');
  client.send('two\nthree\nbye\n');
  const expected = ['two', 'three', 'bye'].map(line => `${++lines.count} ${line}\n`).join('');
  await client.untilLength(expected.length);
  t.is(client.text, expected);
  await client.untilEnded();
  t.is(client.error, undefined);
  client.end();
}

const places: [call: string, numbers: number, whens: ('before' | 'half' | 'after')[]][] = [
  ['accept4', 1, ['before', 'after']],
  ['epoll_ctl', 1, ['before', 'after']],
  ['recv', 3, ['before', 'half', 'after']],
  ['send', 5, ['before', 'half', 'after']],
  ['sendfile', 1, ['before', 'half', 'after']],
  ['shutdown', 1, ['before', 'after']],
  ['close', 1, ['before', 'after']],
];

for (const [call, numbers, whens] of places) {
  serial(`killed at ${call}, a service loses and repeats nothing`, async t => {
    const lines = await startLines(t);
    for (let number = 1; number <= numbers; number++) {
      for (const when of whens) {
        const {generation} = lines.service;
        lines.service.arm(call, number, when);
        await converse(t, lines);
        await lines.service.untilServing(generation + 1);
        t.is(lines.service.generation, generation + 1, `${call} ${number} ${when}`);
      }
    }
    await expectNothingLeft(t, lines);
    lines.service.signal('SIGTERM');
    t.is(await lines.service.ended(), 0);
  });
}

serial('a connection that was accepted but not recorded is adopted', async t => {
  const lines = await startLines(t);
  lines.service.arm('accept4', 1, 'after');
  const client = await Client.open(lines.service.port);
  await lines.service.untilServing(2);
  t.regex(lines.service.lastRecovery, /"recovered":0,"adopted":1,"dropped":0/);
  client.send('hello\n');
  await ask(t, lines, client, 'hello');
  await client.close();
  await expectNothingLeft(t, lines);
});

serial('connections that ended with the fault are dropped, and what they held with them', async t => {
  const lines = await startLines(t);
  const clients = await Promise.all([1, 2, 3].map(() => Client.open(lines.service.port, {read: false})));
  for (const client of clients.slice(0, 2)) client.send('file 0 3000000\n');
  clients[2]!.send('half a li');
  const watcher = await Client.open(lines.service.port);
  while ((await readStats(watcher)).files < 2);
  const stopped = lines.service.pid;
  // Stopped first, so that it cannot hear of the resets before it dies.
  process.kill(stopped, 'SIGSTOP');
  for (const client of clients) client.reset();
  await watcher.close();
  await lines.service.kill();
  t.regex(lines.service.lastRecovery, /"adopted":0/);
  // Of one that was reset with input the rest is served first; then it goes, too.
  t.regex(lines.service.lastRecovery, /"dropped":[1-4]/);
  await expectNothingLeft(t, lines);
});

serial('a file of a half-sent answer stays open until it is sent, those of whole answers do not', async t => {
  const lines = await startLines(t);
  const slow = await Client.open(lines.service.port, {read: false});
  slow.send('file 0 3000000\n');
  const watcher = await Client.open(lines.service.port);
  while ((await readStats(watcher)).files < 1);
  lines.count++;
  watcher.send('file 5 100\n');
  await ask(t, lines, watcher, 'file 5 100');
  await lines.service.kill('SIGSEGV');
  t.is((await readStats(watcher)).files, 1);
  await lines.service.kill('SIGABRT');
  slow.socket.resume();
  await slow.untilLength(Buffer.byteLength('1 file 0 3000000\n') + content.length);
  t.true(slow.bytes.subarray(-content.length).equals(content));
  await slow.close();
  await watcher.close();
  await expectNothingLeft(t, lines);
});

serial('connections beyond the capacity wait through a fault and are served behind it', async t => {
  const lines = await startLines(t, 3);
  const clients = await Promise.all([1, 2, 3, 4, 5].map(() => Client.open(lines.service.port)));
  for (const client of clients) client.send('hello\n');
  const served = async (): Promise<Client> =>
    Promise.race(clients.map(client => client.untilText('\n').then(() => client)));
  const first = await served();
  await lines.service.kill();
  await first.close();
  for (const client of clients) {
    if (client !== first) await client.untilText('hello\n').then(() => client.close());
  }
  const numbers = clients.map(({text}) => Number(text.split(' ')[0])).sort();
  t.deepEqual(numbers, [1, 2, 3, 4, 5]);
});
