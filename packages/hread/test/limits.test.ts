/*
 * What is scarce is waited for and never lost: slots, records of the table, and room in the buffers of one batch
 * (768 events). Each test has more of something than there is room for, and ends when all of it was served.
 */
import {setImmediate as nextTurn} from 'node:timers/promises';
import {readBooks} from '@zlr/hread';
import test from 'ava';
import {Client} from './helpers/client.js';
import {eventually, LoopUnderTest, type TestChannel} from './helpers/loop-under-test.js';

const {serial} = test;

const echo = {input: (channel: TestChannel, loop: LoopUnderTest) => loop.echoLine(channel)};

const openMany = (under: LoopUnderTest, count: number): Promise<Client[]> =>
  Promise.all(Array.from({length: count}, () => Client.open(under.port)));

const closeAll = (clients: readonly Client[]): Promise<unknown> =>
  Promise.all(clients.map(client => client.close()));

/** Answers that wait until they are let go, so that each holds its slot for as long as a test needs. */
class HeldAnswers {
  readonly waiting: TestChannel[] = [];
  readonly slots: number[] = [];
  letAll = false;

  readonly handlers = {
    input: (channel: TestChannel, loop: LoopUnderTest): void => {
      if (this.letAll) {
        loop.echoLine(channel);
        return;
      }
      const slot = loop.loop.takeSlot(channel);
      if (slot < 0) return;
      this.slots.push(slot);
      this.waiting.push(channel);
    },
  };

  release(under: LoopUnderTest): void {
    this.letAll = true;
    for (const slot of this.slots.splice(0)) under.loop.slots.give(slot);
    for (const channel of this.waiting.splice(0)) under.echoLine(channel);
  }
}

serial('more answers at a time than there are slots are all sent', async t => {
  // Of 8 slots 2 are kept for answers: 6 held inputs, and the other clients' inputs wait in the kernel.
  const held = new HeldAnswers();
  const under = await LoopUnderTest.start(t, held.handlers, {slots: 8});
  const clients = await openMany(under, 40);
  clients.forEach((client, n) => {
    client.send(`client ${n}\n`);
  });
  await eventually(() => under.loop.slots.freeCount === 0 && under.loop.size === 40);
  t.is(held.waiting.length, 2);
  held.release(under);
  await Promise.all(clients.map((client, n) => client.untilText(`client ${n}\n`)));
  await closeAll(clients);
});

serial('a client that ended its side while its answer waited for a slot still gets it', async t => {
  const held = new HeldAnswers();
  const endedEarly = new Set<TestChannel>();
  const under: LoopUnderTest = await LoopUnderTest.start(
    t,
    {
      ...held.handlers,
      ended(channel) {
        if (held.waiting.includes(channel)) endedEarly.add(channel);
        else under.loop.close(channel);
      },
      sent(channel) {
        if (endedEarly.has(channel)) under.loop.close(channel);
      },
    },
    {slots: 8},
  );
  const clients = await openMany(under, 6);
  for (const client of clients) {
    client.send('x\n');
    client.end();
  }
  // Each end is seen while four of the inputs wait for a slot.
  await eventually(() => [...under.open].filter(({peerEnded}) => peerEnded).length === 6);
  t.is(held.waiting.length, 2);
  held.release(under);
  await Promise.all(clients.map(client => client.untilEnded()));
  t.deepEqual(
    clients.map(client => client.text),
    clients.map(() => 'x\n'),
  );
});

serial('a slot whose answer is dropped, since its client has gone, goes to one that waits', async t => {
  const taken: {channel: TestChannel; slot: number}[] = [];
  const under = await LoopUnderTest.start(
    t,
    {
      input(channel, loop) {
        if (taken.length === 2) {
          loop.echoLine(channel);
          return;
        }
        taken.push({channel, slot: loop.loop.takeSlot(channel)});
        loop.loop.consume(channel, channel.held); // so that the hold gives its own slot back
      },
    },
    {slots: 3},
  );
  const gone = await openMany(under, 2);
  for (const [index, client] of gone.entries()) {
    client.send('x\n');
    await eventually(() => taken.length === index + 1 && under.loop.slots.freeCount === 2 - index);
  }
  await closeAll(gone);
  await eventually(() => under.loop.size === 0);
  const client = await Client.open(under.port);
  client.send('waits\n');
  // Its input took the last slot, so its answer has none.
  await eventually(() => under.loop.slots.freeCount === 0 && under.open.size === 1);
  for (const {channel, slot} of taken) {
    under.loop.answer(channel, 0, {
      slot,
      length: 1,
      fileFd: -1,
      fileOffset: 0,
      fileLength: 0,
      close: false,
    });
  }
  await client.untilText('waits\n');
  t.is(under.loop.slots.freeCount, 3);
  await client.close();
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
    const count = 2000;
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
      {capacity: count, slots: 2 * count + count},
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

serial(
  'inputs that together need more slots than there are do not keep each other from being answered',
  async t => {
    // Each client has half a line in a hold slot; all of them go on one after the other.
    const under = await LoopUnderTest.start(t, echo, {slots: 4});
    const clients = await openMany(under, 3);
    for (const client of clients) client.send('half ');
    await eventually(() => [...under.open].filter(({held}) => held === 5).length === 3);
    const late = await Client.open(under.port);
    late.send('late\n');
    await eventually(() => under.loop.size === 4);
    await nextTurn();
    for (const client of clients) {
      client.send('line\n');
      await client.untilText('half line\n');
    }
    await late.untilText('late\n');
    t.true([...under.open].every(({record}) => readBooks(record.fd)?.unread === 0));
    await closeAll([...clients, late]);
  },
);
