/*
 * A program that takes units of work through their stages is killed at random instants, over a store in shared memory,
 * and started again: each unit's results are recorded exactly once, and none is lost.
 *
 *   ZLR_SEED=7 npm test -- packages/stages/test/kills.test.ts
 */
import {execFile, spawn} from 'node:child_process';
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {createInterface} from 'node:readline';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import test from 'ava';
import {Random} from '../../../test/support/random.js';
import {ownExample} from '../../hread/test/helpers/example.js';

const KILLS = 30;
const ORDERS = 400_000;
const program = fileURLToPath(new URL('fixtures/orders.mjs', import.meta.url));
const example = fileURLToPath(new URL('../examples/orders.mjs', import.meta.url));

test('units of work that are killed at random instants have their results exactly once', async t => {
  const random = Random.fromEnvironment();
  t.log(`seed ${random.seed}`);
  const name = `stages-kills-${process.pid}`;
  const found = {checking: 0, charging: 0, shipping: 0};
  let kills = 0;
  let isDone = false;
  t.teardown(async () => {
    // With no more orders to accept the program removes its store.
    if (!isDone) await promisify(execFile)(process.execPath, [program, name, '0']);
  });
  for (;;) {
    const child = spawn(process.execPath, [program, name, `${ORDERS}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const closed = once(child, 'close');
    const began = (await lines.next()).value as string;
    const census = JSON.parse(began.replace(/^began /, '')) as typeof found;
    for (const stage of ['checking', 'charging', 'shipping'] as const) found[stage] += census[stage];
    if (kills < KILLS) {
      // The instant is the one thing here that is chosen by time.
      await delay(random.next() * 60);
      child.kill('SIGKILL');
      const [, signal] = await closed;
      t.is(signal, 'SIGKILL', 'there was work left');
      kills++;
      continue;
    }
    const done = (await lines.next()).value as string;
    t.deepEqual(JSON.parse(done.replace(/^done /, '')), {
      accepted: ORDERS,
      checked: ORDERS,
      charged: ORDERS,
      shipped: ORDERS,
      wrong: 0,
      orders: 0,
    });
    t.deepEqual(await closed, [0, null]);
    isDone = true;
    break;
  }
  t.log(`${kills} kills met units at these stages: ${JSON.stringify(found)}`);
  t.true(found.checking + found.charging + found.shipping > 0, 'the kills met work');
});

test('the example of the README is the program in examples/, and runs', async t => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const shown = /```js\n([\s\S]*?)```/.exec(readme)?.[1];
  t.true(readFileSync(example, 'utf8').endsWith(shown ?? 'nothing is shown'));
  const {stdout} = await promisify(execFile)(process.execPath, [ownExample(t, example)]);
  t.is(stdout, 'shipped 5 orders of 1500 in all\n');
});
