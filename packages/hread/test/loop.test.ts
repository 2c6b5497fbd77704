/*
 * The loop over real sockets, in this process: input reaches the protocol whole however it was cut, answers go out
 * whole and in order however slowly they are read, and when a connection ends, for whatever reason, its descriptor,
 * record, slots and file go with it. (Each test's end asserts that none is left.) What a fault adds to this is in
 * recovery.test.ts.
 */
import {execFile} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {mkdtempSync, openSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setImmediate as nextTurn} from 'node:timers/promises';
import {promisify} from 'node:util';
import {HreadError, LARGE, readBooks} from '@zlr/hread';
import {native} from '@zlr/kernel-shim/internal';
import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {Client} from './helpers/client.js';
import {eventually, LoopUnderTest, type TestChannel, timesOpen} from './helpers/loop-under-test.js';

// One after the other: they count the process' descriptors.
const {serial} = test;

const echo = {input: (channel: TestChannel, loop: LoopUnderTest) => loop.echoLine(channel)};

/** A file of random bytes, opened anew for each answer: the loop closes what it has sent. */
function bigFile(t: ExecutionContext, size: number): {content: Buffer; open(): number; timesOpen(): number} {
  const folder = mkdtempSync(join(tmpdir(), 'hread-test-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  const content = randomBytes(size);
  writeFileSync(join(folder, 'big'), content);
  return {
    content,
    open() {
      const directory = openSync(folder, 'r');
      const fd = native().openBeneath(directory, 'big', new Float64Array(8));
      native().close(directory);
      return fd;
    },
    timesOpen: () => timesOpen(join(folder, 'big')),
  };
}

serial('a line is accepted and answered', async t => {
  const under = await LoopUnderTest.start(t, echo);
  const client = await Client.open(under.port);
  client.send('hello\n');
  await client.untilText('hello\n');
  t.is(under.loop.size, 1);
  await client.close();
  await eventually(() => under.loop.size === 0);
  t.is(under.closedCount, 1);
});

serial('input that is cut anywhere reaches the protocol whole, and its answers come in order', async t => {
  const under = await LoopUnderTest.start(t, echo);
  const lines = fc.array(fc.string({maxLength: 300, unit: fc.constantFrom('a', 'b', ' ', '0')}), {
    minLength: 1,
    maxLength: 30,
  });
  const cuts = fc.array(fc.nat({max: 9000}), {maxLength: 20});
  await fc.assert(
    fc.asyncProperty(lines, cuts, async (words, positions) => {
      const text = words.map(word => `${word}\n`).join('');
      const edges = [...new Set([0, ...positions.filter(at => at < text.length), text.length])];
      edges.sort((a, b) => a - b);
      const client = await Client.open(under.port);
      await client.sendPieces(edges.slice(1).map((edge, i) => text.slice(edges[i], edge)));
      await client.untilLength(text.length);
      t.is(client.text, text);
      await client.close();
    }),
    {numRuns: 60, verbose: true},
  );
});

serial('a long line that follows consumed ones is moved to where its rest fits', async t => {
  const under = await LoopUnderTest.start(t, {
    // The answer is the line's length: an answer as long as the longest input would need two slots.
    input(channel, loop) {
      const line = loop.line(channel);
      if (line !== undefined) loop.answer(channel, line.length + 1, {text: `${line.length} ${line[0]}\n`});
    },
  });
  const client = await Client.open(under.port);
  // Half a slot and a bit consumed, then a line that the rest of the slot has no room for.
  const first = `${'a'.repeat(LARGE / 2 + 99)}\n`;
  const long = 'b'.repeat(LARGE - 100);
  client.send(first + long.slice(0, 500));
  await client.untilText(`${first.length - 1} a\n`);
  t.is(under.loop.size, 1);
  client.send(`${long.slice(500)}\n`);
  await client.untilText(`${long.length} b\n`);
  await client.close();
});

serial(
  'a line as long as a slot is held; a longer one waits in the kernel until the loop is told',
  async t => {
    const under = await LoopUnderTest.start(t, {input() {}});
    const client = await Client.open(under.port);
    client.send(`${'x'.repeat(LARGE + 4)}!`);
    await eventually(() => [...under.open].some(channel => channel.held === LARGE));
    const [channel] = under.open;
    await eventually(() => readBooks(channel!.record.fd)?.unread === 5);
    under.loop.consume(channel!, LARGE);
    await eventually(() => channel!.held === 5);
    t.is(under.held(channel!).toString(), 'xxxx!');
    await client.close();
  },
);

serial('many lines in one packet are answered one by one, in order', async t => {
  const under = await LoopUnderTest.start(t, echo);
  const client = await Client.open(under.port);
  const lines = Array.from({length: 500}, (_, n) => `line ${n}\n`).join('');
  client.send(lines);
  await client.untilLength(lines.length);
  t.is(client.text, lines);
  await client.close();
});

serial(
  'a reader who stops gets every byte of slot and file; meanwhile his input waits in the kernel',
  async t => {
    const big = bigFile(t, 8_000_000);
    let inputs = 0;
    const under = await LoopUnderTest.start(t, {
      input(channel, loop) {
        inputs++;
        const line = loop.line(channel);
        if (line === undefined) return;
        const file = {fd: big.open(), offset: 1000, length: big.content.length - 1500};
        if (line === 'big') loop.answer(channel, 4, {text: 'head\n', file});
        else {
          native().close(file.fd);
          loop.answer(channel, line.length + 1, {text: 'small\n'});
        }
      },
    });
    const client = await Client.open(under.port, {read: false});
    client.send('big\n');
    await eventually(() => [...under.open].some(({sending}) => sending));
    const [channel] = under.open;
    client.send('a\nb\n');
    // The loop is alive all the while, and goes by this one.
    const other = await Client.open(under.port);
    other.send('c\n');
    await other.untilText('small\n');
    await eventually(() => readBooks(channel!.record.fd)?.unread === 4);
    other.send('d\n');
    await other.untilText('small\nsmall\n');
    t.is(inputs, 3, 'none for the blocked one');
    t.is(readBooks(channel!.record.fd)?.unread, 4);
    t.true(channel!.sending);
    await other.close();

    client.socket.resume();
    const expected = Buffer.concat([
      Buffer.from('head\n'),
      big.content.subarray(1000, big.content.length - 500),
      Buffer.from('small\nsmall\n'),
    ]);
    await client.untilLength(expected.length);
    t.true(client.bytes.equals(expected));
    t.is(big.timesOpen(), 0, 'the file is closed with its answer');
    await client.close();
  },
);

serial('a client that ends its side behind its request gets the whole answer', async t => {
  const big = bigFile(t, 3_000_000);
  const under = await LoopUnderTest.start(t, {
    input: (channel, loop) =>
      void loop.answer(channel, channel.held, {
        text: 'head\n',
        file: {fd: big.open(), offset: 0, length: big.content.length},
      }),
  });
  const client = await Client.open(under.port);
  client.send('big\n');
  client.end();
  await client.untilEnded();
  t.true(client.bytes.equals(Buffer.concat([Buffer.from('head\n'), big.content])));
  await eventually(() => under.loop.size === 0);
});

serial('a client that resets the connection in the middle of an answer leaves nothing behind', async t => {
  const big = bigFile(t, 8_000_000);
  const under = await LoopUnderTest.start(t, {
    input: (channel, loop) =>
      void loop.answer(channel, channel.held, {
        text: 'head\n',
        file: {fd: big.open(), offset: 0, length: big.content.length},
      }),
  });
  const client = await Client.open(under.port, {read: false});
  client.send('big\n');
  await eventually(() => [...under.open].some(({sending}) => sending));
  t.is(big.timesOpen(), 1);
  const free = under.loop.extents.freeCount;
  client.reset();
  await eventually(() => under.loop.size === 0);
  t.is(under.records.size, 0);
  t.is(under.loop.extents.freeCount, free + 1, 'of the answer; the input was consumed');
  t.is(big.timesOpen(), 0);
});

serial(
  'a client that resets an idle connection, or one with half a line held, leaves nothing behind',
  async t => {
    const under = await LoopUnderTest.start(t, echo);
    const idle = await Client.open(under.port);
    const half = await Client.open(under.port);
    half.send('half a li');
    await eventually(() => [...under.open].some(({held}) => held === 9));
    idle.reset();
    half.reset();
    await eventually(() => under.loop.size === 0);
    t.is(under.loop.extents.freeCount, under.loop.extents.count);
  },
);

serial('an answer may come from outside of the turn that brought the input', async t => {
  const under = await LoopUnderTest.start(t, {
    async input(channel, loop) {
      if (loop.line(channel) === undefined) return;
      // Held input stays where it is while nothing else happens on the channel.
      await nextTurn();
      await nextTurn();
      loop.echoLine(channel);
    },
  });
  const client = await Client.open(under.port);
  for (const line of ['one\n', 'two\n', 'three\n']) {
    client.take();
    client.send(line);
    await client.untilText(line);
  }
  await client.close();
  await eventually(() => under.loop.size === 0);
  t.is(under.closedCount, 1);
});

serial('an answer to a client that has gone is dropped, with its slot and its file', async t => {
  const big = bigFile(t, 1000);
  let asked: TestChannel | undefined;
  const under = await LoopUnderTest.start(t, {
    input: channel => {
      asked = channel;
    },
  });
  const client = await Client.open(under.port);
  client.send('question\n');
  await eventually(() => asked !== undefined);
  await client.close();
  await eventually(() => under.loop.size === 0);
  const file = {fd: big.open(), offset: 0, length: 1000};
  under.answer(asked!, 0, {text: 'too late\n', file});
  t.is(under.loop.extents.freeCount, under.loop.extents.count);
  t.is(big.timesOpen(), 0);
});

serial(
  'to close a channel twice, or to consume from it afterwards, touches nothing that is reused',
  async t => {
    const under = await LoopUnderTest.start(t, {
      input(channel, loop) {
        // From outside of a batch: whatever the commands are, the loop gets them together.
        setImmediate(() => {
          loop.loop.close(channel);
          loop.loop.consume(channel, channel.held);
          loop.loop.close(channel);
        });
      },
    });
    const client = await Client.open(under.port);
    client.send('x\n');
    await client.untilEnded();
    await eventually(() => under.loop.size === 0);
    t.is(under.loop.extents.freeCount, under.loop.extents.count);
    const taken = Array.from({length: under.loop.extents.count}, () => under.loop.extents.take(true));
    t.is(new Set(taken).size, taken.length, 'no extent is free twice');
    for (const slot of taken) under.loop.extents.give(slot);
  },
);

serial('urgent data is part of the stream, at its place', async t => {
  const under = await LoopUnderTest.start(t, echo);
  const script = `
import socket, sys
s = socket.create_connection(('127.0.0.1', ${under.port}))
s.send(b'ab'); s.send(b'!', socket.MSG_OOB); s.send(b'cd\\n')
out = b''
while not out.endswith(b'\\n'): out += s.recv(100)
sys.stdout.write(out.decode())`;
  const {stdout} = await promisify(execFile)('python3', ['-c', script]);
  t.is(stdout, 'ab!cd\n');
});

serial('a last answer reaches a client that is still sending', async t => {
  const under = await LoopUnderTest.start(t, {
    input: (channel, loop) => loop.answer(channel, channel.held, {text: 'too large\n', close: true}),
  });
  const client = await Client.open(under.port);
  // The sender sees the answer only between its writes: a reset would take it away.
  let sent = 0;
  while (!client.ended) {
    if (client.closed) throw new Error(`cut with ${client.error?.code} after ${sent} bytes`);
    await client.sendPieces(['x'.repeat(10_000)]);
    sent += 10_000;
    await nextTurn();
  }
  t.is(client.text, 'too large\n');
  client.end();
  await eventually(() => under.loop.size === 0);
});

serial('a connection whose last answer is sent ends when the client has ended too', async t => {
  const under = await LoopUnderTest.start(t, {
    input: (channel, loop) => loop.answer(channel, channel.held, {text: 'bye\n', close: true}),
  });
  const client = await Client.open(under.port);
  client.send('x');
  await client.untilEnded();
  t.is(client.text, 'bye\n');
  client.end();
  await eventually(() => under.loop.size === 0);
});

serial('what a client sends after its last answer does not reset the connection', async t => {
  let isSent = false;
  const under = await LoopUnderTest.start(t, {
    input: (channel, loop) => loop.answer(channel, channel.held, {text: 'bye\n', close: true}),
    sent: () => {
      isSent = true;
    },
  });
  const client = await Client.open(under.port, {read: false});
  client.send('x');
  await eventually(() => isSent);
  // The first of these would bring the reset on, the second would meet it.
  for (let i = 0; i < 3; i++) {
    await client.sendPieces(['and more']);
    await nextTurn();
  }
  client.socket.resume();
  await client.untilEnded();
  t.is(client.error, undefined);
  t.is(client.text, 'bye\n');
  t.is(under.closedCount, 0);
  client.end();
  await eventually(() => under.loop.size === 0);
});

serial('a client that goes on sending for ever after its last answer is cut', async t => {
  const under = await LoopUnderTest.start(t, {
    input: (channel, loop) => loop.answer(channel, channel.held, {text: 'bye\n', close: true}),
  });
  const client = await Client.open(under.port);
  while (under.closedCount === 0) {
    await client.sendPieces(['x']);
    await nextTurn();
  }
  t.is(client.text, 'bye\n');
  await client.close();
});

serial('a quiet connection is told, a busy one is not', async t => {
  const told = new Set<TestChannel>();
  const under = await LoopUnderTest.start(
    t,
    {
      ...echo,
      idle: channel => void told.add(channel),
    },
    {idleSeconds: 2},
  );
  const quiet = await Client.open(under.port);
  quiet.send('quiet\n');
  await quiet.untilText('quiet\n');
  const [quietChannel] = under.open;
  const busy = await Client.open(under.port);
  let isOver = false;
  const work = (async () => {
    while (!isOver) {
      busy.take();
      busy.send('busy\n');
      await busy.untilText('busy\n');
    }
  })();
  await eventually(() => told.size > 0);
  isOver = true;
  await work;
  t.deepEqual([...told], [quietChannel]);
  await quiet.close();
  await busy.close();
});

serial('draining: idle connections end at once, answers on their way finish first', async t => {
  const big = bigFile(t, 8_000_000);
  const under = await LoopUnderTest.start(t, {
    input(channel, loop) {
      if (loop.line(channel) !== 'big') loop.echoLine(channel);
      else
        loop.answer(channel, 4, {
          text: 'head\n',
          file: {fd: big.open(), offset: 0, length: big.content.length},
        });
    },
  });
  const idle = await Client.open(under.port);
  idle.send('idle\n');
  await idle.untilText('idle\n');
  const reader = await Client.open(under.port, {read: false});
  reader.send('big\n');
  await eventually(() => [...under.open].some(({sending}) => sending));
  // This one is asked for before the end, too, though nobody has read it.
  const [, blocked] = [...under.open];
  reader.send('last\n');
  await eventually(() => readBooks(blocked!.record.fd)?.unread === 5);

  const drained = under.loop.drain(60);
  t.true(under.loop.isDraining);
  await idle.untilEnded();
  t.is(under.loop.size, 1);
  const refused = await Client.open(under.port).catch((error: NodeJS.ErrnoException) => error.code);
  t.is(refused, 'ECONNREFUSED');
  reader.socket.resume();
  await reader.untilEnded();
  t.true(reader.bytes.equals(Buffer.concat([Buffer.from('head\n'), big.content, Buffer.from('last\n')])));
  reader.end();
  await drained;
  await idle.close();
});

serial('draining cuts what has not ended in time', async t => {
  const big = bigFile(t, 8_000_000);
  const under = await LoopUnderTest.start(t, {
    input: (channel, loop) =>
      void loop.answer(channel, channel.held, {
        file: {fd: big.open(), offset: 0, length: big.content.length},
      }),
  });
  const reader = await Client.open(under.port, {read: false});
  reader.send('big\n');
  await eventually(() => [...under.open].some(({sending}) => sending));
  await under.loop.drain(0.05);
  t.is(under.loop.size, 0);
  await reader.close();
});

serial('an address that cannot be listened on is an error that says what to do', async t => {
  const under = await LoopUnderTest.start(t, echo);
  const {loop, port} = under;
  const taken = await t.throwsAsync(loop.listen({host: '127.0.0.1', port}), {instanceOf: HreadError});
  t.is(taken.code, 'LISTEN_FAILED');
  t.is(taken.errno, 'EADDRINUSE');
  t.regex(taken.message, /choose another port/);
  const elsewhere = await t.throwsAsync(loop.listen({host: '192.0.2.1', port: 0}), {instanceOf: HreadError});
  t.is(elsewhere.errno, 'EADDRNOTAVAIL');
  const unknown = await t.throwsAsync(loop.listen({host: 'no-such-host.invalid', port: 0}), {
    instanceOf: HreadError,
  });
  t.is(unknown.code, 'HOST_UNKNOWN');
  t.regex(unknown.message, /no-such-host\.invalid/);
});
