/*
 * The chat under random kills: eight clients in two rooms talk all the while. Each client must receive every line of its
 * room from its joining on exactly once and in order, and each line that was sent must have been said exactly once.
 *
 *   ZLR_EXAMPLE_FAULTS=300 ZLR_SEED=7 npm test -- test/examples/chat.test.ts
 */
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {Client} from '../../packages/hread/test/helpers/client.js';
import {Supervised} from '../../packages/hread/test/helpers/supervised.js';
import {Random} from '../support/random.js';

const FAULTS = Number(process.env['ZLR_EXAMPLE_FAULTS'] ?? 60);
const SIGNALS = ['SIGSEGV', 'SIGKILL', 'SIGABRT'] as const;
const program = fileURLToPath(new URL('../../examples/chat/server.mjs', import.meta.url));

test('lines are said once and come to everybody once, whatever kills the chat', async t => {
  const random = Random.fromEnvironment();
  t.log(`seed ${random.seed}, ${FAULTS} faults`);
  const service = await Supervised.start(t, name => [process.execPath, program, '0', name]);
  let isOver = false;

  const talk = async (n: number): Promise<{room: string; nick: string; said: number; client: Client}> => {
    const own = new Random(random.seed + 1 + n);
    const [room, nick] = [`room${n % 2}`, `nick${n}`];
    const client = await Client.open(service.port);
    client.send(`join ${room} ${nick}\n`);
    await client.untilText(`joined ${room}\n`);
    let said = 0;
    while (!isOver) {
      const batch = Array.from(
        {length: 1 + own.below(5)},
        () => `say line ${++said} ${'x'.repeat(own.below(200))}\n`,
      );
      const text = batch.join('');
      const cut = own.below(text.length);
      await client.sendPieces([text.slice(0, cut), text.slice(cut)]);
      await client.untilText(`${nick}: line ${said} `);
      await delay(own.below(5));
    }
    return {room, nick, said, client};
  };
  const talkers = Array.from({length: 8}, (_, n) => talk(n));
  const failed = Promise.all(talkers).then(
    () => {},
    (error: Error) => {
      isOver = true;
      throw error;
    },
  );
  failed.catch(() => {});

  for (let fault = 0; fault < FAULTS && !isOver; fault++) {
    const {generation, pid} = service;
    if (random.next() < 0.8) await service.until(() => service.serving === generation || generation === 1);
    await delay(random.below(100));
    process.kill(pid, random.pick(SIGNALS));
    await service.until(() => service.generation > generation);
  }
  isOver = true;
  const results = await Promise.all(talkers);

  let lines = 0;
  for (const room of ['room0', 'room1']) {
    const members = results.filter(each => each.room === room);
    const total = members.reduce((sum, {said}) => sum + said, 0);
    lines += total;
    await Promise.all(members.map(({client}) => client.untilText(`${room} ${total} `)));
    await Promise.all(
      members.map(({client}) => client.until(() => client.text.endsWith('\n'), 'the rest of a line')),
    );
    // The last line counts them all, so none was said twice; the first number that one hears is that of his joining.
    for (const {client, nick, said} of members) {
      const heard = client.text.split('\n').filter(line => line.startsWith(`${room} `));
      const numbers = heard.map(line => Number(line.split(' ')[1]));
      const first = numbers[0]!;
      t.deepEqual(
        numbers,
        Array.from({length: total - first + 1}, (_, at) => first + at),
        nick,
      );
      const mine = heard
        .filter(line => line.includes(` ${nick}: line `))
        .map(line => Number(line.split(' ')[4]));
      t.deepEqual(
        mine,
        Array.from({length: said}, (_, at) => at + 1),
        nick,
      );
      t.is(client.text.split('\n').filter(line => line === 'welcome').length, 1);
    }
  }
  t.log(`${lines} lines over ${service.generation - 1} faults`);
  t.is(service.generation, FAULTS + 1);
  await Promise.all(results.map(({client}) => client.close()));
});
