// What a map remembers of the keys it was asked for must be right after whatever ended them, and keep nothing else alive.
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import test from 'ava';
import {struct, t as ty} from '../src/index.js';
import {fresh} from './helpers/stores.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

test('a key that was asked for is gone when its entry is: deleted, cleared, undone', async t => {
  const Row = struct('Row', {hits: ty.u32});
  const store = await fresh(t, 'memory', {
    rows: ty.map(ty.string(), Row),
    counts: ty.map(ty.string(), ty.u32),
  });
  const {rows, counts} = store.root;
  const undone = (work: () => void) =>
    t.throws(() =>
      store.transaction(() => {
        work();
        throw new Error('undo');
      }),
    );
  for (const key of ['a', 'b']) {
    rows.set(key, {hits: 1});
    counts.set(key, 1);
  }
  t.is(rows.get('a'), rows.get('a'), 'the same record each time');
  t.is(counts.get('a'), 1);

  rows.delete('a');
  counts.delete('a');
  rows.set('c', {hits: 3}); // takes the slot of a
  counts.set('c', 3);
  t.deepEqual([rows.get('a'), counts.get('a')], [undefined, undefined]);
  t.deepEqual([rows.has('a'), counts.has('a')], [false, false]);
  t.deepEqual([rows.get('c')?.hits, counts.get('c')], [3, 3]);

  undone(() => {
    rows.set('d', {hits: 4});
    counts.set('d', 4);
    t.deepEqual([rows.get('d')?.hits, counts.get('d')], [4, 4]);
  });
  rows.set('e', {hits: 5});
  counts.set('e', 5);
  t.deepEqual([rows.get('d'), counts.get('d')], [undefined, undefined]);

  undone(() => {
    rows.delete('b');
    counts.delete('b');
    t.deepEqual([rows.get('b'), counts.get('b')], [undefined, undefined]);
  });
  t.deepEqual([rows.get('b')?.hits, counts.get('b')], [1, 1], 'back again');

  rows.clear();
  counts.clear();
  t.deepEqual(
    [rows.get('b'), counts.get('b'), rows.has('c'), counts.has('c')],
    [undefined, undefined, false, false],
  );
  store.close();
  t.throws(() => rows.get('b'), {code: 'ERR_CLOSED'});
  t.throws(() => counts.get('b'), {code: 'ERR_CLOSED'});
});

test('a key cut out of a long text does not keep the text', async t => {
  const store = await fresh(t, 'memory', {counts: ty.map(ty.string(), ty.u32)});
  const {counts} = store.root;
  for (let i = 0; i < 100; i++) counts.set(`a key of a request, ${i}`, i);
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 100; i++) {
    const request = Buffer.from(`${'x'.repeat(1e6)}a key of a request, ${i}`).toString('latin1');
    t.is(counts.get(request.slice(1e6)), i);
  }
  collect();
  const grown = process.memoryUsage().heapUsed - before;
  t.true(grown < 20e6, `${Math.round(grown / 1e6)} MB of 100 were kept`);
});
