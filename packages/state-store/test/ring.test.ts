// A ring keeps its values and goes on counting, however often it is made larger or smaller.
import {execFileSync} from 'node:child_process';
import {rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import fc from 'fast-check';
import {openStore, t as ty} from '../src/index.js';
import {freshName} from './helpers/stores.js';

const action = fc.oneof(
  fc.record({push: fc.nat(12)}),
  fc.record({capacity: fc.integer({min: 1, max: 9})}),
  fc.constant({compact: true as const}),
);

test('a ring of any history of capacities has the last values pushed, and knows how many there were', async t => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, {maxLength: 12}), async actions => {
      const name = freshName();
      let capacity = 3;
      let values: string[] = [];
      let pushed = 0;
      const open = (compact = false) => {
        const schema = {ring: ty.ring(ty.string(), capacity)};
        const drop = values.length > capacity ? [`ring[${capacity}..]`] : [];
        return openStore({name, backend: 'memory', size: '64KB', compact, drop, schema});
      };
      let store = await open();
      for (const act of actions) {
        if ('push' in act)
          for (let i = 0; i < act.push; i++) {
            store.root.ring.push(`value ${pushed}`);
            values.push(`value ${pushed++}`);
          }
        else {
          store.close();
          if ('capacity' in act) capacity = act.capacity;
          store = await open('compact' in act);
        }
        values = values.slice(-capacity);
        const {ring} = store.root;
        t.deepEqual([...ring], values);
        t.is(ring.pushed, pushed);
        t.is(ring.length, values.length);
        t.is(ring.at(-1), values.at(-1));
        t.is(ring.at(0), values[0]);
        t.deepEqual(store.check().problems, []);
      }
      store.destroy();
    }),
    {numRuns: 60},
  );
});

test('what a smaller ring had let go is not there for those who read the format either; undone with the push', async t => {
  const path = join(tmpdir(), `${freshName()}.store`);
  t.teardown(() => rmSync(path, {force: true}));
  const place = {name: 'ring', backend: 'file', path, size: '64KB'} as const;
  const small = await openStore({...place, schema: {ring: ty.ring(ty.u8, 2)}});
  for (let n = 1; n <= 5; n++) small.root.ring.push(n);
  small.close();
  const large = await openStore({...place, schema: {ring: ty.ring(ty.u8, 4)}});
  const script = fileURLToPath(new URL('../../../docs/state-store/read-segment.mjs', import.meta.url));
  const read = () => JSON.parse(execFileSync(process.execPath, [script, path], {encoding: 'utf8'})).ring;
  t.deepEqual(read(), [4, 5]);
  t.throws(() =>
    large.transaction(() => {
      large.root.ring.push(6);
      t.deepEqual([...large.root.ring], [4, 5, 6]);
      throw new Error('no');
    }),
  );
  t.deepEqual([...large.root.ring], [4, 5]);
  for (let n = 6; n <= 8; n++) large.root.ring.push(n);
  t.deepEqual(read(), [5, 6, 7, 8]);
  large.destroy();
});
