// Random programs over every type and collection agree with a model of plain objects, and check() finds nothing.
import test from 'ava';
import {openStore} from '../src/index.js';
import {canonical, emptyModel, modelOf, schema, step} from './helpers/program.js';
import {BACKENDS, fresh, pathOf} from './helpers/stores.js';

for (const backend of BACKENDS)
  test(`${backend}: 12 random programs of 150 transactions agree with the model`, async t => {
    for (let i = 0; i < 12; i++) {
      const seed = Math.floor(Math.random() * 2 ** 31);
      const store = await fresh(t, backend, schema, {size: '4MB'});
      let model = emptyModel();
      for (let k = 0; k < 150; k++) {
        model = step(model, seed, store);
        if (k % 10 === 9)
          t.deepEqual(canonical(modelOf(store)), canonical(model), `seed ${seed}, step ${model.step}`);
      }
      t.deepEqual(store.check(), {ok: true, problems: []}, `seed ${seed}`);
      const {name} = store.info();
      store.close();
      const again = await openStore({name, backend, ...pathOf(name, backend), schema});
      t.deepEqual(canonical(modelOf(again)), canonical(model), `seed ${seed}, opened again`);
      t.is(again.info().recovered, 0);
      again.destroy();
    }
  });
