/**
 * What a request costs between the octets received and the head written, without sockets: parsing (beside llhttp,
 * the parser inside node:http, and a naive one that splits text) and the whole way of a static file.
 *
 * Goal: compare parsers in one process on one core. No goal: requests per second of a server; see bench/serve.
 * Figures are CPU time, the best of interleaved rounds, because the machine is shared.
 *
 *   npx tsc -b && node bench/http-parser.mjs [--json]
 */
import {createRequire} from 'node:module';
import {pathFor, planStatic} from '../packages/zlr-http/dist/files/static-plan.js';
import {parseRequest} from '../packages/zlr-http/dist/message/request.js';
import {RequestHead} from '../packages/zlr-http/dist/message/request-head.js';
import {ResponsePlan, writeResponse} from '../packages/zlr-http/dist/message/response.js';

const SLOTS = 64;
const SLOT = 32 * 1024;
const ROUNDS = 12;
const MILLISECONDS = 25;

const chrome = [
  'GET /static/app.3f2a.js?v=12 HTTP/1.1',
  'Host: www.example.com',
  'Connection: keep-alive',
  'sec-ch-ua: "Chromium";v="120", "Not(A:Brand";v="24"',
  'sec-ch-ua-mobile: ?0',
  'sec-ch-ua-platform: "Linux"',
  'Upgrade-Insecure-Requests: 1',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'Sec-Fetch-Site: none',
  'Sec-Fetch-Mode: navigate',
  'Sec-Fetch-User: ?1',
  'Sec-Fetch-Dest: document',
  'Accept-Encoding: gzip, deflate, br',
  'Accept-Language: en-US,en;q=0.9',
  'Cookie: sid=0123456789abcdef0123456789abcdef; theme=dark',
  'If-None-Match: "abc-123"',
];
const requests = {
  small: ['GET /hello.txt HTTP/1.1', 'Host: localhost:8080'],
  curl: ['GET /index.html HTTP/1.1', 'Host: 127.0.0.1:8080', 'User-Agent: curl/8.1.2', 'Accept: */*'],
  chrome,
};

const pool = Buffer.alloc(SLOTS * SLOT);
const answers = Buffer.alloc(SLOTS * SLOT);
const head = new RequestHead();
const plan = new ResponsePlan();
const stat = {
  mode: 0o100644,
  size: 10240,
  mtimeSeconds: 1_690_000_000,
  mtimeNanoseconds: 123_456_789,
  ctimeSeconds: 1_700_000_000,
  ctimeNanoseconds: 123_456_789,
  ino: 1_234_567,
};

/** The HTTPParser that node:http uses, if this Node still hands it out. */
function llhttp() {
  try {
    const {HTTPParser} = createRequire(import.meta.url)('_http_common');
    const parser = new HTTPParser();
    let length = 0;
    parser.initialize(HTTPParser.REQUEST, {});
    parser[HTTPParser.kOnHeadersComplete] = (_major, _minor, _headers, _method, url) => {
      length = url.length;
    };
    return (start, end) => {
      const result = parser.execute(pool.subarray(start, end));
      if (result instanceof Error) throw result;
      return length;
    };
  } catch {
    return undefined;
  }
}

function naive(start, end) {
  const text = pool.toString('latin1', start, end);
  const [first, ...lines] = text.slice(0, text.indexOf('\r\n\r\n')).split('\r\n');
  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return first.split(' ')[1].length + headers.host.length;
}

function parse(start, end) {
  const status = parseRequest(pool, start, end, head);
  if (status !== 1) throw new Error(`refused with ${status}`);
  return head.headLength;
}

function parseAndTarget(start, end) {
  parse(start, end);
  return head.target.length;
}

function answer(start, end) {
  parse(start, end);
  const path = pathFor(plan, head);
  planStatic(plan, head, path, stat, 1_700_000_000);
  return writeResponse(answers, start, plan, 1_700_000_000);
}

const contenders = {
  'zlr: parse': parse,
  'zlr: parse, cut out the target': parseAndTarget,
  'llhttp in node:http': llhttp(),
  'split text': naive,
  'zlr: parse, plan a file, write the head': answer,
};

/** Runs for some milliseconds and returns CPU nanoseconds per request. */
function measure(contender, length) {
  let count = 0;
  let sum = 0;
  const before = process.cpuUsage();
  const until = performance.now() + MILLISECONDS;
  do {
    for (let slot = 0; slot < SLOTS; slot++) sum += contender(slot * SLOT, slot * SLOT + length);
    count += SLOTS;
  } while (performance.now() < until);
  if (sum === 0) throw new Error('nothing was read');
  const {user, system} = process.cpuUsage(before);
  return ((user + system) * 1000) / count;
}

const results = [];
for (const [request, lines] of Object.entries(requests)) {
  const octets = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  for (let slot = 0; slot < SLOTS; slot++) octets.copy(pool, slot * SLOT);
  const best = new Map();
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, contender] of Object.entries(contenders)) {
      if (contender === undefined) continue;
      best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, measure(contender, octets.length)));
    }
  }
  for (const [name, nanoseconds] of best) {
    results.push({request, octets: octets.length, name, nanoseconds: Math.round(nanoseconds)});
  }
}

if (process.argv.includes('--json')) {
  console.log(JSON.stringify({bench: 'http-parser', node: process.version, results}));
} else {
  for (const {request, octets, name, nanoseconds} of results) {
    const rate = (1000 / nanoseconds).toFixed(2).padStart(6);
    console.log(
      `${request.padEnd(7)}${String(octets).padStart(4)} B  ${name.padEnd(40)}${String(nanoseconds).padStart(6)} ns  ${rate} M/s`,
    );
  }
}
