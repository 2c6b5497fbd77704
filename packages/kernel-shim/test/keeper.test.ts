/**
 * Proves, with real processes and connections, that a service's channels outlive it: whichever of service, keeper and
 * supervisor dies, and when, what is left goes on as docs/contract.md says.
 *
 * To see it fail: in native/keeper/keeper.c clone the keeper without CLONE_FILES, or leave out setsid(), hollow(), or the word
 * to the former keeper; in plan.c do not make channels inheritable; in registration.ts do not replace a dead keeper.
 * ZLR_SEED=N repeats the delays of the random kills.
 */
import {readlinkSync} from 'node:fs';
import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import {Random} from '../../../test/support/random.js';
import {compile} from './native-program.js';
import {Client, dist, exited, fixture, privateMemory, Supervised, type Who} from './supervised.js';

const own = ['ZLR_BIRTH', 'ZLR_DOOR', 'ZLR_CHILD_ID'];

test.serial(
  'the next generation has the same channels, arguments, environment, folder and stdio',
  async t => {
    const {service, up} = await Supervised.start(t, {env: {PLAIN: 'as it was', EMPTY: ''}});
    t.is(up.channels, null);
    const clients = await Promise.all([1, 2, 3].map(() => Client.open(t, up.port)));
    const socketsOf = (pid: number, fds: readonly number[]): string[] =>
      fds.map(fd => readlinkSync(`/proc/${pid}/fd/${fd}`));
    const before = (await Promise.all(clients.map(client => client.who()))).map(({fd}) => fd);
    const sockets = socketsOf(up.pid, [up.listener, ...before]);

    process.kill(up.pid, 'SIGKILL');
    const next = await service.next('up');
    t.is(next.up, 2);
    t.is(next.port, up.port);
    t.deepEqual(socketsOf(next.pid, next.channels!).sort(), [...sockets].sort());
    const after = await Promise.all(clients.map(client => client.who()));
    t.deepEqual(
      after.map(({generation}) => generation),
      [2, 2, 2],
    );
    // Each client is answered over its own.
    t.deepEqual(
      socketsOf(
        next.pid,
        after.map(({fd}) => fd),
      ),
      sockets.slice(1),
    );
    for (const what of ['argv', 'execArgv', 'env', 'cwd'] as const) t.deepEqual(next[what], up[what], what);
    t.is(next.env['PLAIN'], 'as it was');

    const read = clients[0]!.ask<{stdin: string}>('stdin');
    service.stdin.write('hello\n');
    t.deepEqual(await read, {stdin: 'hello\n'});
  },
);

test.serial('nothing but channels is handed over, however often', async t => {
  const {service, up} = await Supervised.start(t, {thresholdMs: 0});
  const client = await Client.open(t, up.port);
  const numbers: number[] = [];
  for (let generation = 2; generation <= 6; generation++) {
    process.kill((await client.who()).pid, 'SIGKILL');
    numbers.push((await service.next('up')).fds.length);
  }
  // A generation may have one more for a moment; what was handed over is there in all that follow.
  t.is(Math.min(...numbers.slice(3)), Math.min(...numbers), numbers.join(' '));
});

test.serial('every class of fault is told exactly, and none ends a connection', async t => {
  const {service, up} = await Supervised.start(t, {thresholdMs: 0});
  const client = await Client.open(t, up.port);
  const faults = ['SIGSEGV', 'SIGKILL', 'SIGABRT', 'exit 3', 'throw'];
  for (const [index, fault] of faults.entries()) {
    client.send(fault);
    await service.next('up'); // what is sent while Node, and not the kernel, has the line would be lost with it
    t.is((await client.who()).generation, index + 2);
    // It tells its supervisor after it has answered; a fault in between would take the news with it.
    while ((await service.status()).faults[index]!.downMs === null);
  }
  t.deepEqual(await service.faults(), [
    {generation: 1, class: 'signal', signal: 'SIGSEGV', exitCode: null},
    {generation: 2, class: 'signal', signal: 'SIGKILL', exitCode: null},
    {generation: 3, class: 'signal', signal: 'SIGABRT', exitCode: null},
    {generation: 4, class: 'exit', signal: null, exitCode: 3},
    {generation: 5, class: 'exit', signal: null, exitCode: 1},
  ]);
  const {channels, faults: records} = await service.status();
  t.is(channels, 2);
  for (const {channels: handed, downMs} of records) {
    t.is(handed, 2);
    t.true(downMs! > 0);
  }
});

