/**
 * Proves that the positions which the kernel's books tell (native/channels/books.c) count the bytes of the stream and nothing
 * else in every state of a connection: a FIN is counted by the kernel as a byte, urgent data hides bytes from it, and
 * both may come before accept().
 *
 * To see it fail: leave out one of the two subtractions in zlr_books(), one of the states of peer_ended or self_ended,
 * or SO_OOBINLINE in zlr_listen().
 */
import {type ChildProcess, spawn} from 'node:child_process';
import {createSocket} from 'node:dgram';
import {once} from 'node:events';
import {closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync} from 'node:fs';
import {connect, createServer, type Server, type Socket} from 'node:net';
import {constants, tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {native} from '../dist/native.js';

interface Books {
  written: number;
  read: number;
  unread: number;
  peerEnded: boolean;
  dead: boolean;
}

const numbers = new Float64Array(7);

function books(fd: number): Books {
  const error = native().books(fd, numbers);
  if (error < 0) throw new Error(`books: ${error}`);
  const [, , written, read, unread, peerEnded, dead] = [...numbers] as [
    0,
    0,
    number,
    number,
    number,
    number,
    number,
  ];
  return {written, read, unread, peerEnded: peerEnded === 1, dead: dead === 1};
}

/** Where a Node socket's descriptor is found. */
const fdOf = (socket: Socket): number => (socket as unknown as {_handle: {fd: number}})._handle.fd;

/** Waits until the books say so; what is waited for comes from the network, so only asking again can tell. */
async function booksWith(fd: number, expected: Partial<Books>): Promise<Books> {
  for (;;) {
    const now = books(fd);
    if (Object.entries(expected).every(([key, value]) => now[key as keyof Books] === value)) return now;
    await new Promise(resolve => setImmediate(resolve));
  }
}

function listen(t: ExecutionContext): {fd: number; port: number} {
  const fd = native().listen('127.0.0.1', 0, 8, 0);
  t.true(fd >= 0);
  return {fd, port: native().localAddress(fd).port};
}

/** Accepts one connection and closes the listener. libuv does not read it; the test does, with readSync. */
async function accept(t: ExecutionContext, listenFd: number): Promise<{fd: number; socket: Socket}> {
  const server: Server = createServer({pauseOnConnect: true, allowHalfOpen: true}).listen({fd: listenFd});
  const [socket] = (await once(server, 'connection')) as [Socket];
  server.close();
  t.teardown(() => socket.destroy());
  return {fd: fdOf(socket), socket};
}

async function connectTo(t: ExecutionContext, port: number): Promise<Socket> {
  const peer = connect({port, host: '127.0.0.1', allowHalfOpen: true});
  t.teardown(() => peer.destroy());
  peer.on('error', () => peer.destroy()); // some tests reset it
  await once(peer, 'connect');
  return peer;
}

async function makePair(t: ExecutionContext): Promise<{peer: Socket; fd: number; socket: Socket}> {
  const {fd: listenFd, port} = listen(t);
  const [peer, accepted] = await Promise.all([connectTo(t, port), accept(t, listenFd)]);
  return {peer, ...accepted};
}

const send = (socket: Socket, length: number): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.write(Buffer.alloc(length, 'x'), error => (error ? reject(error) : resolve()));
  });

const finish = (socket: Socket): Promise<void> => new Promise(resolve => socket.end(resolve));

const receive = (fd: number, most: number): number => readSync(fd, Buffer.alloc(most));

const untouched: Books = {written: 0, read: 0, unread: 0, peerEnded: false, dead: false};

test('a fresh connection stands at 0', async t => {
  const {fd} = await makePair(t);
  t.deepEqual(books(fd), untouched);
});

test('data before accept() waits to be read', async t => {
  const {fd: listenFd, port} = listen(t);
  const peer = await connectTo(t, port);
  await send(peer, 333);
  const {fd} = await accept(t, listenFd);
  t.deepEqual(await booksWith(fd, {unread: 333}), {...untouched, unread: 333});
  t.is(receive(fd, 100), 100);
  t.deepEqual(books(fd), {...untouched, read: 100, unread: 233});
});

test('a FIN before accept() is no byte', async t => {
  const {fd: listenFd, port} = listen(t);
  await finish(await connectTo(t, port));
  const {fd} = await accept(t, listenFd);
  t.deepEqual(await booksWith(fd, {peerEnded: true}), {...untouched, peerEnded: true});
  t.is(receive(fd, 10), 0);
  t.deepEqual(books(fd), {...untouched, peerEnded: true});
});

