// A dump goes from any backend to any other; one that is damaged makes no store and throws nothing but a StoreError.
import {gunzipSync, gzipSync} from 'node:zlib';
import test from 'ava';
import {dumpStore, loadStore, openStore, StoreError, struct, t as ty} from '../src/index.js';
import {at} from '../src/segment/header.js';
import {BACKENDS, fresh, freshName, pathOf} from './helpers/stores.js';

const Row = struct('Row', {x: ty.u32, name: ty.string()});
const schema = {rows: ty.table(Row), texts: ty.map(ty.string(), ty.string())};

for (const from of BACKENDS)
  for (const to of BACKENDS)
    test(`from ${from} to ${to}, also out of a transaction, of which it has nothing`, async t => {
      const store = await fresh(t, from, schema);
      for (let x = 0; x < 50; x++) {
        store.root.rows.insert({x, name: 'n'.repeat(x)});
        store.root.texts.set(`key ${x}`, 'v'.repeat(100));
      }
      const content = JSON.stringify(store);
      let dump: Buffer | undefined;
      store.transaction(() => {
        for (const row of store.root.rows) store.root.rows.remove(row);
        for (let x = 0; x < 50; x++) store.root.texts.set(`key ${x}`, 'w'.repeat(100));
        dump = dumpStore(store);
      });
      const place = {name: freshName(), backend: to};
      await loadStore(dump!, {...place, ...pathOf(place.name, to)});
      const loaded = await openStore({...place, ...pathOf(place.name, to), schema});
      t.is(JSON.stringify(loaded), content);
      t.deepEqual(loaded.check().problems, []);
      loaded.destroy();
    });

test('a dump that is no dump, or damaged, makes no store', async t => {
  const store = await fresh(t, 'memory', schema);
  for (let x = 0; x < 50; x++) store.root.rows.insert({x, name: 'n'.repeat(x)});
  const dump = dumpStore(store);
  const whole = gunzipSync(dump);
  const changed = (offset: number, value: number) => {
    const copy = Buffer.from(whole);
    copy.writeUInt32LE(value, offset);
    return gzipSync(copy);
  };
  const damaged: Record<string, Uint8Array> = {
    'no gzip': Buffer.from('no gzip'),
    'cut off': dump.subarray(0, dump.length - 10),
    empty: gzipSync(Buffer.alloc(0)),
    'a few bytes': gzipSync(whole.subarray(0, 101)),
    'a page too short': gzipSync(whole.subarray(0, whole.length - 4096)),
    'some bytes too short': gzipSync(whole.subarray(0, whole.length - 3)),
    'a transaction under way': changed(at.logHead, 5),
    'another size': changed(at.size, 2 ** 31),
    'another top of the heap': changed(at.heapTop, 3),
    'a free list into nowhere': changed(at.free, 999_999_999),
  };
  for (const [what, bytes] of Object.entries(damaged))
    for (const backend of BACKENDS) {
      const place = {name: freshName(), backend};
      const where = {...place, ...pathOf(place.name, backend)};
      await t.throwsAsync(loadStore(bytes, where), {instanceOf: StoreError}, `${what} to ${backend}`);
      await t.throwsAsync(openStore({...where, schema}), {code: 'ERR_NOT_FOUND'}, `${what} to ${backend}`);
    }
  // The rest of a file that was about to grow is no part of the store.
  const place = {name: freshName(), backend: 'memory'} as const;
  await loadStore(gzipSync(Buffer.concat([whole, Buffer.alloc(5000)])), place);
  const loaded = await openStore({...place, schema});
  t.is(loaded.info().size, whole.length);
  t.is(JSON.stringify(loaded), JSON.stringify(store));
  loaded.destroy();
});

test('a check inside a transaction that has written is refused, for half of it would look like damage', async t => {
  const store = await fresh(t, 'memory', schema);
  const row = store.root.rows.insert({name: 'before'});
  store.transaction(() => {
    t.true(store.check().ok);
    row.name = 'after';
    t.throws(() => store.check(), {code: 'ERR_TRANSACTION'});
  });
  t.is(row.name, 'after');
  t.deepEqual(store.check().problems, []);
});
