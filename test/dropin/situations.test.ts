/*
 * What a client sees of an ordinary node:http program (test/fixtures/http-app.cjs) whose process is killed at a chosen moment: a test
 * for each situation. Each waits until the moment is there, by what has come over the wire.
 */
import {createHash} from 'node:crypto';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {listCapsules, readCapsule} from '../../packages/hread/dist/index.js';
import {KeptProgram} from '../support/kept-program.js';
import {textOf} from '../support/text.js';
import {type Answer, Cut, Wire} from '../support/wire.js';

const PROGRAM = fileURLToPath(new URL('../fixtures/http-app.cjs', import.meta.url));

const capsules = mkdtempSync(join(tmpdir(), 'zlr-capsules-'));
let all: KeptProgram;
let idempotent: KeptProgram;

test.before(async () => {
  [all, idempotent] = await Promise.all([
    KeptProgram.start(PROGRAM, ['--rerun', 'all', '--attempts', '2'], {ZLR_CAPSULES: capsules}),
    KeptProgram.start(PROGRAM),
  ]);
});
test.after.always(async t => {
  t.deepEqual(await Promise.all([all.stop(), idempotent.stop()]), [0, 0]);
  rmSync(capsules, {recursive: true});
});

const sha = (bytes: Buffer): string => `${bytes.length} ${createHash('sha256').update(bytes).digest('hex')}`;

/** The program has begun with what was sent before: it answers in order, on another connection too. */
async function begun(program: KeptProgram): Promise<void> {
  const other = await Wire.open(program.port);
  other.get('/pid');
  await other.answer();
  other.close();
}

async function get(wire: Wire, path: string): Promise<Answer> {
  wire.get(path);
  return wire.answer();
}

test.serial(
  'a request that is being worked on is answered by the next generation, at the same port',
  async t => {
    const wire = await Wire.open(all.port);
    const {port} = all;
    wire.get('/whole/a/1000/300');
    await begun(all);
    await all.replace();
    t.deepEqual((await wire.answer()).body, textOf('a', 1000));
    t.is(all.port, port, 'port 0 was asked for both times');
    const {body} = await get(wire, '/pid');
    t.is(Number(body), all.pid, 'and the connection goes on');
    wire.close();
  },
);

for (const [kind, kills] of [
  ['chunks', 1],
  ['length', 2],
  ['rechunk', 2],
] as const) {
  test.serial(`an answer that is half sent goes on at its next byte: ${kind}, ${kills} kills`, async t => {
    const wire = await Wire.open(all.port);
    wire.get(`/${kind}/b/40960/${kind === 'rechunk' ? 20 : 150}`);
    for (let kill = 1; kill <= kills; kill++) {
      await wire.until(kill * 11_000);
      await all.replace();
    }
    t.deepEqual((await wire.answer()).body, textOf('b', 40_960));
    t.is(wire.unread, 0);
    t.is((await get(wire, '/json/c')).status, 200);
    wire.close();
  });
}

test.serial('3 MB in one write, to a reader who has stalled', async t => {
  const wire = await Wire.open(all.port);
  wire.get('/whole/d/3000000');
  await wire.until(1);
  await all.replace();
  t.true((await wire.answer()).body.equals(textOf('d', 3_000_000)));
  t.is(wire.unread, 0);
  wire.close();
});

test.serial('a request whose body has come in half', async t => {
  const body = textOf('e', 20_000);
  const wire = await Wire.open(all.port);
  wire.write(`POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`);
  wire.write(body.subarray(0, 9000));
  await begun(all);
  await all.replace();
  wire.write(body.subarray(9000));
  t.is((await wire.answer()).body.toString(), sha(body));
  wire.close();
});

test.serial('a chunked request, cut in its data and in a size, through two kills', async t => {
  const body = textOf('f', 20_000);
  const wire = await Wire.open(all.port);
  wire.write('POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n');
  wire.write(body.subarray(0, 3000));
  await begun(all);
  await all.replace();
  wire.write(body.subarray(3000, 5000));
  wire.write('\r\n3a');
  await begun(all);
  await all.replace();
  wire.write('98\r\n');
  wire.write(body.subarray(5000));
  wire.write('\r\n0\r\n\r\n');
  t.is((await wire.answer()).body.toString(), sha(body));
  wire.close();
});

test.serial('100 Continue is not said twice', async t => {
  const body = textOf('g', 5000);
  const wire = await Wire.open(all.port);
  wire.write('POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n');
  t.is((await wire.head()).status, 100);
  wire.write(body.subarray(0, 100));
  await begun(all);
  await all.replace();
  wire.write(body.subarray(100));
  const answer = await wire.answer();
  t.is(answer.status, 200);
  t.is(answer.body.toString(), sha(body));
  wire.close();
});

