/*
 * The server under a supervisor, killed at a chosen place in an exchange: the client gets each answer whole and once,
 * and the connection goes on. Where in the exchange is decided by a library that is loaded into the server
 * (packages/hread/test/fixtures/fault-at.c), or by what the test sends before and after a kill.
 */
import {truncateSync} from 'node:fs';
import test, {type ExecutionContext} from 'ava';
import {Random} from '../../../test/support/random.js';
import {exchangeOnce, get, HttpClient, Site, segmentsOf, startSupervised} from './helpers/site.js';

// One after the other: each has a server, a supervisor and keepers.
const {serial} = test;

const SIZES = {'small.txt': 100, 'large.bin': 3_000_000};

async function serve(t: ExecutionContext, sizes: Record<string, number> = SIZES) {
  const site = new Site(t, sizes);
  const service = await startSupervised(t, site);
  return {site, service, firstPid: service.pid};
}

/** Where the fault meets the exchange, in the server's own words. */
const STAGES: [what: string, call: string, when: 'before' | 'half' | 'after', path: string, stage: RegExp][] =
  [
    ['when half of a request was read', 'recv', 'half', '/large.bin', /1 reading/],
    ['when a request was read and nothing more', 'recv', 'after', '/large.bin', /1 reading/],
    ['when a request is being processed', 'openat2', 'before', '/large.bin', /1 processing/],
    ['when its file was just opened', 'openat2', 'after', '/large.bin', /1 processing/],
    ['when the answer was recorded and nothing sent', 'send', 'before', '/large.bin', /1 sending/],
    ['when half of the head was sent', 'send', 'half', '/large.bin', /1 sending/],
    ['when the head was sent', 'sendfile', 'before', '/large.bin', /1 sending/],
    ['when half of a piece of the file was sent', 'sendfile', 'half', '/large.bin', /1 sending/],
    ['when a piece of the file was sent', 'sendfile', 'after', '/large.bin', /1 sending/],
    ['when half of a small answer was sent', 'send', 'half', '/small.txt', /1 sending/],
    ['when the last byte was sent', 'send', 'after', '/small.txt', /1 sending/],
  ];

serial(
  'killed in any stage of an exchange, the server gives the answer whole and the connection goes on',
  async t => {
    const {site, service} = await serve(t);
    const client = await HttpClient.open(service.port);
    // A connection that had an exchange before: its recorded stages and positions are not those of a fresh one.
    client.send(get('/small.txt'));
    await client.answer();
    for (const [what, call, when, path, stage] of STAGES) {
      const {generation} = service;
      service.arm(call, 1, when);
      client.send(get(path));
      t.true((await client.answer()).body.equals(site.get(path.slice(1))), what);
      await service.untilServing(generation + 1);
      t.regex(service.lastRecovery, stage, what);
      t.regex(service.lastRecovery, /with 1 connections .*, 0 new, 0 gone/, what);
      client.send(get('/small.txt') + get('/large.bin'));
      t.true((await client.answer()).body.equals(site.get('small.txt')), what);
      t.true((await client.answer()).body.equals(site.get('large.bin')), what);
    }
    await client.close();
  },
);

serial(
  'killed while connections are idle, with half a request each, or stalled, the server goes on with all',
  async t => {
    const {site, service} = await serve(t, {'small.txt': 100, 'large.bin': 8_000_000});
    const idle = await HttpClient.open(service.port);
    idle.send(get('/small.txt'));
    await idle.answer();
    const half = await HttpClient.open(service.port);
    half.send(get('/small.txt').slice(0, 10));
    const stalled = await HttpClient.open(service.port, {read: false});
    stalled.send(get('/large.bin') + get('/small.txt'));
    // All of it has been seen when this is answered, and the next fault finds it as the last one did.
    for (const signal of ['SIGKILL', 'SIGSEGV', 'SIGABRT'] as const) {
      t.is((await exchangeOnce(service.port, get('/small.txt'))).status, 200);
      await service.kill(signal);
      t.regex(service.lastRecovery, /[23] reading, 0 processing, [12] sending/);
    }
    half.send(get('/small.txt').slice(10));
    t.true((await half.answer()).body.equals(site.get('small.txt')));
    idle.send(get('/small.txt'));
    t.true((await idle.answer()).body.equals(site.get('small.txt')));
    stalled.client.socket.resume();
    t.true((await stalled.answer()).body.equals(site.get('large.bin')));
    t.true((await stalled.answer()).body.equals(site.get('small.txt')));
    for (const client of [idle, half, stalled]) await client.close();
  },
);

