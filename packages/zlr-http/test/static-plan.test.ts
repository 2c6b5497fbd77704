/** A failure here means a wrong answer to a request for a file: status, fields, or the part of the file sent. */
import {constants} from 'node:os';
import test from 'ava';
import fc from 'fast-check';
import {pathFor, planStatic} from '../src/files/static-plan.js';
import {etagOf, type FileStat} from '../src/files/validators.js';
import {formatHttpDate} from '../src/message/http-date.js';
import type {RequestHead} from '../src/message/request-head.js';
import {MAX_RESPONSE, ResponsePlan, writeResponse} from '../src/message/response.js';
import {requestOf} from './request-of.js';

const NOW = 1_700_000_000;
const FILE: FileStat = {
  mode: 0o100644,
  size: 1000,
  mtimeSeconds: NOW - 1000,
  mtimeNanoseconds: 7,
  ctimeSeconds: NOW - 1000,
  ctimeNanoseconds: 7,
  ino: 9,
};
const TAG = etagOf(FILE, NOW);

/** Both steps, as a server takes them; the opened path beside the plan. */
function answer(head: RequestHead, file: FileStat | number = FILE, nowSeconds = NOW) {
  const plan = new ResponsePlan();
  const path = pathFor(plan, head);
  if (path !== undefined) planStatic(plan, head, path, file, nowSeconds);
  return {path, plan};
}

const get = (...fields: string[]) => requestOf('GET /a/b.css?c HTTP/1.1', ...fields);

test('a file is sent whole', t => {
  const {path, plan} = answer(get());
  t.is(path, 'a/b.css');
  t.like(plan, {
    status: 200,
    keepAlive: true,
    contentType: 'text/css; charset=utf-8',
    contentLength: 1000,
    etag: TAG,
    lastModified: NOW - 1000,
    acceptRanges: true,
    contentRange: '',
    bodyOffset: 0,
    bodyLength: 1000,
  });
});

test('HEAD brings the same fields and no body, range or not (14.2)', t => {
  const {plan} = answer(requestOf('HEAD /a/b.css HTTP/1.1', 'Range: bytes=0-1'));
  t.deepEqual(plan, Object.assign(answer(get()).plan, {bodyLength: 0}));
});

test('a part is sent', t => {
  t.like(answer(get('Range: bytes=10-19')).plan, {
    status: 206,
    contentLength: 10,
    contentRange: 'bytes 10-19/1000',
    etag: TAG,
    bodyOffset: 10,
    bodyLength: 10,
  });
});

test('of a part that is not there the size is told', t => {
  t.like(answer(get('Range: bytes=1000-')).plan, {
    status: 416,
    contentRange: 'bytes */1000',
    keepAlive: true,
    bodyLength: 0,
  });
});

test('several parts are the whole', t => {
  t.like(answer(get('Range: bytes=0-1,5-6')).plan, {status: 200, bodyLength: 1000});
});

test('a part of another version is the whole', t => {
  t.is(answer(get('Range: bytes=10-19', 'If-Range: "x"')).plan.status, 200);
  t.is(answer(get('Range: bytes=2000-', 'If-Range: "x"')).plan.status, 200);
  t.is(answer(get('Range: bytes=10-19', `If-Range: ${TAG}`)).plan.status, 206);
});

test('a part of a file that may still be written is the whole, if it is to be joined to another', t => {
  const {plan} = answer(get('Range: bytes=10-19', `If-Range: ${TAG}`), FILE, FILE.mtimeSeconds);
  t.like(plan, {status: 200, etag: `W/${TAG}`, lastModified: FILE.mtimeSeconds});
});

test('what the client has is not sent again, nor described (15.4.5)', t => {
  for (const field of [`If-None-Match: ${TAG}`, `If-Modified-Since: ${formatHttpDate(NOW)}`]) {
    const {plan} = answer(get(field, 'Range: bytes=0-1'));
    t.like(plan, {
      status: 304,
      etag: TAG,
      contentLength: -1,
      contentType: '',
      lastModified: -1,
      page: '',
      bodyLength: 0,
    });
  }
});

test('what the client wants only in another version is refused', t => {
  t.like(answer(get('If-Match: "x"')).plan, {status: 412, keepAlive: true, bodyLength: 0, etag: ''});
});

test('an empty file', t => {
  t.like(answer(get('Range: bytes=0-'), {...FILE, size: 0}).plan, {
    status: 200,
    contentLength: 0,
    bodyLength: 0,
  });
});

for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'get', 'FOO']) {
  test(`${method} is refused before any file is opened`, t => {
    const {path, plan} = answer(requestOf(`${method} /a HTTP/1.1`));
    t.is(path, undefined);
    t.like(plan, {status: 405, allow: 'GET, HEAD', keepAlive: true});
  });
}