test('data and a FIN before accept()', async t => {
  const {fd: listenFd, port} = listen(t);
  const peer = await connectTo(t, port);
  await send(peer, 333);
  await finish(peer);
  const {fd} = await accept(t, listenFd);
  t.deepEqual(await booksWith(fd, {peerEnded: true}), {...untouched, unread: 333, peerEnded: true});
});

test('a FIN that is not read yet is no byte, before and after the data in front of it', async t => {
  const {fd, peer} = await makePair(t);
  await send(peer, 500);
  await finish(peer);
  t.deepEqual(await booksWith(fd, {peerEnded: true}), {...untouched, unread: 500, peerEnded: true});
  t.is(receive(fd, 200), 200);
  t.deepEqual(books(fd), {...untouched, read: 200, unread: 300, peerEnded: true});
  t.is(receive(fd, 1000), 300);
  t.deepEqual(books(fd), {...untouched, read: 500, peerEnded: true});
});

test('a FIN that was read is no byte', async t => {
  const {fd, peer} = await makePair(t);
  await send(peer, 500);
  await finish(peer);
  await booksWith(fd, {peerEnded: true});
  t.is(receive(fd, 1000), 500);
  t.is(receive(fd, 1000), 0);
  t.deepEqual(books(fd), {...untouched, read: 500, peerEnded: true});
});

test('to a peer that half-closed, output goes on and is counted', async t => {
  const {fd, peer} = await makePair(t);
  const got = once(peer, 'data');
  await send(peer, 10);
  await finish(peer);
  await booksWith(fd, {peerEnded: true});
  t.is(writeSync(fd, Buffer.alloc(700)), 700);
  t.deepEqual(books(fd), {...untouched, written: 700, unread: 10, peerEnded: true});
  t.is(((await got) as [Buffer])[0].length, 700);
  t.deepEqual(books(fd), {...untouched, written: 700, unread: 10, peerEnded: true});
});

test("one's own shutdown is no byte, before and after the peer has seen it", async t => {
  const {fd, socket, peer} = await makePair(t);
  t.is(writeSync(fd, Buffer.alloc(700)), 700);
  await finish(socket);
  t.deepEqual(books(fd), {...untouched, written: 700});
  const ended = once(peer, 'end');
  peer.resume();
  await ended;
  t.deepEqual(books(fd), {...untouched, written: 700});
  await send(peer, 20); // and input still comes
  t.deepEqual(await booksWith(fd, {unread: 20}), {...untouched, written: 700, unread: 20});
});

/** Until the kernel takes no more, so that a FIN after it cannot be acknowledged. */
function fillSendBuffer(t: ExecutionContext, fd: number): number {
  const chunk = Buffer.alloc(1 << 20);
  let total = 0;
  const fill = (): void => {
    for (;;) total += writeSync(fd, chunk);
  };
  t.throws(fill, {code: 'EAGAIN'});
  t.true(total > 100_000);
  return total;
}

test('both sides have ended, the peer first, and our FIN is not acknowledged', async t => {
  const {fd, socket, peer} = await makePair(t);
  await send(peer, 50);
  await finish(peer);
  await booksWith(fd, {peerEnded: true});
  const total = fillSendBuffer(t, fd);
  await finish(socket);
  t.deepEqual(books(fd), {written: total, read: 0, unread: 50, peerEnded: true, dead: false});
});

test('both sides have ended, ours first, and our FIN is not acknowledged', async t => {
  const {fd, socket, peer} = await makePair(t);
  const total = fillSendBuffer(t, fd);
  await finish(socket);
  await send(peer, 50);
  await finish(peer);
  const now = await booksWith(fd, {peerEnded: true});
  t.deepEqual(now, {written: total, read: 0, unread: 50, peerEnded: true, dead: false});
});

test('a full send buffer counts what it took, while it fills, drains and ends', async t => {
  const {fd, socket, peer} = await makePair(t);
  const total = fillSendBuffer(t, fd);
  t.deepEqual(books(fd), {...untouched, written: total});
  const finished = finish(socket);
  t.deepEqual(await booksWith(fd, {written: total}), {...untouched, written: total});
  let received = 0;
  peer.on('data', data => {
    received += data.length;
    t.is(books(fd).written, total);
  });
  await Promise.all([once(peer, 'end'), finished]);
  t.is(received, total);
  t.deepEqual(books(fd), {...untouched, written: total});
});

