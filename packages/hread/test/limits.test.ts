/*
 * What is scarce is waited for and never lost: memory, records of the table, and room in the buffers of one batch
 * (2,560 events). Each test has more of something than there is room for, and ends when all of it was served.
 */
import {LARGE, SMALL} from '@zlr/hread';
import test from 'ava';
import {Client} from './helpers/client.js';
import {eventually, LoopUnderTest, type TestChannel} from './helpers/loop-under-test.js';

const {serial} = test;

const echo = {input: (channel: TestChannel, loop: LoopUnderTest) => loop.echoLine(channel)};

const openMany = (under: LoopUnderTest, count: number): Promise<Client[]> =>
  Promise.all(Array.from({length: count}, () => Client.open(under.port)));

const closeAll = (clients: readonly Client[]): Promise<unknown> =>
  Promise.all(clients.map(client => client.close()));

const LONG = SMALL + 100;
const line = (n: number): string => `${String(n).padStart(LONG - 1, '.')}\n`;

serial('more held input than there is memory for waits in the kernel, and is served in order', async t => {
  // Of 8 large extents 2 are kept for output: 6 halves of long lines are held, and the other clients starve.
  const order: string[] = [];
  const under = await LoopUnderTest.start(
    t,
    {
      input(channel, loop) {
        const text = loop.line(channel);
        if (text === undefined) return;
        loop.echoLine(channel);
        order.push(text);
      },
    },
    {large: 8},
  );
  const clients = await openMany(under, 20);
  for (const [n, client] of clients.entries()) {
    client.send(line(n).slice(0, SMALL + 50));
    await eventually(() => under.loop.size === 20 && [...under.loop][n]!.held >= SMALL);
  }
  await eventually(() => under.loop.extents.freeLarge === 2);
  const heldWhole = [...under.loop].filter(channel => channel.held === SMALL + 50);
  t.is(heldWhole.length, 6);
  for (const [n, client] of clients.entries()) client.send(line(n).slice(SMALL + 50));
  await Promise.all(clients.map((client, n) => client.untilText(line(n))));
  // Those that have memory at the same time are equals; nobody is overtaken by more than these.
  t.is(order.length, clients.length);
  for (const n of clients.keys()) t.true(Math.abs(order.indexOf(line(n).trimEnd()) - n) <= 6, `client ${n}`);
  await closeAll(clients);
});

serial('those that hold memory longest without progress are told, while others wait for it', async t => {
  const told: number[] = [];
  const under: LoopUnderTest = await LoopUnderTest.start(
    t,
    {
      ...echo,
      overdue(channel) {
        told.push(channel.index);
        under.loop.close(channel);
      },
    },
    {large: 4, unitSeconds: 10_000},
  );
  const slow = await openMany(under, 3);
  for (const [n, client] of slow.entries()) {
    client.send('x'.repeat(LONG));
    await eventually(() => [...under.loop].filter(({held}) => held === LONG).length === n + 1);
  }
  t.is(under.loop.extents.freeLarge, 1);
  const late = await Client.open(under.port);
  late.send(line(7));
  await late.untilText(line(7));
  t.deepEqual(told, [0], 'one was enough, and it was the first');
  await closeAll([...slow, late]);
});

serial('output that finds no memory is made again when there is some', async t => {
  const size = 6 * LARGE;
  const answers = 60;
  let refused = 0;
  const under = await LoopUnderTest.start(
    t,
    {
      input(channel, loop) {
        try {
          loop.answer(channel, 1, {text: 'x'.repeat(size)});
        } catch (error) {
          refused++;
          throw error;
        }
      },
    },
    {large: 8},
  );
  const clients = await Promise.all(Array.from({length: 6}, () => Client.open(under.port, {read: false})));
  for (const client of clients) client.send('g'.repeat(answers));
  await eventually(() => refused > 0);
  t.is([...under.loop].filter(({sending}) => sending).length, 1, 'there is memory for one');
  for (const client of clients) client.socket.resume();
  await Promise.all(clients.map(client => client.untilLength(answers * size)));
  t.true(clients.every(client => client.length === answers * size));
  await closeAll(clients);
});

