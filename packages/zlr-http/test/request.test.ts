/**
 * A failure here means the server would answer a request wrongly, or read two requests where a proxy in front of it
 * reads one (request smuggling). Each table row is one request; properties print a seed and a shrunk counter-example.
 */
import test from 'ava';
import fc from 'fast-check';
import {COMPLETE, INCOMPLETE, MAX_HEAD, type ParseStatus, parseRequest} from '../src/message/request.js';
import {CHUNKED_BODY, LENGTH_BODY, MAX_FIELDS, NO_BODY, RequestHead} from '../src/message/request-head.js';

// The text is parsed where it would lie in a pool: not at its start, and with a neighbour's octets behind it.
const BEFORE = 7;
const NEIGHBOUR = 'GET /neighbour HTTP/1.1\r\nHost: n\r\n\r\n';

function parse(text: string, head = new RequestHead()): {status: ParseStatus; head: RequestHead} {
  const memory = Buffer.from('\n'.repeat(BEFORE) + text + NEIGHBOUR, 'latin1');
  return {status: parseRequest(memory, BEFORE, BEFORE + text.length, head), head};
}

const HOST = 'Host: h\r\n';

test('a request is read', t => {
  const text = 'GET /a/b?c=d HTTP/1.1\r\nHost: example.org:8080\r\nAccept:\t*/* \r\nX-Empty:\r\n\r\n';
  const {status, head} = parse(`${text}body`);
  t.is(status, COMPLETE);
  t.is(head.method, 'GET');
  t.is(head.target, '/a/b?c=d');
  t.is(head.httpMinor, 1);
  t.is(head.host, 'example.org:8080');
  t.is(head.headLength, text.length);
  t.is(head.framing, NO_BODY);
  t.true(head.keepAlive);
  t.is(head.fieldCount, 3);
  t.is(head.fieldName(1), 'Accept');
  t.is(head.header('accept'), '*/*');
  t.is(head.header('x-empty'), '');
  t.is(head.header('x-missing'), undefined);
});

test('one head object serves one request after the other without remembering', t => {
  const head = new RequestHead();
  parse(
    `POST http://other/ HTTP/1.1\r\n${HOST}Content-Length: 5\r\nExpect: 100-continue\r\nA: b\r\n\r\n`,
    head,
  );
  t.is(parse(`GET / HTTP/1.0\r\n\r\n`, head).status, COMPLETE);
  t.like(head, {
    method: 'GET',
    target: '/',
    host: '',
    httpMinor: 0,
    keepAlive: false,
    framing: NO_BODY,
    contentLength: 0,
    expectContinue: false,
    fieldCount: 0,
  });
  t.is(head.header('a'), undefined);
});

test('a field of the request before is not found in this one’s body', t => {
  const head = new RequestHead();
  const before = 'GET / HTTP/1.1\r\nHost: long.example\r\nA: b\r\n\r\n';
  const after = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';
  parse(before, head);
  t.is(parse(`${after.padEnd(before.indexOf('A: b'))}A: b`, head).status, COMPLETE);
  t.is(head.header('a'), undefined);
});

test('a head whose method was read tells it even when the rest is refused', t => {
  t.is(parse('HEAD / HTTP/1.1\r\n\r\n').head.method, 'HEAD');
});

test('lines of one name are one list', t => {
  const {head} = parse(
    `GET / HTTP/1.1\r\n${HOST}Accept: a\r\ncookie: x=1\r\nACCEPT: b\r\nCookie: y=2\r\n\r\n`,
  );
  t.is(head.header('accept'), 'a, b');
  t.is(head.header('cookie'), 'x=1; y=2');
});

test('a name with an underscore is found, and is not one with a hyphen', t => {
  const {head} = parse(`GET / HTTP/1.1\r\n${HOST}Content_Length: 3\r\n\r\n`);
  t.is(head.header('content_length'), '3');
  t.is(head.framing, NO_BODY);
});

for (const method of [
  'GET',
  'HEAD',
  'PUT',
  'POST',
  'DELETE',
  'OPTIONS',
  'PATCH',
  'get',
  'POSH',
  'M-SEARCH',
]) {
  test(`method ${method} is kept as sent`, t => {
    const {status, head} = parse(`${method} / HTTP/1.1\r\n${HOST}\r\n`);
    t.is(status, COMPLETE);
    t.is(head.method, method);
  });
}

