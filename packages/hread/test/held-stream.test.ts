/*
 * hread(rlen, dlen) of one socket, for code with a loop of its own: what is read stays held until it is deleted, also
 * for the next reader of the same socket, who knows no more than the record and the kernel's books.
 */
import {once} from 'node:events';
import {createServer, type Socket} from 'node:net';
import {
  type ChannelRecord,
  channelBytes,
  channelSchema,
  channelStruct,
  Extents,
  HeldStream,
  HreadError,
  LARGE,
  readBooks,
} from '@zlr/hread';
import {openStore} from '@zlr/state-store';
import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {Client} from './helpers/client.js';
import {eventually} from './helpers/loop-under-test.js';

let nextNumber = 1;

interface Held {
  client: Client;
  fd: number;
  record: ChannelRecord;
  extents: Extents;
  /** Another reader of the socket, as the next generation makes it. */
  open(): HeldStream;
  close(): Promise<void>;
}

async function openHeld(t: ExecutionContext, large = 4): Promise<Held> {
  const room = {connections: 4, large, small: 4};
  const store = await openStore({
    name: `held-test-${process.pid}-${nextNumber++}`,
    backend: 'memory',
    size: channelBytes(room),
    schema: channelSchema(channelStruct({}), room),
  });
  const {memory, root} = store;
  const extents = new Extents(root.zlrPool, root.zlrExtents);
  extents.free(new Set());
  // Paused, so that nobody but hread reads from the socket.
  const server = createServer({pauseOnConnect: true});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const client = await Client.open((server.address() as {port: number}).port);
  const [socket] = (await accepted) as [Socket];
  server.close();
  const {fd} = (socket as unknown as {_handle: {fd: number}})._handle;
  const {cookie} = readBooks(fd)!;
  const record = root.zlrChannels.insert({cookie, fd});
  const layout = store.layout('zlrChannels');
  let isClosed = false;
  const close = async (): Promise<void> => {
    if (isClosed) return;
    isClosed = true;
    await client.close();
    socket.destroy();
    store.destroy();
  };
  t.teardown(close);
  return {
    client,
    fd,
    record,
    extents,
    open: () => new HeldStream({memory, layout}, extents, record, fd, readBooks(fd)!.read),
    close,
  };
}

const unread = (fd: number): number => readBooks(fd)!.unread;

test('what is read is held until it is deleted', async t => {
  const {client, fd, open, extents} = await openHeld(t);
  const stream = open();
  t.is(stream.hread(100), -1, 'there is nothing yet');
  t.is(stream.held.length, 0);
  client.send('hello world');
  await eventually(() => unread(fd) === 11);
  t.is(stream.hread(5), 5);
  t.is(stream.hread(100), 6);
  t.is(stream.held.toString(), 'hello world');
  t.is(stream.hread(0, 6), 0, 'deletes alone');
  t.is(stream.held.toString(), 'world');
  t.is(stream.hread(0, 5), 0);
  t.is(stream.held.length, 0);
  t.is(extents.freeCount, 8, 'no extent without held bytes');
});

test('the next reader finds what was not deleted, and goes on behind it', async t => {
  const {client, fd, open} = await openHeld(t);
  const first = open();
  client.send('one two three');
  await eventually(() => unread(fd) === 13);
  t.is(first.hread(7), 7);
  t.is(first.hread(0, 4), 0);
  const second = open();
  t.is(second.held.toString(), 'two');
  t.is(second.hread(100), 6);
  t.is(second.held.toString(), 'two three');
});

test("the peer's end is told when all is read, and what is held stays", async t => {
  const {client, fd, open} = await openHeld(t);
  const stream = open();
  client.send('last');
  client.end();
  await eventually(() => readBooks(fd)!.peerEnded);
  t.is(stream.hread(100), 4);
  t.is(stream.hread(100), 0);
  t.is(stream.hread(100), 0);
  t.is(stream.held.toString(), 'last');
});