/** Node cannot send urgent data. */
function startUrgentSender(t: ExecutionContext, port: number): ChildProcess {
  const script = `import socket, sys
s = socket.create_connection(('127.0.0.1', ${port}))
s.send(b'abc'); s.send(b'U', socket.MSG_OOB); s.send(b'def')
sys.stdin.read()`;
  const sender = spawn('python3', ['-c', script], {stdio: ['pipe', 'inherit', 'inherit']});
  const exited = once(sender, 'exit');
  t.teardown(async () => {
    sender.stdin!.end();
    await exited;
  });
  return sender;
}

test('urgent data is a byte like the others, in its place', async t => {
  const {fd: listenFd, port} = listen(t);
  startUrgentSender(t, port);
  const {fd} = await accept(t, listenFd);
  t.deepEqual(await booksWith(fd, {unread: 7}), {...untouched, unread: 7});
  const bytes = Buffer.alloc(10);
  let read = 0;
  while (read < 7) {
    read += readSync(fd, bytes, read, 10 - read, null); // one call stops at the mark
    t.deepEqual(books(fd), {...untouched, read, unread: 7 - read});
  }
  t.is(bytes.toString('latin1', 0, read), 'abcUdef');
});

test('after a reset the positions still stand, and the connection is dead', async t => {
  const {fd, peer} = await makePair(t);
  await send(peer, 500);
  await booksWith(fd, {unread: 500});
  t.is(receive(fd, 200), 200);
  t.is(writeSync(fd, Buffer.alloc(100)), 100);
  peer.resetAndDestroy();
  const {written, read} = await booksWith(fd, {dead: true});
  t.deepEqual({written, read}, {written: 100, read: 200});
});

test('a closed connection of which nothing was read by its peer', async t => {
  const {fd, peer} = await makePair(t);
  t.is(writeSync(fd, Buffer.alloc(1000)), 1000);
  peer.destroy(); // unread input makes the kernel send a reset instead of a FIN
  const {written, read} = await booksWith(fd, {dead: true});
  t.deepEqual({written, read}, {written: 1000, read: 0});
});

test('a connection that both sides have closed in good order is dead', async t => {
  const {fd, socket, peer} = await makePair(t);
  await finish(peer);
  peer.resume();
  await finish(socket);
  t.like(await booksWith(fd, {dead: true}), {unread: 0, peerEnded: false});
});

test('two sockets have two cookies, and a socket has one for life', async t => {
  const cookieOf = (fd: number): string => {
    books(fd);
    return `${numbers[1]}:${numbers[0]}`;
  };
  const [one, two] = await Promise.all([makePair(t), makePair(t)]);
  t.not(cookieOf(one.fd), cookieOf(two.fd));
  const before = cookieOf(one.fd);
  await send(one.peer, 10);
  await booksWith(one.fd, {unread: 10});
  t.is(cookieOf(one.fd), before);
});

test('what is no TCP connection is refused by name', async t => {
  const {ENOTSOCK, EOPNOTSUPP, EBADF, EINVAL} = constants.errno;
  const file = openSync('/dev/null', 'r');
  t.is(native().books(file, numbers), -ENOTSOCK);
  closeSync(file);
  t.is(native().books(file, numbers), -EBADF);

  const directory = mkdtempSync(join(tmpdir(), 'zlr-books-'));
  t.teardown(() => rmSync(directory, {recursive: true}));
  const path = join(directory, 'socket');
  const server = createServer().listen(path);
  await once(server, 'listening');
  const unix = connect(path);
  const [accepted] = (await once(server, 'connection')) as [Socket];
  t.is(native().books(fdOf(accepted), numbers), -EOPNOTSUPP);
  accepted.destroy();
  unix.destroy();
  server.close();

  const udp = createSocket('udp4');
  udp.bind(0, '127.0.0.1');
  await once(udp, 'listening');
  const udpFd = (udp as unknown as Record<symbol, {handle: {fd: number}}>)[
    Object.getOwnPropertySymbols(udp).find(symbol => symbol.description === 'state symbol')!
  ]!.handle.fd;
  t.is(native().books(udpFd, numbers), -EOPNOTSUPP);
  udp.close();

  const {fd: listening} = listen(t);
  t.is(native().books(listening, numbers), -EINVAL);
  native().close(listening);
});