const accepted: ReadonlyArray<readonly [why: string, text: string, expected: Partial<RequestHead>]> = [
  ['empty lines before it (2.2)', `\r\n\r\nGET / HTTP/1.1\r\n${HOST}\r\n`, {target: '/', headLength: 31}],
  ['HTTP/1.0 without a Host', 'GET / HTTP/1.0\r\n\r\n', {httpMinor: 0, keepAlive: false}],
  ['HTTP/1.0 with keep-alive', 'GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n', {keepAlive: true}],
  [
    'HTTP/1.0 with both options',
    'GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n',
    {keepAlive: false},
  ],
  [
    'HTTP/1.0 with keep-alive in a list',
    'GET / HTTP/1.0\r\nConnection: TE, Keep-Alive\r\n\r\n',
    {keepAlive: true},
  ],
  ['a later minor version is 1.1', `GET / HTTP/1.7\r\n${HOST}\r\n`, {httpMinor: 1, keepAlive: true}],
  ['close', `GET / HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`, {keepAlive: false}],
  ['close in a list', `GET / HTTP/1.1\r\n${HOST}Connection: TE , CLOSE\r\n\r\n`, {keepAlive: false}],
  [
    'close in a second line',
    `GET / HTTP/1.1\r\n${HOST}Connection: a\r\nConnection: close\r\n\r\n`,
    {keepAlive: false},
  ],
  ['an option that only begins so', `GET / HTTP/1.1\r\n${HOST}Connection: closed\r\n\r\n`, {keepAlive: true}],
  [
    'a length',
    `POST / HTTP/1.1\r\n${HOST}content-length: 0012\r\n\r\n`,
    {framing: LENGTH_BODY, contentLength: 12},
  ],
  ['a length of nought', `POST / HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`, {framing: NO_BODY}],
  [
    'the greatest length',
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 9007199254740991\r\n\r\n`,
    {framing: LENGTH_BODY, contentLength: Number.MAX_SAFE_INTEGER},
  ],
  ['chunks', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: CHUNKED\r\n\r\n`, {framing: CHUNKED_BODY}],
  [
    'Expect with a body',
    `PUT / HTTP/1.1\r\n${HOST}Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n`,
    {expectContinue: true},
  ],
  ['Expect without a body', `PUT / HTTP/1.1\r\n${HOST}Expect: 100-continue\r\n\r\n`, {expectContinue: false}],
  [
    'Expect in HTTP/1.0',
    'PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n',
    {expectContinue: false},
  ],
  [
    'an expectation unknown',
    `PUT / HTTP/1.1\r\n${HOST}Expect: x\r\nContent-Length: 1\r\n\r\n`,
    {expectContinue: false},
  ],
  [
    'absolute-form names the host',
    `GET http://a:1/x HTTP/1.1\r\n${HOST}\r\n`,
    {target: 'http://a:1/x', host: 'a:1'},
  ],
  ['absolute-form without a path', `GET HTTPS://a?q HTTP/1.1\r\n${HOST}\r\n`, {host: 'a'}],
  ['asterisk-form', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, {target: '*'}],
  ['an IPv6 host', 'GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n', {host: '[::1]:80'}],
  ['an empty host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', {host: ''}],
  ['raw UTF-8 in the target', `GET /\xc3\xa9|{^}" HTTP/1.1\r\n${HOST}\r\n`, {target: '/\xc3\xa9|{^}"'}],
  ['obs-text and tabs in a value', `GET / HTTP/1.1\r\n${HOST}A: \xe9\tb\r\n\r\n`, {fieldCount: 2}],
];

for (const [why, text, expected] of accepted) {
  test(`accepted: ${why}`, t => {
    const {status, head} = parse(text);
    t.is(status, COMPLETE);
    t.is(head.headLength, text.length);
    t.like(head, expected);
  });
}