test('to delete more than is held is an error, and deletes nothing', async t => {
  const {client, fd, open} = await openHeld(t);
  const stream = open();
  client.send('abc');
  await eventually(() => unread(fd) === 3);
  t.is(stream.hread(2), 2);
  const error = t.throws(() => stream.hread(10, 3), {instanceOf: HreadError});
  t.is(error.code, 'HOLD_EXCEEDED');
  t.is(error.message, 'hread: cannot delete 3 bytes, only 2 are held');
  t.is(stream.held.toString(), 'ab');
  t.is(stream.hread(10, 2), 1);
  t.is(stream.held.toString(), 'c');
});

test('a full hold is an error until something is deleted', async t => {
  const {client, fd, open} = await openHeld(t);
  const stream = open();
  client.send('x'.repeat(LARGE + 1));
  await eventually(() => unread(fd) === LARGE + 1);
  t.is(stream.hread(2 * LARGE), LARGE, 'no more than an extent holds');
  const error = t.throws(() => stream.hread(1), {instanceOf: HreadError});
  t.is(error.code, 'HOLD_EXCEEDED');
  t.regex(error.message, /delete what is processed first/);
  // A hold is moved when half of it is free.
  t.is(stream.hread(1, LARGE / 2), 1);
  t.is(stream.held.length, LARGE / 2 + 1);
});

test('without a free extent nothing can be held', async t => {
  const {client, fd, open, extents} = await openHeld(t, 1);
  const stream = open();
  extents.small[0] = 0;
  const extent = extents.take(false);
  client.send('abc');
  await eventually(() => unread(fd) === 3);
  t.is(t.throws(() => stream.hread(10), {instanceOf: HreadError}).code, 'HOLD_EXCEEDED');
  extents.give(extent);
  t.is(stream.hread(10), 3);
});

test('a reset is an error with its name; what is held stays', async t => {
  const {client, fd, open} = await openHeld(t);
  const stream = open();
  client.send('abc');
  await eventually(() => unread(fd) === 3);
  t.is(stream.hread(2), 2);
  client.reset();
  await eventually(() => readBooks(fd)!.dead);
  const error = t.throws(
    () => {
      // The kernel may still have what came before the reset.
      while (stream.hread(10) > 0);
    },
    {instanceOf: HreadError},
  );
  t.is(error.code, 'READ_FAILED');
  t.is(error.errno, 'ECONNRESET');
  t.is(stream.held.toString('latin1', 0, 2), 'ab');
});

test('any sequence of reads, deletions and readers is what a list of bytes would do', async t => {
  const step = fc.oneof(
    fc.record({send: fc.integer({min: 1, max: 30_000})}),
    fc.record({rlen: fc.nat({max: 40_000}), part: fc.double({min: 0, max: 1.05, noNaN: true})}),
    fc.constant('next reader' as const),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, {maxLength: 30}), async steps => {
      const {client, fd, open, extents, close} = await openHeld(t);
      let stream = open();
      let sent = Buffer.alloc(0) as Buffer;
      let read = 0;
      let deleted = 0;
      for (const each of steps) {
        if (each === 'next reader') {
          stream = open();
        } else if ('send' in each) {
          const piece = Buffer.from(Array.from({length: each.send}, (_, n) => (sent.length + n) % 251));
          client.send(piece);
          sent = Buffer.concat([sent, piece]);
          await eventually(() => unread(fd) === sent.length - read);
        } else {
          const dlen = Math.round((read - deleted) * each.part);
          try {
            const n = stream.hread(each.rlen, dlen);
            deleted += dlen;
            const waiting = sent.length - read;
            if (each.rlen === 0) t.is(n, 0);
            else if (waiting === 0) t.is(n, -1);
            else {
              t.true(n > 0 && n <= Math.min(each.rlen, waiting));
              read += n;
            }
          } catch (error) {
            if (!(error instanceof HreadError)) throw error;
            if (error.errno === 'EINVAL') t.true(dlen > read - deleted);
            else {
              t.is(error.errno, 'ENOBUFS');
              deleted += dlen; // it is the reading that failed
              t.true(read - deleted > LARGE / 2, 'up to half an extent there is always room');
            }
          }
        }
        t.true(stream.held.equals(sent.subarray(deleted, read)));
        t.true(extents.freeCount >= 7);
      }
      await close();
    }),
    {numRuns: 60, verbose: true},
  );
});