test.serial('a keeper has at most 100 kB of its own, also when the service has churned its heap', async t => {
  const {service, up: first} = await Supervised.start(t, {thresholdMs: 0});
  const hasLittle = (when: string, keeper: number): void => {
    const {kB, where} = privateMemory(keeper);
    t.log(`${when}: ${kB} kB`);
    t.true(kB <= 100, where.join('\n'));
  };
  const client = await Client.open(t, first.port);
  // Several generations: where the kernel puts their memory, and what touches what, differs from one to the next.
  for (let up = first; up.up <= 5; up = await service.next('up')) {
    await client.who();
    await twoKeepers(service); // until then it may not have dropped what it does not need, and has what the two have in common
    t.is((await service.status()).channels, 2);
    hasLittle(`generation ${up.up}, at first`, up.keeper);
    await client.ask('churn');
    t.true(privateMemory(up.pid).kB > 10_000, 'the service itself has some');
    hasLittle(`generation ${up.up}, after the churn`, up.keeper);
    process.kill(up.pid, 'SIGKILL');
  }
});

test.serial("a keeper is out of reach of signals to its own group and the service's", async t => {
  const {service, up} = await Supervised.start(t);
  const client = await Client.open(t, up.port);
  await twoKeepers(service); // it has cloned another, so it stands, and leads a group of its own
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.kill(-up.keeper, signal);
    process.kill(up.keeper, signal);
  }
  t.is((await client.who()).keeper, up.keeper);
  t.is((await service.status()).channels, 2); // it answers, so it lives
  for (let {pid} = up, generation = 2; generation <= 3; generation++) {
    process.kill(-pid, 'SIGINT'); // every generation leads a group of its own
    ({pid} = await service.next('up'));
    t.like(await client.who(), {generation, pid});
  }
  t.deepEqual(
    (await service.faults()).map(({signal}) => signal),
    ['SIGINT', 'SIGINT'],
  );
});

test.serial('Ctrl-C in the terminal reaches neither service nor keeper', async t => {
  const {service, up} = await Supervised.start(t);
  const client = await Client.open(t, up.port);
  process.kill(-service.supervisorPid, 'SIGINT'); // the fixture has no handler and dies of it
  await service.outcome;
  t.like(await client.who(), {generation: 1, pid: up.pid, keeper: up.keeper});
});

/** Asks until there are two keepers, none of them one of those. */
async function twoKeepers(service: Supervised, others: readonly number[] = []): Promise<[number, number]> {
  for (;;) {
    const {keepers} = await service.status();
    const [older, younger] = keepers;
    if (older && younger && !keepers.some(pid => others.includes(pid))) return [older, younger];
  }
}

test.serial(
  'killed keepers are replaced, one after the other, and a later fault hands the channels over',
  async t => {
    const {service, up} = await Supervised.start(t);
    const client = await Client.open(t, up.port);
    for (let round = 0, keepers = await twoKeepers(service); round < 4; round++) {
      const killed = keepers[round % 2]!;
      process.kill(killed, 'SIGKILL');
      await exited(killed);
      keepers = await twoKeepers(service, [killed]);
      t.is((await client.ask<{keeper: number}>('keeper')).keeper, keepers[0]);
    }
    process.kill(up.pid, 'SIGKILL');
    t.like(await client.who(), {generation: 2});
    t.is((await service.status()).faults[0]!.channels, 2);
  },
);