serial('a wrong request is told the same when the server dies in the middle of it', async t => {
  const {service} = await serve(t);
  const wrong: [text: string, status: number][] = [
    ['GET  /small.txt HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['GET /small.txt HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n', 400],
    ['GET /../secret HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 400],
    ['GET /missing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 404],
    ['DELETE /small.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 405],
    ['POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n', 413],
    [`GET /${'x'.repeat(17_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 414],
    [`GET / HTTP/1.1\r\nHost: x\r\nA: ${'b'.repeat(17_000)}\r\n\r\n`, 431],
    ['POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 501],
    ['GET /small.txt HTTP/2.0\r\nHost: x\r\n\r\n', 505],
  ];
  const clients = await Promise.all(wrong.map(() => HttpClient.open(service.port)));
  for (const [index, client] of clients.entries()) client.send(wrong[index]![0].slice(0, 4));
  t.is((await exchangeOnce(service.port, get('/small.txt'))).status, 200);
  await service.kill();
  for (const [index, client] of clients.entries()) client.send(wrong[index]![0].slice(4));
  for (const [index, client] of clients.entries()) {
    t.is((await client.answer()).status, wrong[index]![1]);
    await client.untilEnded();
    await client.close();
  }
  // And when the answer is recorded, but none of it, or half, is sent.
  for (const when of ['before', 'half', 'after'] as const) {
    const {generation} = service;
    service.arm('send', 1, when);
    const client = await HttpClient.open(service.port);
    client.send(wrong[0]![0]);
    t.is((await client.answer()).status, 400);
    await client.untilEnded();
    await client.close();
    await service.untilServing(generation + 1);
  }
});

serial(
  'a client that is still sending hears why it is refused, though the server dies when it has said so',
  async t => {
    const {service} = await serve(t);
    for (const [call, when] of [
      ['shutdown', 'before'],
      ['shutdown', 'after'],
    ] as const) {
      const {generation} = service;
      service.arm(call, 1, when);
      // Paused, so that it comes to read only when a reset would have taken the answer away.
      const client = await HttpClient.open(service.port, {read: false});
      client.send('PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n');
      await service.untilServing(generation + 1);
      for (let i = 0; i < 20; i++) await client.client.sendPieces([Buffer.alloc(10_000)]);
      client.client.socket.resume();
      t.is((await client.answer()).status, 413);
      await client.untilEnded();
      await client.close();
    }
  },
);

serial('bodies are thrown away exactly, wherever they are cut by packets and faults', async t => {
  const random = Random.fromEnvironment();
  t.log(`seed ${random.seed}`);
  const {site, service} = await serve(t);
  const bytes = (length: number): string =>
    Array.from({length}, () => random.pick(['a', '\r', '\n', ' ', '0', 'G'])).join('');
  const chunks = (count: number): string =>
    Array.from({length: count}, () => {
      const data = bytes(1 + random.below(3000));
      return `${data.length.toString(16)}${random.pick(['', ';x=y'])}\r\n${data}\r\n`;
    }).join('');
  const post = (field: string): string => `POST /small.txt HTTP/1.1\r\nHost: x\r\n${field}\r\n\r\n`;
  // Requests that look like bodies, and bodies that look like requests.
  const texts = Array.from({length: 8}, (_, n) => {
    const body = bytes(1 + random.below(60_000)) + get('/missing');
    return n % 2 === 0
      ? `${post(`Content-Length: ${body.length}`)}${body}`
      : `${post('Transfer-Encoding: chunked')}${chunks(1 + random.below(20))}0\r\n${random.pick(['', 'T: x\r\n'])}\r\n`;
  });
  const clients = await Promise.all(texts.map(() => HttpClient.open(service.port)));
  const sent = texts.map(() => 0);
  for (let fault = 0; fault < 4; fault++) {
    for (const [index, client] of clients.entries()) {
      const end = sent[index]! + random.below(texts[index]!.length - sent[index]!);
      await client.client.sendPieces([texts[index]!.slice(sent[index], end)]);
      sent[index] = end;
    }
    if (fault % 2 === 0) await service.kill();
    else {
      const {generation} = service;
      service.arm('recv', 1 + random.below(3), random.pick(['half', 'after'] as const));
      for (const [index, client] of clients.entries()) {
        client.send(texts[index]!.slice(sent[index]!, ++sent[index]!));
      }
      await service.untilServing(generation + 1);
    }
  }
  for (const [index, client] of clients.entries()) {
    client.send(texts[index]!.slice(sent[index]) + get('/small.txt'));
    t.is((await client.answer()).status, 405);
    t.true((await client.answer()).body.equals(site.get('small.txt')));
    await client.close();
  }
});

serial('a file that shrank while the server was dead ends its connection, and the others go on', async t => {
  const {site, service} = await serve(t, {'small.txt': 10, 'large.bin': 8_000_000});
  const client = await HttpClient.open(service.port, {read: false});
  client.send(get('/large.bin'));
  t.is((await exchangeOnce(service.port, get('/small.txt'))).status, 200);
  const {pid} = service;
  process.kill(pid, 'SIGSTOP');
  truncateSync(site.path('large.bin'), 100);
  await service.kill();
  client.client.socket.resume();
  await client.client.untilEnded();
  t.true(client.client.length < 8_000_000);
  t.is((await exchangeOnce(service.port, get('/small.txt'))).status, 200);
  await client.close();
});

serial('a request that is not completed in time is told so, and a quiet connection ends', async t => {
  const {service} = await serve(t);
  const idle = await HttpClient.open(service.port);
  idle.send(get('/small.txt'));
  await idle.answer();
  const half = await HttpClient.open(service.port);
  half.send(get('/small.txt').slice(0, 20));
  t.is((await exchangeOnce(service.port, get('/small.txt'))).status, 200);
  service.setClockForward(100);
  const {status, headers} = await half.answer();
  t.is(status, 408);
  t.is(headers.get('connection'), 'close');
  await half.untilEnded();
  await idle.untilEnded();
  await idle.close();
  await half.close();
});

serial('told to end after faults, the server finishes what it sends, exits 0 and leaves nothing', async t => {
  const {site, service, firstPid} = await serve(t, {'small.txt': 10, 'large.bin': 8_000_000});
  const reader = await HttpClient.open(service.port, {read: false});
  reader.send(get('/large.bin'));
  const idle = await HttpClient.open(service.port);
  idle.send(get('/small.txt'));
  await idle.answer();
  await service.kill();
  t.is(segmentsOf(firstPid).length, 1);
  service.signal('SIGTERM');
  await idle.untilEnded();
  reader.client.socket.resume();
  t.true((await reader.answer()).body.equals(site.get('large.bin')));
  await reader.untilEnded();
  reader.client.end();
  t.is(await service.ended(), 0);
  t.is(segmentsOf(firstPid).length, 0);
  await idle.close();
});
