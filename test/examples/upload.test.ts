/*
 * Uploads under random kills: six clients send parts of random length, cut at random, several at a time. Every answer must be the
 * one to that very part, each part be counted once, and no connection end.
 *
 *   ZLR_EXAMPLE_FAULTS=300 ZLR_SEED=7 npm test -- test/examples/upload.test.ts
 */
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {Client} from '../../packages/hread/test/helpers/client.js';
import {Supervised} from '../../packages/hread/test/helpers/supervised.js';
import {Random} from '../support/random.js';

const FAULTS = Number(process.env['ZLR_EXAMPLE_FAULTS'] ?? 40);
const SIGNALS = ['SIGSEGV', 'SIGKILL', 'SIGABRT'] as const;
const program = fileURLToPath(new URL('../../examples/upload/server.mjs', import.meta.url));

function message(bytes: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(bytes.length);
  return Buffer.concat([head, bytes]);
}

/** Takes the answers of a client one by one. */
class Answers {
  readonly client: Client;
  #at = 0;

  constructor(client: Client) {
    this.client = client;
  }

  async next(): Promise<string> {
    await this.client.untilLength(this.#at + 4);
    const length = this.client.bytes.readUInt32BE(this.#at);
    await this.client.untilLength(this.#at + 4 + length);
    const text = this.client.bytes.toString('latin1', this.#at + 4, this.#at + 4 + length);
    this.#at += 4 + length;
    return text;
  }
}

test('each part is taken once, whatever kills the server', async t => {
  const random = Random.fromEnvironment();
  t.log(`seed ${random.seed}, ${FAULTS} faults`);
  const service = await Supervised.start(t, name => [process.execPath, program, '0', name]);
  let isOver = false;
  const uploads: number[] = [];

  const upload = async (n: number): Promise<number> => {
    const own = new Random(random.seed + 1 + n);
    const client = await Client.open(service.port);
    const answers = new Answers(client);
    client.send(message(Buffer.from(`token-${n}`)));
    t.is(await answers.next(), 'welcome');
    let parts = 0;
    while (!isOver) {
      const sizes = Array.from(
        {length: 1 + own.below(4)},
        () => 1 + own.below(own.below(4) === 0 ? 400_000 : 3000),
      );
      const bytes = Buffer.concat([
        ...sizes.map(size => message(Buffer.alloc(size, own.below(256)))),
        message(Buffer.alloc(0)),
      ]);
      const cut = own.below(bytes.length);
      await client.sendPieces([bytes.subarray(0, cut), bytes.subarray(cut)]);
      let sum = '0';
      for (const at of sizes.keys()) {
        const [word, number, next] = (await answers.next()).split(' ');
        t.deepEqual([word, number], ['part', `${at + 1}`]);
        sum = next!;
      }
      const [done, count, last, , number] = (await answers.next()).split(' ');
      t.deepEqual([done, count, last], ['done', `${sizes.length}`, sum]);
      uploads.push(Number(number));
      parts += sizes.length;
    }
    await client.close();
    return parts;
  };
  const uploaders = Array.from({length: 6}, (_, n) => upload(n));
  Promise.all(uploaders).catch(() => {
    isOver = true;
  });

  for (let fault = 0; fault < FAULTS && !isOver; fault++) {
    const {generation, pid} = service;
    if (random.next() < 0.8) await service.until(() => service.serving === generation || generation === 1);
    await delay(random.below(150));
    process.kill(pid, random.pick(SIGNALS));
    await service.until(() => service.generation > generation);
  }
  isOver = true;
  const parts = await Promise.all(uploaders);
  t.log(
    `${parts.reduce((sum, n) => sum + n)} parts in ${uploads.length} uploads over ${service.generation - 1} faults`,
  );
  uploads.sort((a, b) => a - b);
  t.deepEqual(
    uploads,
    Array.from({length: uploads.length}, (_, at) => at + 1),
    'each upload was counted once',
  );
});