test.serial(
  'both keepers killed at once: the service clones another, and a later fault hands the channels over',
  async t => {
    const {service, up} = await Supervised.start(t);
    const client = await Client.open(t, up.port);
    const both = await twoKeepers(service);
    for (const pid of both) process.kill(pid, 'SIGKILL');
    await twoKeepers(service, both);
    process.kill(up.pid, 'SIGKILL');
    t.like(await client.who(), {generation: 2});
  },
);

test.serial(
  'a keeper that is killed with the service leaves the other, which hands the channels over',
  async t => {
    const {service, up} = await Supervised.start(t, {thresholdMs: 0});
    const client = await Client.open(t, up.port);
    for (let generation = 2; generation <= 5; generation++) {
      const keepers = await twoKeepers(service);
      const {pid} = await client.who();
      process.kill(keepers[generation % 2]!, 'SIGKILL');
      process.kill(pid, 'SIGKILL');
      t.like(await client.who(), {generation});
    }
  },
);

test.serial(
  'a killed supervisor costs nothing: the service goes on, and its keeper starts the next generation',
  async t => {
    const {service, up} = await Supervised.start(t);
    const client = await Client.open(t, up.port);
    await service.killSupervisor();
    t.like(await client.who(), {generation: 1, pid: up.pid});
    for (let generation = 2; generation <= 3; generation++) {
      process.kill((await client.who()).pid, 'SIGKILL');
      const next = await service.next('up');
      t.is(next.up, generation);
      t.like(await client.who(), {generation, keeper: next.keeper});
      t.true(next.keeper > 0);
    }
    t.regex(
      service.stderr,
      /^zlr: generation 1 died and no supervisor answers; its keeper starts the next one$/m,
    );
  },
);

test.serial('supervisor and one keeper killed: the other starts the next generation', async t => {
  for (const which of [0, 1]) {
    const {service, up} = await Supervised.start(t);
    const client = await Client.open(t, up.port);
    const keepers = await twoKeepers(service);
    await service.killSupervisor();
    process.kill(keepers[which]!, 'SIGKILL');
    await exited(keepers[which]!);
    process.kill(up.pid, 'SIGKILL');
    t.like(await client.who(), {generation: 2});
    await service.next('up');
  }
});

test.serial(
  'supervisor and both keepers killed: the service clones another, which starts the next generation',
  async t => {
    const {service, up} = await Supervised.start(t);
    const client = await Client.open(t, up.port);
    const both = await twoKeepers(service);
    await service.killSupervisor();
    for (const pid of both) process.kill(pid, 'SIGKILL');
    await Promise.all(both.map(exited));
    for (let keeper = both[0]; both.includes(keeper); ) ({keeper} = await client.who());
    process.kill(up.pid, 'SIGKILL');
    t.like(await client.who(), {generation: 2});
    await service.next('up');
  },
);

test.serial('supervisor and service killed at once: the keeper starts the next generation', async t => {
  const {service, up} = await Supervised.start(t);
  const client = await Client.open(t, up.port);
  process.kill(service.supervisorPid, 'SIGKILL');
  process.kill(up.pid, 'SIGKILL');
  t.like(await client.who(), {generation: 2});
  t.is((await service.next('up')).port, up.port);
});

test.serial(
  'both keepers and the service killed at once: the supervisor starts afresh, and the log says so',
  async t => {
    const {service, up} = await Supervised.start(t);
    const client = await Client.open(t, up.port);
    const keepers = await twoKeepers(service);
    process.kill(service.supervisorPid, 'SIGSTOP'); // so that it has no third one cloned in between
    for (const pid of [...keepers, up.pid]) process.kill(pid, 'SIGKILL');
    await Promise.all([...keepers, up.pid].map(exited));
    process.kill(service.supervisorPid, 'SIGCONT');
    await client.ended;
    const next = await service.next('up');
    t.like(next, {up: 2, channels: []});
    t.regex(
      (await service.next('log')).log,
      /^generation 1 \(pid \d+\) died of SIGKILL \([^)]*\) and no keeper holds its channels; generation 2 \(pid \d+\) starts afresh$/,
    );
    t.like(await (await Client.open(t, next.port)).who(), {generation: 2});
  },
);

