/*
 * Nothing that a former generation has left is believed. A real service damages its own records and dies; the client whose
 * record it was is ended, with a line in the log, and the others go on at the exact byte.
 *
 * To see it fail: let verify() of src/reactor/verify.ts return what it finds without looking.
 */
import {randomBytes} from 'node:crypto';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {Client} from './helpers/client.js';
import {Supervised} from './helpers/supervised.js';

const fixture = fileURLToPath(new URL('fixtures/lines.mjs', import.meta.url));
const content = randomBytes(3_000_000);

/** Extents are numbered from 0, the large ones first; a field names one by its number + 1. */
const DAMAGES = [
  'version 1',
  'kind 9',
  'consumed 1000000000',
  'holdHead 0',
  'holdHead 60000',
  'holdHead 65', // another connection's
  'outEnd 1000',
  'base 1000',
  'owner 2',
  'next 1',
];

test('one damaged record ends its own connection, and no other', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'hread-files-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  const path = join(folder, 'file');
  writeFileSync(path, content);
  const service = await Supervised.start(t, name => [
    process.execPath,
    fixture,
    path,
    name,
    '64',
    'any time',
  ]);
  const halves = await Promise.all([1, 2, 3].map(() => Client.open(service.port)));
  for (const client of halves) client.send('half ');
  const reader = await Client.open(service.port, {read: false});
  reader.send('file 0 3000000\n');
  const watcher = await Client.open(service.port);
  watcher.send('stats\n');
  await watcher.untilText('}\n');
  watcher.take();

  for (const [at, damage] of DAMAGES.entries()) {
    const client = await Client.open(service.port);
    client.send(`damage ${damage}\n`);
    await service.untilServing(at + 2);
    await client.untilEnded();
    t.is(client.length, 0, damage);
    t.is(
      service.log.filter(line => /does not fit its record and is ended/.test(line)).length,
      at + 1,
      damage,
    );
    t.regex(service.lastRecovery, /"recovered":5,"adopted":0,"dropped":1/, damage);
    await client.close();
  }
  for (const client of halves) client.send('line\n');
  await Promise.all(halves.map(client => client.untilText('half line\n')));
  reader.socket.resume();
  const head = Buffer.byteLength('1 file 0 3000000\n');
  await reader.untilLength(head + content.length);
  t.true(reader.bytes.subarray(head).equals(content));
  await Promise.all([...halves, reader, watcher].map(client => client.close()));
});
