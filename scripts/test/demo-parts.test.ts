import {createHash, randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {type AddressInfo, createServer, type Socket} from 'node:net';
import test, {type ExecutionContext} from 'ava';
import {drawChart, tickStep} from '../demo/chart.mjs';
import {download, longestGap} from '../demo/download.mjs';
import {type Result, SCENARIOS} from '../demo/scenarios.mjs';
import {shortcomings, table} from '../demo/verdict.mjs';

const content = randomBytes(300_000);
const sha256 = createHash('sha256').update(content).digest('hex');
const head = `HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n`;

async function listen(t: ExecutionContext, answer: (socket: Socket) => void) {
  const server = createServer(answer).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  return {host: '127.0.0.1', port: (server.address() as AddressInfo).port};
}

const request = {
  path: '/data.bin',
  signal: new AbortController().signal,
  onBytes: () => {},
  pauseMs: () => 0,
  async send(socket: Socket, text: string) {
    socket.write(text);
  },
};

test('a download notes how many bytes had come when, and what they were', async t => {
  const place = await listen(t, socket => {
    socket.write(head.slice(0, 10));
    socket.write(Buffer.concat([Buffer.from(head.slice(10)), content]));
  });
  const seen: number[] = [];
  const result = await download({...request, ...place, onBytes: bytes => seen.push(bytes)});
  t.is(result.bytes, content.length);
  t.is(result.sha256, sha256);
  t.deepEqual(
    result.arrivals.map(each => each.bytes),
    [0, ...seen],
  );
  t.is(seen.at(-1), content.length);
  t.true(result.arrivals.every((each, index) => each.ms >= (result.arrivals[index - 1]?.ms ?? 0)));
});

test('a slow reader gets all bytes too, and goes on at full speed when it may', async t => {
  const place = await listen(t, socket => socket.end(Buffer.concat([Buffer.from(head), content])));
  let bytes = 0;
  const result = await download({
    ...request,
    ...place,
    onBytes(total) {
      bytes = total;
    },
    pauseMs: () => (bytes < 100_000 ? 2 : 0),
  });
  t.is(result.sha256, sha256);
});

test('a connection that is reset or closed early is an error that says after how many bytes', async t => {
  const part = Buffer.concat([Buffer.from(head), content.subarray(0, 1000)]);
  const resetting = await listen(t, socket => socket.write(part, () => socket.resetAndDestroy()));
  await t.throwsAsync(download({...request, ...resetting}), {
    message: /the connection broke after \d+ bytes/,
  });
  const closing = await listen(t, socket => socket.end(part));
  await t.throwsAsync(download({...request, ...closing}), {
    message: 'the connection was closed after 1000 bytes',
  });
});

test('more bytes than announced, or another answer, are errors', async t => {
  const longer = await listen(t, socket => socket.end(`${head.replace('300000', '5')}123456`));
  await t.throwsAsync(download({...request, ...longer}), {message: '6 bytes came instead of 5'});
  const other = await listen(t, socket => socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'));
  await t.throwsAsync(download({...request, ...other}), {message: /expected: HTTP\/1\.1 404 Not Found/});
});

test('a download ends when it is told to', async t => {
  const place = await listen(t, () => {});
  const controller = new AbortController();
  const running = download({
    ...request,
    ...place,
    signal: controller.signal,
    send: async () => controller.abort(new Error('enough')),
  });
  await t.throwsAsync(running, {message: 'enough'});
});

const arrivals = [
  {ms: 0, bytes: 0},
  {ms: 10, bytes: 5},
  {ms: 200, bytes: 9},
  {ms: 230, bytes: 10},
];

test('the longest gap is found, with what had come before it', t => {
  t.deepEqual(longestGap(arrivals), {fromMs: 10, toMs: 200, bytes: 5});
});

const scenario = SCENARIOS[0]!;
const good: Result = {
  scenario,
  generationBefore: 1,
  generationAfter: 2,
  newFaults: [
    {
      generation: 1,
      class: 'signal',
      signal: 'SIGSEGV',
      exitCode: null,
      at: '',
      downMs: 180.4,
      channels: 2,
      uptimeMs: 900,
      rssBytes: null,
      heapBytes: null,
    },
  ],
  download: {bytes: 10, sha256, arrivals, startMs: 0},
  bytesBefore: 5,
  faultMs: 11,
  gap: longestGap(arrivals),
};
const fault = good.newFaults[0]!;

test('the demo holds only if bytes, generation, class, channels and recovery are as they must be', t => {
  t.deepEqual(shortcomings(good, sha256), []);
  const broken: Result[] = [
    {...good, download: {...good.download, sha256: 'other'}},
    {...good, generationAfter: 1},
    {...good, generationAfter: 3},
    {...good, newFaults: []},
    {...good, newFaults: [fault, fault]},
    {...good, newFaults: [{...fault, signal: 'SIGKILL'}]},
    {...good, newFaults: [{...fault, class: 'exit', signal: null, exitCode: 1}]},
    {...good, newFaults: [{...fault, channels: 1}]},
    {...good, newFaults: [{...fault, downMs: null}]},
  ];
  for (const each of broken) t.is(shortcomings(each, sha256).length, 1);
});

test('the table shows what a reader must know of each fault', t => {
  const row = table([good], sha256).split('\n').at(-1)!;
  t.regex(row, /^SIGSEGV during a download +signal SIGSEGV +1 -> 2 +2 +5 +5 +190 ms +180 ms +equal$/);
  t.regex(table([good], 'other'), /DIFFERENT$/);
});

test('ticks stand at 1, 2 or 5 times a power of ten', t => {
  t.deepEqual(
    [1, 7, 12, 30, 730, 5_000_000].map(max => tickStep(max, 5)),
    [0.2, 2, 5, 10, 200, 1_000_000],
  );
});

test('the chart draws every panel with its fault, its gap and its curve', t => {
  const panel = {title: 'a < b', fault: 'SIGSEGV', arrivals, faultMs: 100, gap: good.gap};
  const svg = drawChart([panel, {...panel, title: 'second'}], 'sub');
  t.regex(svg, /^<svg /);
  t.true(svg.includes('a &lt; b') && svg.includes('second') && svg.includes('longest gap 190 ms'));
  // 250 ms wide and 10 bytes high, in a plot of 350 x 210.
  t.true(svg.includes('d="M0.0 210.0H14.0V105.0H280.0V21.0H322.0V0.0"'));
  t.is(svg.match(/stroke-dasharray/g)?.length, 2);
});