test.serial('pipelined requests, after the first answer', async t => {
  const wire = await Wire.open(all.port);
  const times = [0, 300, 400, 10];
  for (const [at, ms] of times.entries()) wire.get(`/whole/h${at}/3000/${ms}`);
  t.deepEqual((await wire.answer()).body, textOf('h0', 3000));
  await all.replace();
  for (const at of [1, 2, 3]) t.deepEqual((await wire.answer()).body, textOf(`h${at}`, 3000));
  wire.close();
});

test.serial('an idle connection can be used again; one that is not ends without a byte', async t => {
  const wires = await Promise.all(Array.from({length: 10}, () => Wire.open(all.port)));
  for (const wire of wires) await get(wire, '/json/i');
  await all.replace();
  const used = wires.filter((_, at) => at % 2 === 0);
  for (const wire of used) t.is((await get(wire, '/json/i')).status, 200);
  for (const wire of wires) if (!used.includes(wire)) t.is(await wire.ended(), 'it ended'); // the server's keepAliveTimeout, 5 s
  for (const wire of wires) wire.close();
});

test.serial('a client that connects while nobody is there', async t => {
  await all.kill();
  const wire = await Wire.open(all.port);
  t.is((await get(wire, '/json/j')).status, 200);
  await all.until(() => all.isListening);
  wire.close();
});

test.serial('Connection: close: the end comes behind the last byte', async t => {
  const wire = await Wire.open(all.port);
  wire.get('/length/k/30000/150', 'Connection: close\r\n');
  await wire.until(11_000);
  await all.replace();
  t.deepEqual((await wire.answer()).body, textOf('k', 30_000));
  t.is(await wire.ended(), 'it ended');
  wire.close();
});

test.serial('HEAD, and what follows it', async t => {
  const wire = await Wire.open(all.port);
  wire.write('HEAD /length/l/1000/300 HTTP/1.1\r\nHost: x\r\n\r\n');
  wire.get('/json/l');
  await begun(all);
  await all.replace();
  t.is((await wire.answer({toHead: true})).fields.get('content-length'), '1000');
  t.is((await wire.answer()).status, 200);
  wire.close();
});

test.serial(
  'an upload beyond the hold is answered 503; once it is answered, the connection is safe again',
  async t => {
    const body = textOf('m', 300_000);
    const lost = await Wire.open(all.port);
    lost.write(`POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`);
    lost.write(body.subarray(0, 200_000));
    await begun(all);
    await all.replace();
    const {status, fields} = await lost.answer();
    t.deepEqual([status, fields.get('retry-after'), fields.get('connection')], [503, '1', 'close']);
    await lost.ended();
    lost.close();

    const wire = await Wire.open(all.port);
    wire.post('/echo', body);
    t.is((await wire.answer()).body.toString(), sha(body));
    wire.get('/whole/m/100/300');
    await begun(all);
    await all.replace();
    t.deepEqual((await wire.answer()).body, textOf('m', 100));
    wire.close();
  },
);

test.serial('an answer that came before all of its request: the next request is safe', async t => {
  const wire = await Wire.open(all.port);
  wire.write(`POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(1000)}`);
  t.is((await wire.answer()).status, 413);
  wire.write('x'.repeat(99_000));
  wire.get('/whole/n/300/300');
  await begun(all);
  await all.replace();
  t.deepEqual((await wire.answer()).body, textOf('n', 300));
  wire.close();
});

test.serial(
  'a program that answers otherwise: the connection is reset, nothing mixed is delivered',
  async t => {
    const wire = await Wire.open(all.port);
    wire.get('/random/o/30000/30');
    await wire.until(5000);
    await all.replace();
    const error = await t.throwsAsync(wire.answer(), {instanceOf: Cut});
    t.regex(error.message, /ECONNRESET/);
    await all.until(() =>
      all.log.some(line => /came out otherwise \(its body, within its first \d+ bytes\)/.test(line)),
    );
    wire.close();
  },
);

