/**
 * Proves that a service outlives its supervisor and gets another one: it is adopted with its channels and its history, and
 * can be looked at and stopped in between.
 *
 * To see it fail: in native/keeper/alone.c do not answer the door; in supervisor.ts start afresh instead of adopting; in
 * control/client.ts do not tell the keeper to let go.
 */
import {existsSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {Client, exited, Supervised} from './supervised.js';

const shim = (name: string): string => new URL(`../dist/${name}`, import.meta.url).href;

/** fetchStatus() and requestStop() as another process would call them. */
async function clientOf(service: Supervised): Promise<{
  status(): Promise<{supervisorPid: number | null; pid: number; faultCount: number; faults: object[]}>;
  stop(): Promise<void>;
}> {
  const {fetchStatus, requestStop} = (await import(shim('index.js'))) as typeof import('../src/index.js');
  const within = async <R>(work: () => Promise<R>): Promise<R> => {
    process.env['ZLR_RUN_DIR'] = service.runDir;
    return work();
  };
  return {
    status: () => within(() => fetchStatus(service.name)),
    stop: () => within(() => requestStop(service.name)),
  };
}

test.serial('another supervisor adopts the service, its channels and its history', async t => {
  const {service, up} = await Supervised.start(t, {thresholdMs: 0});
  const client = await Client.open(t, up.port);
  process.kill((await client.who()).pid, 'SIGSEGV');
  const second = await service.next('up');
  t.like(await client.who(), {generation: 2});
  await service.killSupervisor();
  const other = await clientOf(service);
  t.like(await other.status(), {supervisorPid: null, pid: second.pid, faultCount: 1});

  const heir = new Supervised(t, {runDir: service.runDir, thresholdMs: 0});
  t.regex(
    (await heir.next('log')).log,
    /^generation 2 \(pid \d+\) lives, and its supervisor does not: it is adopted$/,
  );
  t.like(await client.who(), {generation: 2, pid: second.pid});
  const status = await other.status();
  t.like(status, {supervisorPid: heir.supervisorPid, pid: second.pid, generation: 2, faultCount: 1});
  t.like(status.faults[0], {generation: 1, signal: 'SIGSEGV'});

  for (let generation = 3; generation <= 4; generation++) {
    process.kill((await client.who()).pid, 'SIGKILL');
    const next = await heir.next('up'); // it writes where its supervisor does
    t.is(next.port, up.port);
    t.like(await client.who(), {generation, pid: next.pid});
  }
  t.is((await other.status()).faultCount, 3);
  const gone = exited((await client.who()).pid);
  process.kill(heir.supervisorPid, 'SIGTERM');
  t.is(await heir.outcome, 0);
  await gone;
  t.false(existsSync(join(service.runDir, service.name)));
});

test.serial('a service that a keeper has started in between is adopted, too', async t => {
  const {service, up} = await Supervised.start(t, {thresholdMs: 0});
  const client = await Client.open(t, up.port);
  await service.killSupervisor();
  process.kill((await client.who()).pid, 'SIGKILL');
  await service.next('up');
  const heir = new Supervised(t, {runDir: service.runDir, thresholdMs: 0});
  t.regex((await heir.next('log')).log, /^generation 2 .* it is adopted$/);
  process.kill((await client.who()).pid, 'SIGKILL');
  await heir.next('up');
  t.like(await client.who(), {generation: 3});
  t.like(await (await clientOf(service)).status(), {supervisorPid: heir.supervisorPid, faultCount: 1});
});

test.serial('an adopted service that ends by itself has ended', async t => {
  const {service, up} = await Supervised.start(t);
  await service.killSupervisor();
  const heir = new Supervised(t, {runDir: service.runDir});
  await heir.next('log');
  process.kill(up.pid, 'SIGTERM'); // its handler says that this end is no fault
  t.deepEqual((await heir.next('end')).end, {exitCode: 0, reason: 'the service ended by itself'});
  t.is(await heir.outcome, 0);
});

test.serial(
  'without a supervisor a stop ends the service for good, whatever it thinks of SIGTERM',
  async t => {
    const {service, up} = await Supervised.start(t);
    const keepers = (await service.status()) as unknown as {keepers: number[]};
    await service.killSupervisor();
    await (await clientOf(service)).stop();
    await Promise.all([up.pid, ...keepers.keepers].map(exited));
    t.false(existsSync(join(service.runDir, service.name)));

    // A plain program, which dies of SIGTERM: its end would be a fault.
    const plain = new Supervised(t, {
      name: 'plain',
      command: [
        process.execPath,
        '-e',
        'console.log(JSON.stringify({up: 1, pid: process.pid})); setInterval(() => {}, 1e6)',
      ],
    });
    const {pid} = await plain.next('up');
    await plain.killSupervisor();
    const other = await clientOf(plain);
    t.like(await other.status(), {supervisorPid: null, pid});
    await other.stop();
    await exited(pid);
    t.pass();
  },
);
