/**
 * A failure here means the server would take content for a request or a request for content (request smuggling), or
 * would lose its place in a body when it reads on after a restart.
 */
import test from 'ava';
import fc from 'fast-check';
import {
  BODY_DATA,
  BODY_DONE,
  BODY_MORE,
  BodyReader,
  type BodyStatus,
  MAX_OVERHEAD,
} from '../src/message/body.js';
import {CHUNKED_BODY, type Framing, LENGTH_BODY, NO_BODY, RequestHead} from '../src/message/request-head.js';

interface Result {
  status: BodyStatus;
  content: string;
  /** What was left unconsumed. */
  rest: string;
}

function reader(framing: Framing, contentLength = 0): BodyReader {
  const body = new BodyReader();
  body.begin(Object.assign(new RequestHead(), {framing, contentLength}));
  return body;
}

/** Reads the text cut at the given places. After each part the reader is replaced by one with its three numbers. */
function readAll(text: string, first: BodyReader, cuts: readonly number[] = []): Result {
  const ends = [...new Set(cuts.map(cut => cut % (text.length + 1)))].sort((a, b) => a - b);
  const memory = Buffer.from(text, 'latin1');
  let body = first;
  let content = '';
  let at = 0;
  let status: BodyStatus = BODY_MORE;
  for (const end of [...ends, text.length]) {
    const {phase, remaining, overhead} = body;
    body = Object.assign(new BodyReader(), {phase, remaining, overhead});
    do {
      status = body.read(memory, at, end);
      if (status === BODY_DATA) content += memory.toString('latin1', body.dataStart, body.dataEnd);
      at = body.next;
    } while (status === BODY_DATA);
    if (status !== BODY_MORE) break;
  }
  return {status, content, rest: status === BODY_DONE ? text.slice(at) : ''};
}

test('no body ends where it begins', t => {
  t.deepEqual(readAll('GET', reader(NO_BODY)), {status: BODY_DONE, content: '', rest: 'GET'});
});

test('a length counts the content and leaves the next request', t => {
  t.deepEqual(readAll('helloGET', reader(LENGTH_BODY, 5)), {
    status: BODY_DONE,
    content: 'hello',
    rest: 'GET',
  });
  t.deepEqual(readAll('hel', reader(LENGTH_BODY, 5)), {status: BODY_MORE, content: 'hel', rest: ''});
});

test('a body in full is done without another octet', t => {
  const body = reader(LENGTH_BODY, 2);
  const memory = Buffer.from('hi');
  t.is(body.read(memory, 0, 2), BODY_DATA);
  t.is(body.read(memory, 2, 2), BODY_DONE);
});

const done: ReadonlyArray<readonly [why: string, text: string, content: string]> = [
  ['chunks', '5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n', 'hello world'],
  [
    'sizes in either case and with noughts',
    '00A\r\n0123456789\r\n0a\r\nabcdefghij\r\n000\r\n\r\n',
    '0123456789abcdefghij',
  ],
  ['extensions (7.1.1)', '2;a=b;c="d;e"\r\nhi\r\n0 ; x\r\n\r\n', 'hi'],
  ['trailers (7.1.2)', '2\r\nhi\r\n0\r\nDigest: x\r\nA:\r\n\r\n', 'hi'],
  ['content that looks like framing', '7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n', '\r\n0\r\n\r\n'],
];
for (const [why, text, content] of done) {
  test(`chunked: ${why}`, t => {
    t.deepEqual(readAll(`${text}GET`, reader(CHUNKED_BODY)), {status: BODY_DONE, content, rest: 'GET'});
  });
}

const refused: ReadonlyArray<readonly [why: string, text: string, status: BodyStatus]> = [
  ['no size', '\r\nhi', 400],
  ['no size but an extension', ';a\r\n', 400],
  ['a signed size', '+2\r\nhi\r\n', 400],
  ['a size with a prefix', '0x2\r\nhi\r\n', 400],
  ['a size after a space', ' 2\r\nhi\r\n', 400],
  ['a size before a space', '2 \r\nhi\r\n', 400],
  ['a bare LF after the size', '2\nhi\r\n', 400],
  ['a bare CR after the size', '2\rhi\r\n', 400],
  ['a bare LF in an extension', '2;a\nhi\r\n', 400],
  ['NUL in an extension', '2;\0\r\nhi\r\n', 400],
  ['content longer than its size', '2\r\nhi!\r\n', 400],
  ['a bare LF after the content', '2\r\nhi\n0\r\n\r\n', 400],
  ['a trailer folded', '0\r\nA: b\r\n c\r\n\r\n', 400],
  ['a trailer with a space in its name', '0\r\nA : b\r\n\r\n', 400],
  ['a trailer without a name', '0\r\n: b\r\n\r\n', 400],
  ['a trailer without a colon', '0\r\nA\r\n\r\n', 400],
  ['a bare LF after a trailer', '0\r\nA: b\n\r\n', 400],
  ['a bare CR at the end', '0\r\n\rX', 400],
  ['a size no number holds', '20000000000000\r\n', 413],
  ['a size of very many digits', `${'f'.repeat(400)}\r\n`, 413],
  ['extensions without end', `1;${'a'.repeat(MAX_OVERHEAD)}`, 413],
  ['an extension to each octet', '1;abc\r\nx\r\n'.repeat(MAX_OVERHEAD / 4 + 1), 413],
  ['noughts without end', '0'.repeat(MAX_OVERHEAD + 2), 413],
  ['trailers without end', `0\r\n${'A: b\r\n'.repeat(MAX_OVERHEAD / 4 + 1)}`, 431],
];
for (const [why, text, status] of refused) {
  test(`chunked, refused: ${why}`, t => {
    t.is(readAll(text, reader(CHUNKED_BODY)).status, status);
  });
}