test.serial(
  'a request that ends every generation is set aside, and those beside it, slow ones too, are answered',
  async t => {
    const idle = await Wire.open(all.port);
    await get(idle, '/json/p');
    const {generation} = all;
    const slow = await Promise.all(Array.from({length: 6}, () => Wire.open(all.port)));
    for (const [at, wire] of slow.entries()) wire.get(`/whole/slow${at}/1000/${200 + 50 * at}`);
    await begun(all);
    const killer = await Wire.open(all.port);
    killer.get('/die');
    // Who comes while suspects are tried is served behind that.
    const late = all.until(() => all.generation === generation + 2).then(() => Wire.open(all.port));
    const lateAnswer = late.then(wire => get(wire, '/whole/late/1000/10'));
    t.is((await killer.answer()).status, 500);
    await killer.ended();
    for (const [at, wire] of slow.entries())
      t.deepEqual((await wire.answer()).body, textOf(`slow${at}`, 1000));
    t.deepEqual((await lateAnswer).body, textOf('late', 1000));
    await all.until(() => all.isListening);
    t.is(all.generation, generation + 3, 'once, again, and once more alone: --attempts 2');
    t.is((await get(idle, '/json/p')).status, 200);
    t.is((await get(slow[0]!, '/pid')).body.toString(), String(all.pid));
    const [capsule, ...others] = listCapsules(capsules).map(readCapsule);
    t.deepEqual(others, []);
    t.is(capsule!.unit.toString(), 'GET /die HTTP/1.1\r\nHost: wire\r\n\r\n');
    t.regex(await all.zlr('status'), /, 1 set aside, /);
    for (const wire of [idle, killer, await late, ...slow]) wire.close();
  },
);

test.serial('what is set aside counts no more towards giving the service up', async t => {
  const strict = await KeptProgram.start(PROGRAM, ['--threshold', '60', '--attempts', '1'], {
    ZLR_CAPSULES: capsules,
  });
  for (let killers = 1; killers <= 4; killers++) {
    const killer = await Wire.open(strict.port);
    killer.get('/die');
    t.is((await killer.answer()).status, 500);
    killer.close();
    await strict.until(() => strict.isListening);
  }
  t.is(strict.generation, 9, 'eight faults, each within the threshold');
  t.is(await strict.stop(), 0);
});

test.serial('an upgraded connection passes by, and ends with its process', async t => {
  const wire = await Wire.open(all.port);
  wire.write('GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  t.is((await wire.head()).status, 101);
  wire.write('GET / HTTP/1.1\r\n\r\nand no HTTP');
  t.is((await wire.take(29)).toString(), 'GET / HTTP/1.1\r\n\r\nand no HTTP');
  await all.replace();
  await t.throwsAsync(wire.take(1), {instanceOf: Cut});
  wire.close();
});

test.serial(
  'by default POST is not run again: 503 where nothing was sent, cut where something was',
  async t => {
    const nothing = await Wire.open(idempotent.port);
    nothing.write('POST /whole/q/10/300 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n');
    const some = await Wire.open(idempotent.port);
    some.write('POST /length/q/40000/100 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n');
    const keyed = await Wire.open(idempotent.port);
    keyed.write(
      'POST /whole/q/10/300 HTTP/1.1\r\nHost: x\r\nIdempotency-Key: "1"\r\nContent-Length: 0\r\n\r\n',
    );
    const read = await Wire.open(idempotent.port);
    read.get('/whole/q/10/300');
    await some.until(5000);
    await idempotent.replace();
    const {status, fields} = await nothing.answer();
    t.deepEqual([status, fields.get('retry-after')], [503, '1']);
    await t.throwsAsync(some.answer(), {instanceOf: Cut});
    t.deepEqual((await keyed.answer()).body, textOf('q', 10));
    t.deepEqual((await read.answer()).body, textOf('q', 10));
    for (const wire of [nothing, some, keyed, read]) wire.close();
  },
);

test.serial(
  'what is refused is refused by the next generation too, when that one is killed at once',
  async t => {
    const wire = await Wire.open(idempotent.port);
    wire.write('POST /whole/r/10/5000 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n');
    await begun(idempotent);
    await idempotent.kill();
    await idempotent.replace();
    t.is((await wire.answer()).status, 503);
    t.is(wire.unread, 0);
    wire.close();
  },
);

test.serial('zlr status counts what became of requests', async t => {
  const wire = await Wire.open(all.port);
  const before = JSON.parse(await all.zlr('status', '--json')).http;
  wire.get('/chunks/s/40960/100');
  await wire.until(11_000);
  await all.replace();
  await wire.answer();
  const {http} = JSON.parse(await all.zlr('status', '--json'));
  t.deepEqual(http, {...before, runAgain: before.runAgain + 1, resumed: before.resumed + 1});
  t.regex(
    await all.zlr('status'),
    /^ {2}HTTP: \d+ requests run again, \d+ answers resumed, \d+ refused, \d+ set aside, \d+ connections? reset$/m,
  );
  wire.close();
});