const get = (fields: string) => `GET / HTTP/1.1\r\n${HOST}${fields}\r\n\r\n`;
const refused: ReadonlyArray<readonly [why: string, text: string, status: ParseStatus]> = [
  ['a length beside chunks (6.1)', get('Content-Length: 5\r\nTransfer-Encoding: chunked'), 400],
  ['chunks beside a length (6.1)', get('Transfer-Encoding: chunked\r\nContent-Length: 5'), 400],
  ['chunks beside a length of nought', get('Content-Length: 0\r\nTransfer-Encoding: chunked'), 400],
  ['two lengths that differ (6.3)', get('Content-Length: 5\r\nContent-Length: 6'), 400],
  ['two lengths that agree', get('Content-Length: 5\r\nContent-Length: 5'), 400],
  ['a list of lengths', get('Content-Length: 5, 5'), 400],
  ['a signed length', get('Content-Length: +5'), 400],
  ['a hexadecimal length', get('Content-Length: 0x5'), 400],
  ['a length with a space', get('Content-Length: 1 2'), 400],
  ['an empty length', get('Content-Length:'), 400],
  ['a length of spaces', get('Content-Length:  '), 400],
  ['a length no number holds', get('Content-Length: 9007199254740992'), 413],
  ['a length of 1,000 digits', get(`Content-Length: ${'9'.repeat(1000)}`), 413],
  ['a coding not understood before chunked', get('Transfer-Encoding: gzip, chunked'), 501],
  ['chunked not last (6.3)', get('Transfer-Encoding: chunked, gzip'), 400],
  ['chunked twice (6.1)', get('Transfer-Encoding: chunked, chunked'), 400],
  ['no chunked at all (6.3)', get('Transfer-Encoding: identity'), 400],
  ['an almost chunked coding', get('Transfer-Encoding: xchunked'), 400],
  ['two lines of codings', get('Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked'), 400],
  ['chunks in HTTP/1.0 (6.1)', 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
  ['a folded line (5.2)', get('A: b\r\n c'), 400],
  ['a first field after a space (2.2)', `GET / HTTP/1.1\r\n ${HOST}\r\n`, 400],
  ['a space before the colon (5.1)', get('Content-Length : 5'), 400],
  ['a tab before the colon', get('Content-Length\t: 5'), 400],
  ['a field without a name', get(': 5'), 400],
  ['a field without a colon', get('Content-Length'), 400],
  ['a name with a foreign octet', get('Content\xadLength: 5'), 400],
  ['a bare LF after a field', `GET / HTTP/1.1\r\nHost: h\n\r\n`, 400],
  ['a bare LF at the end', `GET / HTTP/1.1\r\n${HOST}\n`, 400],
  ['a bare LF after the request line', `GET / HTTP/1.1\n${HOST}\r\n`, 400],
  ['a bare LF before the request', `\nGET / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a bare CR in a value', get('A: b\rc'), 400],
  ['a bare CR before a field', `GET / HTTP/1.1\r\n${HOST}\rA: b\r\n\r\n`, 400],
  ['a bare CR before the request', `\rGET / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['NUL in a value', get('A: b\0c'), 400],
  ['NUL in the target', `GET /\0 HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['NUL in a name', get('A\0: b'), 400],
  ['DEL in a value', get('A: \x7f'), 400],
  ['a method that is no token', `GE(T / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['no method', ` / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a TLS handshake', '\x16\x03\x01\x02\0\x01\0', 400],
  ['a method longer than any', `${'M'.repeat(33)} / HTTP/1.1\r\n${HOST}\r\n`, 501],
  ['a tunnel', `CONNECT a:443 HTTP/1.1\r\n${HOST}\r\n`, 501],
  ['two spaces before the target', `GET  / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['two spaces before the version', `GET /  HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a space after the version', `GET / HTTP/1.1 \r\n${HOST}\r\n`, 400],
  ['a tab between', `GET\t/ HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a fragment', `GET /#x HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a target without a slash', `GET a HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['an asterisk and more', `OPTIONS *x HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['one character that is no asterisk', `OPTIONS a HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['an asterisk for GET', `GET * HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['another scheme', `GET ftp://a/ HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['absolute-form without a host', `GET http:///x HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['absolute-form with a port alone', `GET http://:80/x HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['absolute-form with a user', `GET http://u@a/x HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['no version', 'GET /\r\n', 400],
  ['a version in lower case', `GET / http/1.1\r\n${HOST}\r\n`, 400],
  ['a version of two digits', `GET / HTTP/1.11\r\n${HOST}\r\n`, 400],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
  ['HTTP/0.9 by name', `GET / HTTP/0.9\r\n${HOST}\r\n`, 505],
  ['no Host in HTTP/1.1 (3.2)', 'GET / HTTP/1.1\r\nA: b\r\n\r\n', 400],
  ['no Host beside absolute-form', 'GET http://a/ HTTP/1.1\r\n\r\n', 400],
  ['two Hosts', get('Host: h'), 400],
  ['two Hosts in HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n', 400],
  ['a Host with a path', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
  ['a Host with digits behind what is no colon', 'GET / HTTP/1.1\r\nHost: a/8\r\n\r\n', 400],
  ['a Host with a user', 'GET / HTTP/1.1\r\nHost: u@a\r\n\r\n', 400],
  ['a Host with a space', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 400],
  ['a Host with a port that is none', 'GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n', 400],
  ['a Host with an open bracket', 'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n', 400],
  ['a Host with a bracket inside', 'GET / HTTP/1.1\r\nHost: a[::1]\r\n\r\n', 400],
  ['too many fields', get(`${'A: b\r\n'.repeat(MAX_FIELDS)}A: b`), 431],
];

for (const [why, text, status] of refused) {
  test(`refused: ${why}`, t => {
    t.is(parse(text).status, status);
  });
}

const padded = (length: number) => {
  const text = `GET / HTTP/1.1\r\n${HOST}A: \r\n\r\n`;
  return `GET / HTTP/1.1\r\n${HOST}A: ${'a'.repeat(length - text.length)}\r\n\r\n`;
};

test('a head of 16 KiB is the longest', t => {
  t.is(parse(padded(MAX_HEAD)).status, COMPLETE);
  t.is(parse(padded(MAX_HEAD + 1)).status, 431);
});

test('a head that can no longer end in time is refused before it ends', t => {
  t.is(parse(padded(MAX_HEAD + 100).slice(0, MAX_HEAD - 1)).status, INCOMPLETE);
  t.is(parse(padded(MAX_HEAD + 100).slice(0, MAX_HEAD)).status, 431);
  t.is(parse('\r\n'.repeat(MAX_HEAD / 2)).status, 431);
});

test('a request line too long is the target’s fault', t => {
  t.is(parse(`GET /${'a'.repeat(MAX_HEAD)}`).status, 414);
  t.is(parse(`GET /${'a'.repeat(MAX_HEAD - 10)} HTTP`).status, 414);
});

// Properties. The generator makes requests from parts that are valid, nearly valid and hostile, so that all the
// branches are met; purely random octets hardly get beyond the method.
const piece = fc.constantFrom(
  'GET',
  'POST',
  '/a%20b',
  '*',
  ' ',
  '\t',
  ' HTTP/1.1',
  'HTTP/1.0',
  '\r\n',
  '\r\n\r\n',
  '\n',
  '\r',
  '\0',
  ':',
  ',',
  '5',
  'chunked',
  'close',
  'Host: h',
  'Content-Length: 5',
  'Transfer-Encoding: chunked',
  'Connection: close',
  'X: y',
  '\xe9',
);
const soup = fc.array(piece, {maxLength: 24}).map(pieces => pieces.join(''));
const line = fc.constantFrom(
  'Host: h',
  'Host: h:1',
  'Host: [::1]',
  'Host: a b',
  'Content-Length: 5',
  'Content-Length: 6x',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip',
  'Connection: close',
  'Connection:\tx, keep-alive ',
  'Expect: 100-continue',
  'X-Y: z',
  'bad name: x',
  'Bad : x',
  ' folded',
  'nul: \0',
  'cr: \r',
);
const nearly = fc
  .record({
    before: fc.constantFrom('', '\r\n', '\n'),
    start: fc.constantFrom(
      'GET / HTTP/1.1',
      'POST /x?y HTTP/1.0',
      'HEAD http://h/ HTTP/1.1',
      'GET / HTTP/2.0',
      'G@T / x',
    ),
    lines: fc.array(line, {maxLength: 5}),
    after: fc.constantFrom('', 'body', '\r\n'),
  })
  .map(({before, start, lines, after}) => `${before}${[start, ...lines].join('\r\n')}\r\n\r\n${after}`);
const octets = fc.uint8Array({maxLength: 200}).map(bytes => Buffer.from(bytes).toString('latin1'));
const anything = fc.oneof(nearly, soup, octets);

/** Everything a caller can see of a result. */
function seen({status, head}: {status: ParseStatus; head: RequestHead}) {
  if (status !== COMPLETE) return {status};
  const fields = Array.from({length: head.fieldCount}, (_, i) => [head.fieldName(i), head.fieldValue(i)]);
  const {method, target, host, httpMinor, keepAlive, framing, contentLength, expectContinue, headLength} =
    head;
  return {
    status,
    method,
    target,
    host,
    httpMinor,
    keepAlive,
    framing,
    contentLength,
    expectContinue,
    headLength,
    fields,
  };
}

test('however a request is cut into packets, the result is that of the whole', t => {
  fc.assert(
    fc.property(anything, text => {
      const whole = seen(parse(text));
      for (let length = 0; length < text.length; length++) {
        const part = seen(parse(text.slice(0, length)));
        if (part.status !== INCOMPLETE) t.deepEqual(part, whole, JSON.stringify(text.slice(0, length)));
      }
    }),
    {numRuns: 1500},
  );
});

test('what lies behind the given octets has no influence', t => {
  fc.assert(
    fc.property(anything, anything, (text, behind) => {
      const memory = Buffer.from(text + behind, 'latin1');
      const head = new RequestHead();
      t.deepEqual(seen({status: parseRequest(memory, 0, text.length, head), head}), seen(parse(text)));
    }),
    {numRuns: 1500},
  );
});

/** The grammar as one expression, and the rules one by one; slow, and made differently from the parser. */
function model(text: string): 'accepted' | 'refused or incomplete' {
  const no = 'refused or incomplete';
  const grammar =
    /^(?:\r\n)*([!#$%&'*+\-.^_`|~\w]{1,32}) ([^\0- \x7f#]+) HTTP\/1\.(\d)\r\n((?:[!#$%&'*+\-.^_`|~\w]+:[\t -~\x80-\xff]*\r\n)*)\r\n/;
  const match = grammar.exec(text);
  if (match === null) return no;
  const [, method, target, minor, block] = match;
  const fields = block!
    .split('\r\n')
    .slice(0, -1)
    .map(text => {
      const colon = text.indexOf(':');
      return [
        text.slice(0, colon).toLowerCase(),
        text.slice(colon + 1).replace(/^[\t ]+|[\t ]+$/g, ''),
      ] as const;
    });
  const all = (name: string) => fields.filter(field => field[0] === name).map(field => field[1]);
  const host = /^(?:[\w.~!$&'()*+,;=%-]*|\[[\w.~!$&'()*+,;=:-]*\])(?::\d*)?$/;
  if (method === 'CONNECT') return no;
  const absolute = /^https?:\/\/([^/?:]+(?::\d*)?)(?:[/?]|$)/i.exec(target!);
  if (
    !(
      target!.startsWith('/') ||
      (target === '*' && method === 'OPTIONS') ||
      (absolute && host.test(absolute[1]!))
    )
  )
    return no;
  const hosts = all('host');
  if (hosts.length > 1 || (hosts.length === 0 && minor !== '0') || hosts.some(value => !host.test(value)))
    return no;
  const lengths = all('content-length');
  const codings = all('transfer-encoding');
  if (lengths.length + codings.length > 1) return no;
  if (lengths.some(value => !/^\d+$/.test(value) || Number(value) > Number.MAX_SAFE_INTEGER)) return no;
  if (codings.some(value => value.toLowerCase() !== 'chunked' || minor === '0')) return no;
  return 'accepted';
}

test('exactly what the grammar and the rules allow is accepted', t => {
  let count = 0;
  fc.assert(
    fc.property(anything, text => {
      const expected = model(text);
      if (expected === 'accepted') count++;
      t.is(
        parse(text).status === COMPLETE ? 'accepted' : 'refused or incomplete',
        expected,
        JSON.stringify(text),
      );
    }),
    {numRuns: 5000},
  );
  t.true(count > 50, `the generator must make valid requests too; it made ${count}`);
});
