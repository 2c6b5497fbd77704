/*
 * A client whose input ends the process each time, among others who are at work at the same time: after three crashes it
 * is the one that is told so, and nobody else notices.
 *
 * To see it fail: let Worker.recover take everybody who was at work for a suspect of the first crash, or for poison.
 */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {statSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {listCapsules, readCapsule} from '@zlr/hread';
import test from 'ava';
import {Client} from './helpers/client.js';
import {Supervised} from './helpers/supervised.js';

const zlr = fileURLToPath(new URL('../../cli/bin/zlr.js', import.meta.url));
const fixture = fileURLToPath(new URL('fixtures/crashing.mjs', import.meta.url));

test('input that ends the process is found out, and no innocent is blamed', async t => {
  const service = await Supervised.start(t, name => [process.execPath, fixture, name]);
  const innocents = await Promise.all([1, 2, 3].map(() => Client.open(service.port)));
  const crasher = await Client.open(service.port);
  const late = await Client.open(service.port);
  innocents.forEach((client, n) => {
    client.send(`wait ${300 + n}\n`);
  });
  crasher.send('crash 50\n');
  await crasher.untilEnded();
  t.is(crasher.text, 'cannot do crash 50\n');
  t.is(service.generation, 4, 'two crashes among the others, and one alone');
  await Promise.all(innocents.map((client, n) => client.untilText(`wait ${300 + n}\n`)));
  late.send('hello\n');
  await late.untilText('hello\n');
  for (const client of innocents) t.is(client.text.split('\n').length, 2);

  // What it was is kept, and fed to a fresh process it ends that as well.
  const [path, ...more] = listCapsules(service.capsules);
  t.deepEqual(more, []);
  const {header, unit} = readCapsule(path!);
  t.is(unit.toString(), 'crash 50\n');
  t.like(header, {name: service.name, generation: 4, bytes: 9, error: {name: 'HreadError'}});
  t.is(header.connection.id > 0, true);
  t.is(statSync(path!).mode & 0o777, 0o600);
  const ended = once(
    spawn(process.execPath, [zlr, 'replay', path!, '--', process.execPath, fixture, 'again'], {
      stdio: 'ignore',
    }),
    'close',
  );
  t.deepEqual(await ended, [1, null]);
  await Promise.all([...innocents, crasher, late].map(client => client.close()));
});
