/*
 * Two servers in one process are killed at random places together: each takes over its own connections, also one that was
 * accepted in the last instant, and its own listening socket; and they end together in good order.
 *
 * To see it fail: let Inheritance.accepted() ask nobody whose listening socket it was.
 */
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {Client} from './helpers/client.js';
import {Supervised} from './helpers/supervised.js';

const fixture = fileURLToPath(new URL('fixtures/two.mjs', import.meta.url));

test('each server of a process adopts its own', async t => {
  const service = await Supervised.start(t, name => [process.execPath, fixture, name]);
  const [lowerPort, upperPort] = /on (\d+),(\d+)/
    .exec(service.log.find(line => line.startsWith('listening'))!)!
    .slice(1)
    .map(Number) as [number, number];
  const upper = await Client.open(upperPort);
  const lower = await Client.open(lowerPort);
  upper.send('One\nhal');
  lower.send('One\nhal');
  await upper.untilText('1 ONE\n');
  await lower.untilText('1 one\n');
  for (const port of [upperPort, lowerPort]) {
    const {generation} = service;
    service.arm('accept4', 1, 'after');
    const late = await Client.open(port);
    await service.untilServing(generation + 1);
    t.regex(service.lastRecovery, /goes on with 1 and 1/);
    late.send('Late\n');
    await late.untilText(port === upperPort ? ' LATE\n' : ' late\n');
    late.end();
    await late.untilEnded(); // its server has seen it: only then is it none of those that go on the next time
    await late.close();
  }
  upper.send('F\n');
  lower.send('F\n');
  await upper.untilText('3 HALF\n');
  await lower.untilText('3 half\n');
  await Promise.all([upper.close(), lower.close()]);
  service.signal('SIGTERM');
  t.is(await service.ended(), 0);
});
