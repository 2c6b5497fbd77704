/*
 * 32 clients with random work against an ordinary node:http program, whose process is killed again and again at random
 * instants, also while another boots. Every answer must be exact. No connection may be cut but one for each that the program
 * says it has reset, and only in a large answer (docs/drop-in.md says when).
 *
 *   ZLR_DROPIN_FAULTS=500 ZLR_SEED=7 npm test -- test/dropin/torture.test.ts
 */
import {createHash} from 'node:crypto';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {KeptProgram} from '../support/kept-program.js';
import {Random} from '../support/random.js';
import {textOf} from '../support/text.js';
import {Cut, Wire} from '../support/wire.js';

const FAULTS = Number(process.env['ZLR_DROPIN_FAULTS'] ?? 60);
const CLIENTS = 32;
const PROGRAM = fileURLToPath(new URL('../fixtures/http-app.cjs', import.meta.url));
const SIGNALS = ['SIGKILL', 'SIGSEGV', 'SIGABRT'] as const;
const KINDS = [
  'whole',
  'whole',
  'json',
  'json',
  'late',
  'length',
  'chunks',
  'rechunk',
  'echo',
  'chunked',
  'pipe',
  'close',
];
const SIZES = [1, 12, 1000, 10_240, 30_000, 70_000];
const LARGE = [300_000, 900_000];

class Wrong extends Error {}
class CutInLarge extends Error {}

function expect(is: boolean, what: string): void {
  if (!is) throw new Wrong(what);
}

/** One exchange; resolves with whether the connection can take another. */
async function exchange(wire: Wire, seed: string, random: Random): Promise<boolean> {
  const kind = random.pick(KINDS);
  const ms = random.pick([0, 1, 5, 20]);
  const size = random.pick(
    kind === 'whole' || kind === 'late'
      ? [...SIZES, ...LARGE]
      : kind === 'rechunk'
        ? SIZES.slice(0, 4)
        : SIZES,
  );
  const what = `${kind} ${seed} ${size}`;
  if (kind === 'json') {
    wire.get(`/json/${seed}`);
    const {status, body} = await wire.answer();
    expect(status === 200 && body.toString() === JSON.stringify({seed, text: `${textOf(seed, 500)}`}), what);
  } else if (kind === 'pipe') {
    const count = 2 + random.below(4);
    const paths = Array.from(
      {length: count},
      (_, at) => `/whole/${seed}.${at}/${100 + at}/${random.pick([0, 3, 10])}`,
    );
    wire.write(paths.map(path => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''));
    for (let at = 0; at < count; at++) {
      const {status, body} = await wire.answer();
      expect(
        status === 200 && body.equals(textOf(`${seed}.${at}`, 100 + at)),
        `${what}.${at}: ${status} ${body}`,
      );
    }
  } else if (kind === 'echo' || kind === 'chunked') {
    const data = textOf(seed, random.pick([10, 3000, 20_000, 50_000]));
    const framing = kind === 'echo' ? `Content-Length: ${data.length}` : 'Transfer-Encoding: chunked';
    const parts: Buffer[] = [];
    for (let at = 0; kind === 'chunked' && at < data.length; at += 777) {
      const part = data.subarray(at, at + 777);
      parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'));
    }
    const body = kind === 'echo' ? data : Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
    const message = Buffer.concat([
      Buffer.from(`POST /echo HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n`),
      body,
    ]);
    const cut = random.below(message.length);
    wire.write(message.subarray(0, cut));
    await delay(random.pick([0, 0, 5, 30]));
    wire.write(message.subarray(cut));
    const answer = await wire.answer();
    const sha = createHash('sha256').update(data).digest('hex');
    expect(
      answer.status === 200 && answer.body.toString() === `${data.length} ${sha}`,
      `${what}: ${answer.status} ${answer.body}`,
    );
  } else {
    const path =
      kind === 'late'
        ? `/whole/${seed}/${size}/${ms}`
        : `/${kind === 'close' ? 'length' : kind}/${seed}/${size}${kind === 'whole' ? '' : `/${ms}`}`;
    wire.get(path, kind === 'close' ? 'Connection: close\r\n' : '');
    const pause = random.next() < 0.1 ? random.below(20) : 0;
    const {status, body} = await wire
      .answer({pace: () => (pause ? delay(pause) : Promise.resolve())})
      .catch(error => {
        throw error instanceof Cut && LARGE.includes(size) ? new CutInLarge() : error;
      });
    const right = textOf(seed, size);
    let wrong = 0;
    while (wrong < right.length && body[wrong] === right[wrong]) wrong++;
    expect(
      status === 200 && body.equals(right),
      `${what}: ${status}, ${body.length} bytes, wrong from ${wrong}`,
    );
    if (kind === 'close') await wire.ended();
  }
  expect(wire.unread === 0, `${what}: ${wire.unread} bytes more`);
  return kind !== 'close';
}

interface Lived {
  answers: number;
  cuts: number;
}

async function live(port: number, client: number, random: Random, isOver: () => boolean): Promise<Lived> {
  let answers = 0;
  let cuts = 0;
  while (!isOver()) {
    const wire = await Wire.open(port);
    for (let rounds = 1 + random.below(30), more = true; more && rounds > 0 && !isOver(); rounds--) {
      const seed = `${client}-${answers}`;
      try {
        more = await exchange(wire, seed, random);
      } catch (error) {
        if (error instanceof CutInLarge) {
          cuts++;
          break;
        }
        throw new Error(`client ${client}, ${seed}: ${(error as Error).message}`, {cause: error});
      }
      answers++;
    }
    wire.close();
  }
  return {answers, cuts};
}

test('kills under load: every answer of a node:http program is exact, and no connection is cut', async t => {
  const random = Random.fromEnvironment();
  t.log(`seed ${random.seed}, ${FAULTS} faults`);
  const program = await KeptProgram.start(PROGRAM, ['--rerun', 'all', '--attempts', '1000']);
  t.teardown(() => program.stop());

  let isOver = false;
  let failed = false;
  const clients = Array.from({length: CLIENTS}, (_, index) =>
    live(program.port, index, new Random(random.seed + 1 + index), () => isOver || failed),
  );
  for (const client of clients) client.catch(() => (failed = true));

  let inBoot = 0;
  for (let faults = 0; faults < FAULTS && !failed; faults++) {
    if (random.next() < 0.8) {
      await program.until(() => program.isListening);
      await delay(random.below(800));
    } else {
      await delay(random.below(200));
      if (!program.isListening) inBoot++;
    }
    await program.kill(random.pick(SIGNALS));
  }
  isOver = true;
  const lived = await Promise.all(clients).catch(error => {
    t.log(program.log.slice(-20).join('\n'));
    throw error;
  });
  const cuts = lived.reduce((sum, each) => sum + each.cuts, 0);
  const told = program.log.join('\n').matchAll(/(\d+) reset \(a large answer was cut/g);
  const resets = [...told].reduce((sum, [, count]) => sum + Number(count), 0);
  t.true(cuts <= resets, `${cuts} connections were cut, ${resets} were said to be reset`);
  t.log(`${resets} connections reset in a large answer`);
  t.log(
    `${lived.reduce((sum, each) => sum + each.answers, 0)} answers checked, ${program.generation - 1} faults, ${inBoot} of them in a boot`,
  );
  t.true(program.generation > FAULTS);
});
