// Kills a writer at random instants, opens what it left, and expects the state of a step's boundary and nothing wrong.
// ZLR_KILLS sets how many kills (500 in CI, 5000 in the nightly form), ZLR_SEED the seed.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import {openStore} from '../src/index.js';
import {bundle} from './helpers/bundle.js';
import {canonical, emptyModel, modelOf, Random, schema, step} from './helpers/program.js';
import {freshName, pathOf, SHARED_BACKENDS} from './helpers/stores.js';

const KILLS = Number(process.env['ZLR_KILLS'] ?? 40);
const STEPS = 600; // then a new program: replaying the model grows with the number of its steps

for (const backend of SHARED_BACKENDS)
  test(`${backend}: a writer killed ${KILLS} times at random instants`, async t => {
    t.timeout(KILLS * 15_000 + 60_000); // a busy machine takes ten times as long as an idle one
    const victim = bundle('victim.ts');
    const seed = Number(process.env['ZLR_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    const random = new Random(seed);
    let [undone, steps, name, program] = [0, 0, freshName(), random.below(2 ** 31)];
    let model = emptyModel();
    for (let kill = 0; kill < KILLS; kill++) {
      const child = spawn(process.execPath, [victim, name, backend, String(program)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const closed = once(child, 'close');
      const early = closed.then(([code]) =>
        Promise.reject(new Error(`the victim ended by itself, with ${code}`)),
      );
      await Promise.race([once(createInterface(child.stdout), 'line'), early]);
      await delay(random.next() * 120); // the instant is what is drawn here, nothing is waited for
      child.kill('SIGKILL');
      await closed;
      const store = await openStore({name, backend, ...pathOf(name, backend), schema});
      const where = `seed ${seed}, kill ${kill}, program ${program}, step ${store.root.step}`;
      t.deepEqual(store.check().problems, [], where);
      if (store.info().recovered > 0) undone++;
      steps += store.root.step - model.step;
      while (model.step < store.root.step) model = step(model, program);
      t.deepEqual(canonical(modelOf(store)), canonical(model), where);
      if (model.step < STEPS && kill < KILLS - 1) store.close();
      else {
        store.destroy();
        [model, name, program] = [emptyModel(), freshName(), random.below(2 ** 31)];
      }
    }
    t.true(undone > 0, 'no kill hit a transaction: it proved nothing');
    t.log(`seed ${seed}: ${KILLS} kills in ${steps} steps, ${undone} rolled back`);
  });