test('the greatest size is read exactly', t => {
  const body = reader(CHUNKED_BODY);
  const memory = Buffer.from('1fffffffffffff\r\n');
  t.is(body.read(memory, 0, memory.length), BODY_MORE);
  t.is(body.remaining, Number.MAX_SAFE_INTEGER);
});

test('many chunks cost no overhead', t => {
  const text = `${'1\r\nx\r\n'.repeat(MAX_OVERHEAD)}0\r\n\r\n`;
  t.is(readAll(text, reader(CHUNKED_BODY)).status, BODY_DONE);
});

test('a phase that does not exist is a fault of ours, not of the client', t => {
  const body = Object.assign(new BodyReader(), {phase: 99});
  t.throws(() => body.read(Buffer.from('x'), 0, 1), {message: /no phase 99/});
});

const chunk = fc
  .tuple(
    fc.uint8Array({minLength: 1, maxLength: 20}).map(bytes => Buffer.from(bytes).toString('latin1')),
    fc.constantFrom('', '0', ';a', ' ;a="b"'),
  )
  .map(([content, extra]) => ({
    content,
    text: `${extra === '0' ? '0' : ''}${content.length.toString(16)}${extra === '0' ? '' : extra}\r\n${content}\r\n`,
  }));
const valid = fc
  .tuple(fc.array(chunk, {maxLength: 6}), fc.constantFrom('', 'A: b\r\n', 'A: b\r\nC:\r\n'))
  .map(([chunks, trailers]) => ({
    content: chunks.map(({content}) => content).join(''),
    text: `${chunks.map(({text}) => text).join('')}0\r\n${trailers}\r\n`,
  }));
const soup = fc
  .array(fc.constantFrom('0', '1', 'a', 'G', ';', ':', ' ', '\r\n', '\r', '\n', '\0', 'x', '2\r\nhi\r\n'), {
    maxLength: 20,
  })
  .map(pieces => pieces.join(''));
const cuts = fc.array(fc.nat(), {maxLength: 12});

test('what was put into chunks comes out, however the octets are cut into packets', t => {
  fc.assert(
    fc.property(valid, cuts, fc.string(), ({content, text}, cuts, rest) => {
      t.deepEqual(readAll(text + rest, reader(CHUNKED_BODY), cuts), {status: BODY_DONE, content, rest});
    }),
  );
});

test('any octets give one result, however they are cut, and never throw', t => {
  fc.assert(
    fc.property(
      fc.oneof(
        soup,
        valid.map(({text}) => text.slice(1)),
        fc.string({unit: 'binary-ascii'}),
      ),
      cuts,
      (text, cuts) => {
        t.deepEqual(readAll(text, reader(CHUNKED_BODY), cuts), readAll(text, reader(CHUNKED_BODY)));
      },
    ),
    {numRuns: 2000},
  );
});

/** The same by cutting whole lines off a whole text. */
function model(text: string): Result {
  let content = '';
  for (let rest = text; ; ) {
    const size = /^([\da-f]+)(?:[ \t]*;[\t -~\x80-\xff]*)?\r\n/i.exec(rest);
    if (size === null) return {status: 400, content, rest: ''};
    rest = rest.slice(size[0].length);
    const length = Number.parseInt(size[1]!, 16);
    if (length === 0) {
      const trailers = /^(?:[!#$%&'*+\-.^_`|~\w]+:[\t -~\x80-\xff]*\r\n)*\r\n/.exec(rest);
      if (trailers === null) return {status: 400, content, rest: ''};
      return {status: BODY_DONE, content, rest: rest.slice(trailers[0].length)};
    }
    content += rest.slice(0, length);
    if (rest.slice(length, length + 2) !== '\r\n') return {status: 400, content, rest: ''};
    rest = rest.slice(length + 2);
  }
}

test('what the grammar allows is a body, and nothing else', t => {
  fc.assert(
    fc.property(
      fc.oneof(
        soup,
        valid.map(({text}) => text),
        fc.string({unit: 'binary-ascii'}),
      ),
      text => {
        const expected = model(text);
        const {status, content, rest} = readAll(text, reader(CHUNKED_BODY));
        if (expected.status === BODY_DONE) t.deepEqual({status, content, rest}, expected);
        else t.not(status, BODY_DONE);
      },
    ),
    {numRuns: 3000},
  );
});
