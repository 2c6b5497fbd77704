/**
 * A standby: the next generation, started in advance, waits for its turn, and no connection is lost whoever of the family dies, in whatever
 * order.
 *
 * To see it fail: in machine.ts promote a standby without its turn, or do not prepare another; in backend/keepers.ts go on without a turn, or
 * when the link is closed.
 */
import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {Random} from '../../../test/support/random.js';
import {Client, dist, exited, fixture, makeRunDir, Supervised} from './supervised.js';

const STANDS = /^generation (\d+) \(pid (\d+)\) stands by$/;

async function standing(service: Supervised): Promise<{generation: number; pid: number}> {
  const [, generation, pid] = await service.logged(STANDS);
  return {generation: Number(generation), pid: Number(pid)};
}

/** What is asked afterwards is read by nobody but the next generation. */
async function kill(pid: number, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  process.kill(pid, signal);
  await exited(pid);
}

test('at a fault the one that stands by takes over, and another one follows', async t => {
  const {service, up} = await Supervised.start(t, {standby: true, thresholdMs: 0});
  const client = await Client.open(t, up.port);
  t.like(await client.who(), {generation: 1, pid: up.pid});
  for (let generation = 2; generation <= 6; generation++) {
    const next = await standing(service);
    t.is(next.generation, generation);
    await kill((await client.who()).pid, generation % 2 ? 'SIGBUS' : 'SIGSEGV');
    t.like(await client.who(), next);
  }
  const {faults, startedAt} = await service.status();
  t.is(faults.length, 5);
  t.true(faults.every(({downMs}) => downMs !== null));
  t.true(
    Date.parse(startedAt) >= Date.parse(faults.at(-1)!.at),
    'it is the service since its turn, not since its start',
  );
});

test('a standby that dies is nobody’s loss: another one follows', async t => {
  const {service, up} = await Supervised.start(t, {standby: true, thresholdMs: 0});
  const client = await Client.open(t, up.port);
  const first = await standing(service);
  process.kill(first.pid, 'SIGKILL');
  await service.logged(
    /^generation 2 \(pid \d+\) died of SIGKILL while it stood by; another standby follows$/,
  );
  const second = await standing(service);
  t.is(second.generation, 3);
  t.like(await client.who(), {generation: 1, pid: up.pid});
  await kill(up.pid);
  t.like(await client.who(), second);
  t.is((await service.status()).faultCount, 1);
});

test('when both die at once, a fresh one is started', async t => {
  const {service, up} = await Supervised.start(t, {standby: true, thresholdMs: 0});
  const client = await Client.open(t, up.port);
  const {pid} = await standing(service);
  await Promise.all([pid, up.pid].map(each => kill(each)));
  const {generation} = await client.who();
  t.true(generation >= 3, `${generation}`);
});

test('a standby does not outlive its supervisor, and the keepers go on without', async t => {
  const {service, up} = await Supervised.start(t, {standby: true, thresholdMs: 0});
  const client = await Client.open(t, up.port);
  const {pid} = await standing(service);
  await service.killSupervisor();
  await exited(pid);
  await kill(up.pid);
  t.is((await client.who()).generation, 2);
});

test('when the program’s files change, another standby follows', async t => {
  const runDir = makeRunDir(t);
  const folder = join(runDir, 'program');
  mkdirSync(join(folder, 'lib'), {recursive: true});
  writeFileSync(join(folder, 'package.json'), '{}');
  writeFileSync(join(folder, 'lib', 'data.txt'), '');
  writeFileSync(join(folder, 'lib', 'service.js'), '');
  const main = join(folder, 'main.mjs');
  writeFileSync(main, `import ${JSON.stringify(fixture('service.mjs'))};`);
  const {service} = await Supervised.start(t, {
    runDir,
    standby: true,
    command: [process.execPath, main, dist],
  });
  await standing(service);
  writeFileSync(join(folder, 'lib', 'data.txt'), 'is no code');
  writeFileSync(join(folder, 'lib', 'service.js'), '// another');
  await service.logged(
    /^generation 2, which stands by, is older than the program's files; another one follows$/,
  );
  t.is((await standing(service)).generation, 3);
});

test('whoever dies, at whatever instant, no connection is lost', async t => {
  t.timeout(180_000);
  const random = Random.fromEnvironment();
  t.log(`seed ${random.seed}`);
  const {service, up} = await Supervised.start(t, {standby: true, thresholdMs: 0});
  const clients = await Promise.all(Array.from({length: 8}, () => Client.open(t, up.port)));
  let promoted = 0;
  for (let round = 0; round < 60; round++) {
    const client = clients[random.below(clients.length)]!;
    const {pid, keeper} = await client.who();
    // Somewhere between the death of the former one and the standing of the next.
    if (random.below(3) === 0) await standing(service);
    const keepers = (await service.status()).keepers.filter(each => each !== keeper);
    if (random.below(4) === 0 && keepers.length > 0) process.kill(keepers[0]!, 'SIGKILL');
    await kill(pid);
    const now = await client.who();
    t.not(now.pid, pid);
    promoted++;
  }
  for (const client of clients) await client.who();
  t.is(promoted, 60);
});