test.serial('a kill while the next generation boots loses no connection', async t => {
  const {service, up} = await Supervised.start(t, {thresholdMs: 0});
  const clients = await Promise.all([1, 2, 3].map(() => Client.open(t, up.port)));
  await Promise.all(clients.map(client => client.who()));
  process.kill(up.pid, 'SIGKILL');
  const random = Random.fromEnvironment();
  const instants: number[] = [];
  for (let kill = 0; kill < 8; kill++) {
    // The supervisor says its pid long before it is up.
    const pid = Number(
      /generation \d+ \(pid (\d+)\) takes over 4 channels$/.exec((await service.next('log')).log)![1],
    );
    const instant = kill === 0 ? 0 : random.below(150); // some while it boots, some when it is up
    await delay(instant);
    instants.push(instant);
    process.kill(pid, 'SIGKILL');
  }
  t.log(`seed ${random.seed}: killed after ${instants.join(', ')} ms`);
  for (const client of clients) t.is((await client.who()).generation, 10);
});

test.serial(
  'a kill while the next generation boots loses no connection without a supervisor either',
  async t => {
    const {service, up} = await Supervised.start(t, {thresholdMs: 0});
    const client = await Client.open(t, up.port);
    await service.killSupervisor();
    process.kill(up.pid, 'SIGKILL');
    const second = await service.next('up');
    process.kill(second.pid, 'SIGKILL');
    t.is((await client.who()).generation, 3);
    await service.next('up');
  },
);

test.serial('a service that dies as soon as it is up takes no keeper with it', async t => {
  const LIVES = 4;
  const slow = await compile(t, 'slow-setsid.c', ['-O2', '-shared', '-fPIC']);
  const {service, up} = await Supervised.start(t, {
    command: [
      ...['env', `LD_PRELOAD=${slow}`, process.execPath, '--no-warnings', fixture('service.mjs'), dist],
      ...Array.from({length: LIVES}, () => 'SIGKILL'),
    ],
    thresholdMs: 0,
  });
  for (let life = 2; life <= LIVES + 1; life++) t.like(await service.next('up'), {up: life, port: up.port});
});

test.serial('no former keeper hides the end of a connection', async t => {
  const {service, up} = await Supervised.start(t);
  const client = await Client.open(t, up.port);
  await client.who();
  process.kill(up.pid, 'SIGKILL');
  await service.next('up');
  client.send('close');
  await client.ended; // would never come while anybody else had the descriptor
  t.pass();
});

test.serial("the service's children inherit neither its channels nor its registration", async t => {
  const {service, up} = await Supervised.start(t);
  const client = await Client.open(t, up.port);
  process.kill((await client.who()).pid, 'SIGKILL');
  const next = await service.next('up');
  const child = await client.ask<{env: Record<string, string>; fds: string[]}>('child');
  t.deepEqual(
    own.filter(name => name in child.env),
    [],
  );
  const links = next.channels!.map(fd => readlinkSync(`/proc/${next.pid}/fd/${fd}`));
  t.is(links.length, 2);
  t.deepEqual(
    child.fds.filter(link => links.includes(link)),
    [],
  );
});

test.serial('the keeper goes with a service that ends by itself', async t => {
  const {service, up} = await Supervised.start(t);
  const gone = exited(up.keeper);
  const client = await Client.open(t, up.port);
  client.send('exit 0');
  await client.ended;
  await gone;
  t.deepEqual(await service.next('end'), {end: {exitCode: 0, reason: 'the service ended by itself'}});
});

test.serial('a keeper that stands is one process with one connection', async t => {
  const {up} = await Supervised.start(t);
  const client = await Client.open(t, up.port);
  const who: Who = await client.who();
  t.is(readlinkSync(`/proc/${who.keeper}/fd/${who.fd}`), readlinkSync(`/proc/${who.pid}/fd/${who.fd}`));
});
