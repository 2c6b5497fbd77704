/*
 * The server as a program of its own, asked over real sockets by curl and by clients that say exactly what they mean:
 * each status it can answer with, what keeps a connection and what ends it, which files can be had and which cannot,
 * and what becomes of a download when its file changes. What a fault adds to this is in server-faults.test.ts.
 */
import {
  chmodSync,
  mkdirSync,
  renameSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {HttpError, StaticServer} from '../src/index.js';
import {
  curl,
  exchangeOnce,
  get,
  HttpClient,
  makeFifo,
  PlainServer,
  Site,
  segmentsOf,
} from './helpers/site.js';

// One after the other: each has a server of its own.
const {serial} = test;

const SIZES = {
  'index.html': 20,
  'small.txt': 100,
  'medium.bin': 16_384,
  'large.bin': 3_000_000,
  'empty.txt': 0,
};

serial('options of a server that cannot be are refused by name', async t => {
  for (const wrong of [undefined, {}, {root: '.'}, {root: 5, name: 'x'}, {root: '.', name: 'x', prot: 1}])
    await t.throwsAsync(StaticServer.open(wrong as never), {instanceOf: HttpError, code: 'OPTION_INVALID'});
});

async function serve(t: ExecutionContext, sizes: Record<string, number> = SIZES) {
  const site = new Site(t, sizes);
  const {port, ...server} = await PlainServer.start(t, site.root, '--port', '0');
  return {site, server, port, url: `http://127.0.0.1:${port}`};
}

// --- with curl ------------------------------------------------------------------------------------------------------

serial('files of every size come whole', async t => {
  const {site, url} = await serve(t);
  for (const name of Object.keys(SIZES)) {
    const {status, head, body} = await curl(`${url}/${name}`);
    t.is(status, 200, name);
    t.true(body.equals(site.get(name)), name);
    t.regex(head, new RegExp(`^Content-Length: ${SIZES[name as keyof typeof SIZES]}$`, 'm'));
    t.regex(head, /^Date: /m);
  }
  t.deepEqual((await curl(`${url}/`)).body, site.get('index.html'));
});

serial('HEAD tells what GET would bring', async t => {
  const {url} = await serve(t);
  const {status, head, body} = await curl('--head', `${url}/large.bin`);
  t.is(status, 200);
  t.is(body.length, 0);
  t.regex(head, /^Content-Length: 3000000\r?$/m);
  t.is((await curl('--head', `${url}/missing`)).status, 404);
});

serial('a download is resumed by a range', async t => {
  const {site, url} = await serve(t);
  // An entity tag is only worth something for a file that has not just been written.
  utimesSync(site.path('large.bin'), 1, 1);
  const part = await curl('--range', '1000000-1999999', `${url}/large.bin`);
  t.is(part.status, 206);
  t.regex(part.head, /^Content-Range: bytes 1000000-1999999\/3000000\r?$/m);
  t.true(part.body.equals(site.get('large.bin').subarray(1_000_000, 2_000_000)));
  const rest = await curl('--continue-at', '2999990', `${url}/large.bin`);
  t.is(rest.status, 206);
  t.true(rest.body.equals(site.get('large.bin').subarray(2_999_990)));
  const small = await curl('--range', '-10', `${url}/small.txt`);
  t.is(small.status, 206);
  t.true(small.body.equals(site.get('small.txt').subarray(-10)));
  const beyond = await curl('--range', '3000000-', `${url}/large.bin`);
  t.is(beyond.status, 416);
  t.regex(beyond.head, /^Content-Range: bytes \*\/3000000\r?$/m);
});

serial('a copy that is current is not sent again', async t => {
  const {site, url} = await serve(t);
  utimesSync(site.path('small.txt'), 1_000_000_000, 1_000_000_000);
  const first = await curl(`${url}/small.txt`);
  const tag = /^ETag: (.*?)\r?$/m.exec(first.head)![1]!;
  const again = await curl('-H', `If-None-Match: ${tag}`, `${url}/small.txt`);
  t.is(again.status, 304);
  t.is(again.body.length, 0);
  t.is((await curl('-H', `If-Match: "other"`, `${url}/small.txt`)).status, 412);
});

serial('a folder is redirected to its slash, with the query; there its index is served', async t => {
  const {site, url} = await serve(t);
  site.write('folder/index.html', 'index of a folder');
  mkdirSync(site.path('bare'));
  const moved = await curl(`${url}/folder?a=b`);
  t.is(moved.status, 301);
  t.regex(moved.head, /^Location: \/folder\/\?a=b\r?$/m);
  t.is((await curl('--location', `${url}/folder`)).status, 301);
  t.is((await curl(`${url}/folder/`)).body.toString(), 'index of a folder');
  t.is((await curl(`${url}/bare/`)).status, 404);
});

serial('names of every kind of letter are found, encoded or not', async t => {
  const {site, url} = await serve(t, {});
  for (const name of [
    'grüße.txt',
    'a b.txt',
    '100%.txt',
    'plus+sign',
    "it's",
    '日本/語.html',
    'a&b=c',
    'q?.txt',
  ]) {
    site.write(name, `content of ${name}`);
    const encoded = name.split('/').map(encodeURIComponent).join('/');
    const {status, body} = await curl(`${url}/${encoded}`);
    t.is(status, 200, name);
    t.is(body.toString(), `content of ${name}`);
  }
  const {port} = new URL(url);
  const raw = await exchangeOnce(Number(port), Buffer.from(get('/grüße.txt')).toString('latin1'));
  t.is(raw.body.toString(), 'content of grüße.txt');
});

serial('nothing outside of the folder can be had', async t => {
  const {site, url, port} = await serve(t, {'inside.txt': 10, 'folder/file.txt': 10});
  const outside = join(site.root, '..', 'secret.txt');
  writeFileSync(outside, 'secret');
  symlinkSync(outside, site.path('absolute-link'));
  symlinkSync('../secret.txt', site.path('relative-link'));
  symlinkSync('..', site.path('folder-link'));
  symlinkSync('/proc/self', site.path('proc'));
  symlinkSync('loop', site.path('loop'));
  for (const path of ['absolute-link', 'relative-link', 'folder-link/secret.txt', 'proc/status', 'loop']) {
    t.is((await curl(`${url}/${path}`)).status, 404, path);
  }
  for (const path of [
    '/../secret.txt',
    '/folder/../../secret.txt',
    '/%2e%2e/secret.txt',
    '/folder/%2E%2e/%2e./secret.txt',
    '/./../secret.txt',
  ]) {
    t.is((await curl(`${url}${path}`)).status, 400, path);
  }
  for (const path of [
    '/..%2fsecret.txt',
    '/folder%2f..%2f..%2fsecret.txt',
    '/..%5csecret.txt',
    '//etc/passwd',
  ]) {
    t.is((await curl(`${url}${path}`)).status, 404, path);
  }
  t.is((await exchangeOnce(port, get('/inside.txt%00.html'))).status, 400);
  t.is((await curl(`${url}/folder/../inside.txt`)).status, 200, 'what stays inside is fine');
});

serial('a link that stays inside the folder is followed', async t => {
  const {site, url} = await serve(t, {'folder/file.txt': 10});
  symlinkSync('folder/file.txt', site.path('link.txt'));
  symlinkSync('folder', site.path('linked'));
  t.true((await curl(`${url}/link.txt`)).body.equals(site.get('folder/file.txt')));
  t.true((await curl(`${url}/linked/file.txt`)).body.equals(site.get('folder/file.txt')));
});

serial('names with a dot in front are hidden, but for .well-known', async t => {
  const {site, url} = await serve(t, {
    '.env': 5,
    'folder/.git/config': 5,
    '.well-known/security.txt': 5,
    'a.b': 5,
  });
  for (const hidden of ['.env', 'folder/.git/config']) t.is((await curl(`${url}/${hidden}`)).status, 404);
  t.is((await curl(`${url}/%2eenv`)).status, 404);
  t.true((await curl(`${url}/.well-known/security.txt`)).body.equals(site.get('.well-known/security.txt')));
});

serial('what cannot be read is forbidden, what is no document is not there', async t => {
  const {site, url} = await serve(t, {'private.txt': 10, 'locked/file.txt': 10});
  chmodSync(site.path('private.txt'), 0);
  chmodSync(site.path('locked'), 0);
  t.teardown(() => chmodSync(site.path('locked'), 0o700));
  makeFifo(site.path('pipe'));
  t.is((await curl(`${url}/private.txt`)).status, 403);
  t.is((await curl(`${url}/locked/file.txt`)).status, 403);
  t.is((await curl(`${url}/pipe`)).status, 404, 'and does not wait for a writer');
  t.is((await curl(`${url}/missing.txt`)).status, 404);
  t.is((await curl(`${url}/private.txt/below`)).status, 404);
  t.is((await curl(`${url}/${'n'.repeat(300)}`)).status, 404, 'longer than any name');
});

serial('curl uploads to a server that wants no uploads, and hears so', async t => {
  const {site, url} = await serve(t);
  const posted = await curl('--data-binary', `@${site.path('small.txt')}`, `${url}/small.txt`);
  t.is(posted.status, 405);
  t.regex(posted.head, /^Allow: GET, HEAD\r?$/m);
  // Too large, and with Expect: 100-continue, which curl adds for a megabyte.
  const large = await curl('--upload-file', site.path('large.bin'), `${url}/large.bin`);
  t.is(large.status, 413);
  const unasked = await curl('-H', 'Expect:', '--upload-file', site.path('large.bin'), `${url}/large.bin`);
  t.is(unasked.status, 413);
  const chunked = await curl(
    '-H',
    'Transfer-Encoding: chunked',
    '--upload-file',
    site.path('small.txt'),
    `${url}/x`,
  );
  t.is(chunked.status, 405);
  t.is((await curl('--request', 'DELETE', `${url}/small.txt`)).status, 405);
});

serial('it listens where it is told to, IPv6 too', async t => {
  const site = new Site(t, SIZES);
  const server = await PlainServer.start(t, site.root, '--port', '0', '--host', '::1');
  const {status} = await curl('--globoff', `http://[::1]:${server.port}/small.txt`);
  t.is(status, 200);
  t.is((await curl(`http://127.0.0.1:${server.port}/small.txt`)).exitCode, 7, 'and nowhere else');
});

// --- connections ------------------------------------------------------------------------------------------------------

/** Requests that are wrong, and what they are told; all of them end the connection. */
const WRONG: [text: string, status: number][] = [
  ['GET /small.txt\r\n\r\n', 400],
  ['GET  /small.txt HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['GET /small.txt HTTP/1.1\r\n\r\n', 400],
  ['GET /small.txt HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n', 400],
  ['GET /small.txt HTTP/1.1\r\nHost : x\r\n\r\n', 400],
  ['GET /small.txt HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n', 400],
  ['GET /small.txt HTTP/1.1\nHost: x\n\n', 400],
  ['POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
  ['POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n', 413],
  ['POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 501],
  [`${'M'.repeat(33)} / HTTP/1.1\r\nHost: x\r\n\r\n`, 501],
  ['GET /small.txt HTTP/2.0\r\nHost: x\r\n\r\n', 505],
  [`GET /${'x'.repeat(17_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 414],
  [`GET / HTTP/1.1\r\nHost: x\r\n${'A: b\r\n'.repeat(100)}\r\n`, 431],
  [`GET / HTTP/1.1\r\nHost: x\r\nA: ${'b'.repeat(17_000)}\r\n\r\n`, 431],
  ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
];

serial('a wrong request is told what is wrong, and its connection ends in order', async t => {
  const {port} = await serve(t);
  for (const [text, status] of WRONG) {
    const client = await HttpClient.open(port);
    client.send(text);
    const answer = await client.answer();
    t.is(answer.status, status, JSON.stringify(text.slice(0, 60)));
    t.is(answer.headers.get('connection'), 'close');
    await client.untilEnded();
    await client.close();
  }
});

serial('a request that is wrong behind others is answered behind them', async t => {
  const {site, port} = await serve(t);
  for (const [text, status] of WRONG) {
    const client = await HttpClient.open(port);
    client.send(get('/small.txt') + get('/medium.bin') + text);
    t.true((await client.answer()).body.equals(site.get('small.txt')));
    t.true((await client.answer()).body.equals(site.get('medium.bin')));
    t.is((await client.answer()).status, status);
    await client.untilEnded();
    await client.close();
  }
});

serial('a head of 16 KiB is served, of one more it is refused', async t => {
  const {port} = await serve(t);
  const head = (length: number): string => {
    const empty = get('/small.txt', 'X-Pad: ');
    return get('/small.txt', `X-Pad: ${'x'.repeat(length - empty.length)}`);
  };
  t.is(head(16_384).length, 16_384);
  t.is((await exchangeOnce(port, head(16_384))).status, 200);
  t.is((await exchangeOnce(port, head(16_385))).status, 431);
  const client = await HttpClient.open(port);
  for (let i = 0; i < 5; i++) client.send(head(16_384));
  for (let i = 0; i < 5; i++) t.is((await client.answer()).status, 200);
  await client.close();
});

serial('a connection is kept as the client wishes, by version', async t => {
  const {port} = await serve(t);
  const cases: [request: string, field: string | undefined, kept: boolean][] = [
    ['GET /small.txt HTTP/1.1\r\nHost: x\r\n\r\n', undefined, true],
    ['GET /small.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 'close', false],
    ['GET /small.txt HTTP/1.1\r\nHost: x\r\nConnection: TE, Close\r\n\r\n', 'close', false],
    ['GET /small.txt HTTP/1.0\r\n\r\n', undefined, false],
    ['GET /small.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', 'keep-alive', true],
    ['GET /missing HTTP/1.1\r\nHost: x\r\n\r\n', undefined, true],
    ['GET /large.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 'close', false],
  ];
  for (const [request, field, kept] of cases) {
    const client = await HttpClient.open(port);
    client.send(request);
    const answer = await client.answer();
    t.is(answer.headers.get('connection'), field, request);
    if (kept) {
      client.send(get('/small.txt'));
      t.is((await client.answer()).status, 200);
    } else {
      await client.untilEnded();
    }
    await client.close();
  }
});

serial(
  'requests in one packet are answered in order: small ones, ones for more than a slot, large ones, HEADs',
  async t => {
    const {site, port} = await serve(t);
    const fifty = Array.from(
      {length: 50},
      (_, n) => ['/small.txt', '/medium.bin', '/empty.txt', '/missing'][n % 4]!,
    );
    const client = await HttpClient.open(port);
    client.send(fifty.map(path => get(path)).join(''));
    for (const path of fifty) {
      const {status, body} = await client.answer();
      t.is(status, path === '/missing' ? 404 : 200);
      if (status === 200) t.true(body.equals(site.get(path.slice(1))));
    }
    client.send(
      get('/large.bin') + get('/large.bin').replace('GET', 'HEAD') + get('/small.txt') + get('/large.bin'),
    );
    t.true((await client.answer()).body.equals(site.get('large.bin')));
    t.is((await client.answer({bodyless: true})).headers.get('content-length'), '3000000');
    t.true((await client.answer()).body.equals(site.get('small.txt')));
    t.true((await client.answer()).body.equals(site.get('large.bin')));
    await client.close();
  },
);

serial('requests cut anywhere are answered as if they were not', async t => {
  const {site, port} = await serve(t, {'a.txt': 30, 'b.txt': 40});
  const text =
    get('/a.txt', 'X-First: 1') +
    'POST /b.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello\r\nbody' +
    '\r\n' +
    get('/b.txt') +
    'POST /b.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nGET /\r\n3\r\n\r\n\r\r\n0\r\nTrailer: x\r\n\r\n' +
    get('/a.txt');
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({max: text.length - 1}), {maxLength: 40}), async positions => {
      const edges = [...new Set([0, ...positions, text.length])].sort((a, b) => a - b);
      const client = await HttpClient.open(port);
      await client.client.sendPieces(edges.slice(1).map((edge, i) => text.slice(edges[i], edge)));
      t.true((await client.answer()).body.equals(site.get('a.txt')));
      t.is((await client.answer()).status, 405);
      t.true((await client.answer()).body.equals(site.get('b.txt')));
      t.is((await client.answer()).status, 405);
      t.true((await client.answer()).body.equals(site.get('a.txt')));
      await client.close();
    }),
    {numRuns: 40, verbose: true},
  );
});

serial('a client that ends its side behind its requests gets all of its answers', async t => {
  const {site, port} = await serve(t);
  const client = await HttpClient.open(port);
  client.send(get('/small.txt') + get('/large.bin') + get('/medium.bin'));
  client.client.end();
  for (const name of ['small.txt', 'large.bin', 'medium.bin']) {
    t.true((await client.answer()).body.equals(site.get(name)));
  }
  await client.untilEnded();
});

serial('a body that is refused for its size is refused while the client still sends it', async t => {
  const {port} = await serve(t);
  const client = await HttpClient.open(port);
  client.send('PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n');
  const piece = Buffer.alloc(50_000);
  const answer = client.answer();
  for (let i = 0; i < 20; i++) await client.client.sendPieces([piece]);
  t.is((await answer).status, 413);
  await client.client.sendPieces([piece]);
  await client.untilEnded();
  await client.close();
});

serial('a chunked body of more than the limit ends its connection', async t => {
  const {port} = await serve(t);
  const client = await HttpClient.open(port);
  client.send('POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
  t.is((await client.answer()).status, 405);
  const chunk = `8000\r\n${'x'.repeat(0x8000)}\r\n`;
  for (let i = 0; i < 40 && !client.client.ended && !client.client.closed; i++) {
    await client.client.sendPieces([chunk]);
  }
  await client.client.untilEnded();
  await client.close();
  t.pass();
});

serial('a client that asks before it sends its body is told at once, and need not send it', async t => {
  const {port} = await serve(t);
  const client = await HttpClient.open(port);
  client.send('POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n');
  const {status, headers} = await client.answer();
  t.is(status, 405);
  t.is(headers.get('connection'), 'close', 'since nobody could tell a body from the next request');
  await client.untilEnded();
  await client.close();
});

// --- files that change ------------------------------------------------------------------------------------------------

serial('a file that is replaced during its download is sent as it was', async t => {
  const {site, port} = await serve(t, {'large.bin': 8_000_000});
  const client = await HttpClient.open(port, {read: false});
  client.send(get('/large.bin'));
  const old = site.get('large.bin');
  // Another connection's answer shows that the first one's has been opened.
  t.is((await exchangeOnce(port, get('/large.bin'))).status, 200);
  writeFileSync(site.path('new.bin'), 'the new content');
  renameSync(site.path('new.bin'), site.path('large.bin'));
  t.is((await exchangeOnce(port, get('/large.bin'))).body.toString(), 'the new content');
  client.client.socket.resume();
  t.true((await client.answer()).body.equals(old));
  client.send(get('/large.bin'));
  t.is((await client.answer()).body.toString(), 'the new content');
  await client.close();
});

serial(
  'a file that shrinks during its download ends the connection, so that the client learns of it',
  async t => {
    const {site, port} = await serve(t, {'large.bin': 8_000_000});
    const client = await HttpClient.open(port, {read: false});
    client.send(get('/large.bin'));
    t.is((await exchangeOnce(port, get('/large.bin'))).status, 200);
    truncateSync(site.path('large.bin'), 5_000_000);
    client.client.socket.resume();
    await client.client.untilEnded();
    const {length} = client.client;
    t.true(length > 4_000_000 && length < 5_001_000, `${length}`);
    await client.close();
    t.is((await exchangeOnce(port, get('/large.bin'))).body.length, 5_000_000);
  },
);

serial('a small file that was changed is served as it is now, at once', async t => {
  const {site, port} = await serve(t, {});
  const client = await HttpClient.open(port);
  for (let n = 100; n < 200; n++) {
    site.write('small.txt', `number ${n}`);
    client.send(get('/small.txt'));
    t.is((await client.answer()).body.toString(), `number ${n}`);
  }
  await client.close();
});

serial('a small file that was changed twice within a tick of the clock is served as it is now', async t => {
  const {site, port} = await serve(t, {});
  const client = await HttpClient.open(port);
  // As coarse clocks have it: neither size nor time tells the two apart.
  const now = new Date();
  for (const text of ['first', 'other', 'third']) {
    site.write('small.txt', text);
    utimesSync(site.path('small.txt'), now, now);
    client.send(get('/small.txt'));
    t.is((await client.answer()).body.toString(), text);
  }
  await client.close();
});

serial('what is put in place with the size and the time of another is another', async t => {
  const {site, port} = await serve(t, {});
  const client = await HttpClient.open(port);
  const ask = async (text: string): Promise<string> => {
    client.send(get('/small.txt'));
    const answer = await client.answer();
    t.is(answer.body.toString(), text);
    return answer.headers.get('etag')!;
  };
  const put = (text: string): void => {
    site.write('small.txt', text);
    utimesSync(site.path('small.txt'), 1_000_000_000, 1_000_000_000); // as tar and cp -p do
  };
  put('first');
  let tag = await ask('first');
  // From then on its content is kept.
  while (tag.startsWith('W/')) tag = await ask('first');
  put('other');
  t.not(await ask('other'), tag);
  await client.close();
});

serial('a folder that is replaced, or whose link is switched, is served as it is now', async t => {
  const {site, port} = await serve(t, {});
  const client = await HttpClient.open(port);
  const served = async (): Promise<string> => {
    client.send(get('/version'));
    return (await client.answer()).body.toString();
  };
  const deploy = (version: string): string => {
    const folder = `${site.root}-${version}`;
    mkdirSync(folder);
    writeFileSync(join(folder, 'version'), version);
    return folder;
  };
  site.write('version', 'one');
  t.is(await served(), 'one');
  renameSync(site.root, `${site.root}-one`);
  t.is(await served(), 'one', 'between two names the old one is served');
  renameSync(deploy('two'), site.root);
  t.is(await served(), 'two');
  renameSync(site.root, `${site.root}-old`);
  symlinkSync(deploy('three'), site.root);
  t.is(await served(), 'three');
  symlinkSync(deploy('four'), `${site.root}-link`);
  renameSync(`${site.root}-link`, site.root);
  t.is(await served(), 'four');
  await client.close();
});

// --- beginning and end ------------------------------------------------------------------------------------------------

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  serial(
    `at ${signal} an answer on its way is finished, an idle connection ends, nothing is left`,
    async t => {
      const site = new Site(t, {'large.bin': 8_000_000, 'small.txt': 10});
      const server = await PlainServer.start(t, site.root, '--port', '0');
      const idle = await HttpClient.open(server.port);
      idle.send(get('/small.txt'));
      await idle.answer();
      const reader = await HttpClient.open(server.port, {read: false});
      reader.send(get('/large.bin'));
      t.is((await exchangeOnce(server.port, get('/small.txt'))).status, 200);
      server.signal(signal);
      await idle.untilEnded();
      const refused = await HttpClient.open(server.port).catch((error: NodeJS.ErrnoException) => error.code);
      t.is(refused, 'ECONNREFUSED');
      server.signal(signal); // of no more effect than the first
      reader.client.socket.resume();
      t.true((await reader.answer()).body.equals(site.get('large.bin')));
      await reader.untilEnded();
      reader.client.end();
      t.like(await server.outcome, {exitCode: 0, stderr: ''});
      await idle.close();
    },
  );
}

serial(
  'a request that comes while the server ends is still answered, and told that it is the last',
  async t => {
    const site = new Site(t, {'large.bin': 8_000_000, 'small.txt': 10});
    const server = await PlainServer.start(t, site.root, '--port', '0');
    const reader = await HttpClient.open(server.port, {read: false});
    const idle = await HttpClient.open(server.port);
    idle.send(get('/small.txt'));
    await idle.answer();
    reader.send(get('/large.bin') + get('/small.txt'));
    t.is((await exchangeOnce(server.port, get('/small.txt'))).status, 200);
    server.signal('SIGTERM');
    await idle.untilEnded();
    reader.client.socket.resume();
    t.is((await reader.answer()).status, 200);
    const last = await reader.answer();
    t.true(last.body.equals(site.get('small.txt')));
    t.is(last.headers.get('connection'), 'close');
    await reader.untilEnded();
    reader.client.end();
    await idle.close();
  },
);

serial('wrong options end the program at once, with one line that says what to do', async t => {
  const site = new Site(t, {'file.txt': 1});
  const server = await PlainServer.start(t, site.root, '--port', '0');
  const cases: [args: string[], says: RegExp][] = [
    [['/no/such/folder', '--port', '0'], /'\/no\/such\/folder': ENOENT; expected a folder/],
    [[site.path('file.txt'), '--port', '0'], /file\.txt': ENOTDIR; expected a folder/],
    [[site.root, '--port', `${server.port}`], /127\.0\.0\.1 port \d+: EADDRINUSE; .*choose another port/],
    [[site.root, '--port', '0', '--host', 'no-such-host.invalid'], /host 'no-such-host\.invalid'/],
    [[site.root, '--port', '0', '--host', '192.0.2.1'], /EADDRNOTAVAIL; this machine has no such address/],
    [[site.root, '--port', 'eighty'], /--port .*'eighty'/],
    [[site.root, '--port', '65536'], /--port .*'65536'/],
    [[site.root, '--prot', '80'], /--prot/],
    [[site.root, 'and-another', '--port', '0'], /one folder/],
  ];
  for (const [args, says] of cases) {
    const {pid, exitCode, stdout, stderr} = await PlainServer.run(...args);
    t.is(exitCode, 78, args.join(' '));
    t.is(stdout, '');
    t.regex(stderr, says);
    t.regex(stderr, /^zlr: [^\n]*\n$/);
    t.deepEqual(segmentsOf(pid), []);
  }
});