test('a target that is no path is refused before any file is opened', t => {
  t.like(answer(requestOf('GET /../a HTTP/1.1')), {path: undefined, plan: {status: 400, keepAlive: false}});
  t.like(answer(requestOf('GET /.git HTTP/1.1')), {path: undefined, plan: {status: 404, keepAlive: true}});
});

const folders: ReadonlyArray<readonly [target: string, location: string]> = [
  ['/a', '/a/'],
  ['/a?b=c', '/a/?b=c'],
  ['/a/./b', '/a/b/'],
  ['http://h/a', '/a/'],
  // Neither may be read as a host.
  ['//evil.example', '/evil.example/'],
  ['/\\evil.example', '/%5Cevil.example/'],
  // What was decoded is encoded again: lines, names beyond Latin-1, a question mark in a name.
  ['/a%0d%0aSet-Cookie:x', '/a%0D%0ASet-Cookie%3Ax/'],
  ['/%c4%8a', '/%C4%8A/'],
  ['/a%3Fb', '/a%3Fb/'],
  // The query goes back as it came.
  ['/a?"\xe9%', '/a/?"\xe9%'],
];
for (const [target, location] of folders) {
  test(`the folder ${JSON.stringify(target)} is at ${location}`, t => {
    const {plan} = answer(requestOf(`GET ${target} HTTP/1.1`), {...FILE, mode: 0o40755});
    t.like(plan, {status: 301, location, keepAlive: true, bodyLength: 0});
    t.not(plan.page, '');
  });
}

test('a pipe, a device or a socket is no document', t => {
  for (const mode of [0o010644, 0o020644, 0o060644, 0o140644])
    t.is(answer(get(), {...FILE, mode}).plan.status, 404);
});

const {errno} = constants;
const errors: ReadonlyArray<readonly [name: keyof typeof errno, status: number]> = [
  ['ENOENT', 404],
  ['ENOTDIR', 404],
  ['ENAMETOOLONG', 404],
  ['ELOOP', 404],
  ['EXDEV', 404],
  ['ENXIO', 404],
  ['EACCES', 403],
  ['EPERM', 403],
  ['EMFILE', 503],
  ['ENFILE', 503],
  ['ENOMEM', 503],
  ['EIO', 500],
];
for (const [name, status] of errors) {
  test(`${name} is ${status}`, t => {
    t.like(answer(get(), errno[name]).plan, {status, bodyLength: 0, etag: ''});
  });
}

test('whatever is asked for, the answer is one head, and promises the octets that are sent', t => {
  const target = fc
    .array(fc.constantFrom('/', 'a', '..', '%0d%0a', '%c4%8a', '\\', '?', 'é', '.css', '%00', '%'), {
      maxLength: 8,
    })
    .map(parts => `/${parts.join('')}`);
  const field = fc.constantFrom(
    'Range: bytes=10-19',
    'Range: bytes=-5',
    'Range: bytes=1000-',
    `If-Range: ${TAG}`,
    'If-Range: "x"',
    `If-None-Match: ${TAG}`,
    'If-Match: "x"',
    'Connection: close',
  );
  const file = fc.oneof(
    fc.constantFrom<FileStat | number>(
      FILE,
      {...FILE, size: 0},
      {...FILE, mode: 0o40755},
      {...FILE, mode: 0o010644},
    ),
    fc.integer({min: 1, max: 133}),
  );
  const method = fc.constantFrom('GET', 'HEAD', 'POST');
  const memory = Buffer.alloc(MAX_RESPONSE);
  fc.assert(
    fc.property(method, target, fc.array(field, {maxLength: 3}), file, (method, target, fields, file) => {
      const {plan} = answer(requestOf(`${method} ${target} HTTP/1.1`, ...fields), file);
      const text = memory.toString('latin1', 0, writeResponse(memory, 0, plan, NOW));
      const [, head, page] =
        /^(HTTP\/1\.1 \d{3} [A-Za-z ]+\r\n(?:[A-Za-z-]+: [!-~][ -~\x80-\xff]*\r\n)+)\r\n([^\r]*)$/.exec(
          text,
        )!;
      const length = /\r\nContent-Length: (\d+)\r\n/.exec(head!)?.[1];
      t.is(length === undefined, plan.status === 304);
      if (length !== undefined && method !== 'HEAD') t.is(page!.length + plan.bodyLength, Number(length));
      else t.is(page!.length + plan.bodyLength, 0);
      t.is(/\r\nConnection: close\r\n/.test(head!), !plan.keepAlive);
      t.true(
        plan.bodyLength === 0 || (typeof file === 'object' && plan.bodyOffset + plan.bodyLength <= file.size),
      );
    }),
    {numRuns: 3000},
  );
});