serial('input that came in one piece is served in turns with that of others', async t => {
  const order: number[] = [];
  const under = await LoopUnderTest.start(
    t,
    {
      input(channel, loop) {
        if ([...loop.loop].filter(({held}) => held > 1000).length === 2) order.push(channel.index);
        if (loop.loop.size === 2) loop.echoLine(channel);
      },
    },
    {inTurn: false, mostOutput: 2 ** 20},
  );
  const lines = Array.from({length: 3000}, (_, n) => `${n}\n`).join('');
  const hogs = await openMany(under, 2);
  for (const hog of hogs) hog.send(lines);
  await Promise.all(hogs.map(hog => hog.untilLength(lines.length)));
  t.true(hogs.every(({text}) => text === lines));
  t.true(order.length > 1000);
  let run = 1;
  let longest = 1;
  for (const [at, index] of order.entries()) {
    run = index === order[at - 1] ? run + 1 : 1;
    longest = Math.max(longest, run);
  }
  t.true(longest <= 4, `${longest} in a row`);
  await closeAll(hogs);
});

serial('an error of one channel does not keep the rest of the batch from what it must hear', async t => {
  const errors: unknown[] = [];
  const listener = (error: unknown): void => void errors.push(error);
  process.prependListener('uncaughtException', listener);
  const others = process.listeners('uncaughtException').filter(each => each !== listener);
  for (const each of others) process.off('uncaughtException', each);
  t.teardown(() => {
    process.off('uncaughtException', listener);
    for (const each of others) process.on('uncaughtException', each);
  });
  const under = await LoopUnderTest.start(t, {
    input(channel, loop) {
      if (loop.line(channel) === 'bad') throw new Error('of one client');
      loop.echoLine(channel);
    },
  });
  const clients = await openMany(under, 20);
  await eventually(() => under.loop.size === 20);
  clients.forEach((client, n) => {
    client.send(n === 7 ? 'bad\n' : `${n}\n`);
  });
  await Promise.all(clients.map((client, n) => (n === 7 ? undefined : client.untilText(`${n}\n`))));
  await eventually(() => errors.length === 1);
  t.is((errors[0] as Error).message, 'of one client');
  await closeAll(clients);
});

serial('a connection beyond the capacity of the table is served when another closes', async t => {
  const under = await LoopUnderTest.start(t, echo, {capacity: 4});
  const clients = await openMany(under, 10);
  clients.forEach((client, n) => {
    client.send(`client ${n}\n`);
  });
  const served = new Set<Client>();
  while (served.size < clients.length) {
    const rest = clients.filter(client => !served.has(client));
    // Whom the kernel accepts first is its own affair.
    const next = await Promise.race(rest.map(client => client.untilText('\n').then(() => client)));
    t.true(under.loop.size <= 4);
    t.is(next.text, `client ${clients.indexOf(next)}\n`);
    served.add(next);
    await next.close();
  }
});

serial(
  'more connections than one batch has room for are accepted, answered and closed in one go',
  async t => {
    const count = 3000;
    const waiting: TestChannel[] = [];
    let deferred = true;
    const under = await LoopUnderTest.start(
      t,
      {
        input(channel, loop) {
          if (deferred) waiting.push(channel);
          else loop.echoLine(channel);
        },
      },
      {capacity: count},
    );
    const clients = await openMany(under, count);
    clients.forEach((client, n) => {
      client.send(`a${n}\n`);
    });
    await eventually(() => waiting.length === count);
    deferred = false;
    // All of them in one turn of the loop, and outside of a batch.
    for (const channel of waiting) under.echoLine(channel);
    await Promise.all(clients.map((client, n) => client.untilText(`a${n}\n`)));
    clients.forEach((client, n) => {
      client.send(`b${n}\n`);
    });
    await Promise.all(clients.map((client, n) => client.untilText(`b${n}\n`)));
    t.true(clients.every((client, n) => client.text === `a${n}\nb${n}\n`));
    await under.loop.drain(60);
    await Promise.all(clients.map(client => client.untilEnded()));
    t.is(under.loop.size, 0);
    await closeAll(clients);
  },
);

serial('every quiet connection is told, also where they are more than one batch has room for', async t => {
  const count = 1000;
  const told = new Set<TestChannel>();
  const under = await LoopUnderTest.start(
    t,
    {...echo, idle: channel => void told.add(channel)},
    {capacity: count, idleSeconds: 1},
  );
  const clients = await openMany(under, count);
  await eventually(() => told.size === count);
  t.is(under.loop.size, count, 'what to do about it is for the protocol to say');
  await closeAll(clients);
});
