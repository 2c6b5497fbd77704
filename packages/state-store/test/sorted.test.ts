/* What has no place in the order of a sorted map is no key of it, and must not be taken for one that is. */

import test from 'ava';
import {struct, t as ty} from '../src/index.js';
import {BACKENDS, fresh} from './helpers/stores.js';

const Job = struct('Job', {name: ty.string()});
const schema = {
  times: ty.sorted(ty.timestamp, Job),
  words: ty.sorted(ty.string(), ty.u8),
  short: ty.sorted(ty.string(8), ty.u8),
  raw: ty.sorted(ty.bytes(), ty.u8),
  wide: ty.sorted(ty.i64, ty.u8),
  numbers: ty.sorted(ty.f64, ty.u8),
  rounded: ty.sorted(ty.f32, ty.u8),
};

for (const backend of BACKENDS) {
  test(`${backend}: what is no key finds nothing, deletes nothing and replaces nothing`, async t => {
    const store = await fresh(t, backend, schema);
    const {times, words, short, raw, wide, numbers} = store.root;
    times.set(new Date(5), {name: 'five'}).set(new Date(7), {name: 'seven'});
    words.set('a', 1).set('b', 2);
    short.set('a', 1).set('b', 2);
    raw.set(Buffer.from('a'), 1).set(Buffer.from('b'), 2);
    wide.set(1n, 1).set(2n, 2);
    numbers.set(1, 1).set(2, 2);
    const before = store.toJSON();
    const strangers = [undefined, null, Number.NaN, {}, new Date(Number.NaN)] as never[];
    for (const map of [times, words, short, raw, wide, numbers])
      for (const key of [...strangers, (map === words || map === short ? 1 : 'x') as never]) {
        t.is(map.get(key), undefined);
        t.false(map.has(key));
        t.false(map.delete(key));
        t.throws(() => map.set(key, {} as never), {code: 'ERR_VALUE', message: /its key/});
        if (key !== undefined)
          t.throws(() => [...map.range({gte: key})], {code: 'ERR_VALUE', message: /its key/});
      }
    t.deepEqual(store.toJSON(), before);
    t.deepEqual(store.check().problems, []);
  });

  test(`${backend}: a time is a key as a Date and as its milliseconds`, async t => {
    const store = await fresh(t, backend, schema);
    const {times} = store.root;
    times.set(5, {name: 'five'}).set(new Date(7), {name: 'seven'});
    t.is(times.get(new Date(5))?.name, 'five');
    t.is(times.get(7)?.name, 'seven');
    t.true(times.has(5));
    t.deepEqual(
      [...times.range({lte: 6})].map(([at]) => at),
      [new Date(5)],
    );
    t.deepEqual(
      [...times.range({gt: new Date(5), lt: Number.POSITIVE_INFINITY})].map(([at]) => at),
      [new Date(7)],
    );
    t.true(times.delete(5));
    t.is(times.size, 1);
    t.deepEqual(store.check().problems, []);
  });

  test(`${backend}: a key that is stored rounded is found as it was given`, async t => {
    const store = await fresh(t, backend, schema);
    const {rounded} = store.root;
    rounded.set(0.1, 1).set(0.1, 2);
    t.is(rounded.size, 1);
    t.is(rounded.get(0.1), 2);
    t.deepEqual([...rounded.range({gte: 0.1, lte: 0.1})].length, 1);
    t.true(rounded.delete(0.1));
    t.deepEqual(store.check().problems, []);
  });
}
