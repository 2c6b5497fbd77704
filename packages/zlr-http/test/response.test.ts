/** A failure here means octets on the wire that clients read otherwise than meant. */
import test from 'ava';
import {pathFor, planStatic} from '../src/files/static-plan.js';
import {COMPLETE, MAX_HEAD, parseRequest} from '../src/message/request.js';
import {RequestHead} from '../src/message/request-head.js';
import {MAX_RESPONSE, planPage, ResponsePlan, type Status, writeResponse} from '../src/message/response.js';
import {requestOf} from './request-of.js';

const NOW = 784_111_777;
const DATE = 'Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n';

function write(plan: ResponsePlan, nowSeconds = NOW): string {
  const memory = Buffer.alloc(MAX_RESPONSE + 10, '#');
  const length = writeResponse(memory, 5, plan, nowSeconds);
  const text = memory.toString('latin1');
  // Nothing outside the place and the length that were told.
  if (text.slice(0, 5) !== '#####' || !/^#+$/.test(text.slice(5 + length)))
    throw new Error('written outside');
  return text.slice(5, 5 + length);
}

function planned(status: Status, head: RequestHead, fields: Partial<ResponsePlan> = {}): ResponsePlan {
  const plan = new ResponsePlan();
  plan.begin(head, status);
  return Object.assign(plan, fields);
}

const GET = requestOf('GET / HTTP/1.1');

test('a file’s head', t => {
  const plan = planned(200, GET, {
    contentType: 'text/html; charset=utf-8',
    contentLength: 0,
    etag: '"x"',
    lastModified: NOW - 1,
    acceptRanges: true,
  });
  t.is(
    write(plan),
    `HTTP/1.1 200 OK\r\n${DATE}Content-Type: text/html; charset=utf-8\r\nContent-Length: 0\r\nETag: "x"\r\n` +
      'Last-Modified: Sun, 06 Nov 1994 08:49:36 GMT\r\nAccept-Ranges: bytes\r\n\r\n',
  );
});

test('the rarer fields', t => {
  t.is(
    write(planned(206, GET, {contentRange: 'bytes 0-1/5', contentLength: 2})),
    `HTTP/1.1 206 Partial Content\r\n${DATE}Content-Length: 2\r\nContent-Range: bytes 0-1/5\r\n\r\n`,
  );
  t.is(
    write(planned(301, GET, {location: '/a/'})),
    `HTTP/1.1 301 Moved Permanently\r\n${DATE}Location: /a/\r\n\r\n`,
  );
  t.is(
    write(planned(405, GET, {allow: 'GET, HEAD'})),
    `HTTP/1.1 405 Method Not Allowed\r\n${DATE}Allow: GET, HEAD\r\n\r\n`,
  );
  t.is(write(planned(304, GET)), `HTTP/1.1 304 Not Modified\r\n${DATE}\r\n`);
});

test('the date follows the second given', t => {
  t.regex(write(planned(200, GET), NOW + 1), /Date: Sun, 06 Nov 1994 08:49:38 GMT/);
});

const connections: ReadonlyArray<readonly [requestLine: string, option: string, field: string]> = [
  ['GET / HTTP/1.1', 'X', ''],
  ['GET / HTTP/1.1', 'close', 'Connection: close\r\n'],
  ['GET / HTTP/1.0', 'X', ''],
  ['GET / HTTP/1.0', 'keep-alive', 'Connection: keep-alive\r\n'],
];
for (const [requestLine, option, field] of connections) {
  test(`${requestLine} with Connection: ${option} is answered ${field === '' ? 'without' : 'with'} the field`, t => {
    const plan = planned(304, requestOf(requestLine, `Connection: ${option}`));
    t.is(write(plan), `HTTP/1.1 304 Not Modified\r\n${DATE}${field}\r\n`);
  });
}

test('a page says its status, and HEAD only its length', t => {
  const plan = new ResponsePlan();
  planPage(plan, GET, 404);
  const fields = 'Content-Type: text/plain; charset=utf-8\r\nContent-Length: 14\r\n';
  t.is(write(plan), `HTTP/1.1 404 Not Found\r\n${DATE}${fields}\r\n404 Not Found\n`);
  planPage(plan, requestOf('HEAD / HTTP/1.1'), 404);
  t.is(write(plan), `HTTP/1.1 404 Not Found\r\n${DATE}${fields}\r\n`);
});

test('after a refused head the page closes the connection', t => {
  const head = new RequestHead();
  const memory = Buffer.from('GET / HTTP/1.1\r\n\r\n');
  t.is(parseRequest(memory, 0, memory.length, head), 400);
  const plan = new ResponsePlan();
  planPage(plan, head, 400);
  t.regex(
    write(plan),
    /^HTTP\/1\.1 400 Bad Request\r\n(?:.+\r\n)+Connection: close\r\n\r\n400 Bad Request\n$/,
  );
});

for (const status of [400, 408, 413, 414, 431, 500, 501, 503, 505] as const) {
  test(`${status} closes even where the client would go on`, t => {
    const plan = new ResponsePlan();
    planPage(plan, GET, status);
    t.false(plan.keepAlive);
  });
}

for (const status of [403, 404, 405, 412, 416] as const) {
  test(`${status} leaves the connection open`, t => {
    const plan = new ResponsePlan();
    planPage(plan, GET, status);
    t.true(plan.keepAlive);
  });
}

test('a plan forgets the answer before', t => {
  const used = planned(206, requestOf('GET / HTTP/1.0'), {
    contentType: 'a',
    contentLength: 1,
    etag: 'b',
    lastModified: 2,
    acceptRanges: true,
    contentRange: 'c',
    allow: 'd',
    location: 'e',
    page: 'f',
    bodyOffset: 3,
    bodyLength: 4,
  });
  used.begin(GET, 200);
  t.deepEqual(used, planned(200, GET));
});

test('the longest answer there can be has room enough', t => {
  // A folder's path that exists, each octet of which grows threefold, and a query for the rest of the head.
  const path = `${'\\'.repeat(254)}/`.repeat(16).slice(0, 4095);
  const start = `GET /${path}?`;
  const end = ' HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n';
  const text = `${start}${'q'.repeat(MAX_HEAD - start.length - end.length)}${end}`;
  const head = new RequestHead();
  t.is(parseRequest(Buffer.from(text), 0, text.length, head), COMPLETE);
  const plan = new ResponsePlan();
  const opened = pathFor(plan, head)!;
  planStatic(
    plan,
    head,
    opened,
    {
      mode: 0o40755,
      size: 0,
      mtimeSeconds: 0,
      mtimeNanoseconds: 0,
      ctimeSeconds: 0,
      ctimeNanoseconds: 0,
      ino: 1,
    },
    NOW,
  );
  const length = write(plan).length;
  t.true(length > 20_000 && length <= MAX_RESPONSE, `${length}`);
});

test('an answer without room is a fault of ours, and not cut off silently', t => {
  t.throws(() => writeResponse(Buffer.alloc(20), 0, planned(304, GET), NOW), {instanceOf: RangeError});
});
