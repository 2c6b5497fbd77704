// What is free can be had: free blocks are joined when nothing else is left, whatever kills the process meanwhile.
import test from 'ava';
import fc from 'fast-check';
import {openStore, type Store, t as ty} from '../src/index.js';
import {at} from '../src/segment/header.js';
import {bytesOf, openBytes, Recorder} from './helpers/recorder.js';
import {freshName} from './helpers/stores.js';

const schema = {texts: ty.map(ty.u32, ty.string()), rows: ty.vector(ty.u32)};

const open = (options: {maxSize?: number; logSize?: number} = {}) =>
  openStore({name: freshName(), size: 512 * 1024, backend: 'memory', schema, ...options});

/** Sets texts of this many bytes until there is no room; gives their number. */
function fill({root: {texts}}: Store<typeof schema>, bytes: number): number {
  for (let key = 0; ; key++) {
    try {
      texts.set(key, 'x'.repeat(bytes));
    } catch (error) {
      if ((error as {code?: string}).code !== 'ERR_FULL') throw error;
      return key;
    }
  }
}

const headOf = (bytes: Uint8Array, offset: number) =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(offset, true);

test('many small ones make room for large ones, over and over', async t => {
  for (const logSize of [1024, 64 * 1024]) {
    const store = await open({logSize});
    const {texts} = store.root;
    const most = fill(store, 6000);
    for (let key = 0; key < most; key++) texts.delete(key);
    const counts = [40, 6000, 250, 6000, 16, 1000, 6000].map(bytes => {
      const count = fill(store, bytes);
      for (let key = 0; key < count; key++) texts.delete(key);
      t.deepEqual(store.check().problems, []);
      return count;
    });
    t.log(`${most} texts of 6,000 bytes at first; of each size in turn: ${counts}`);
    // Small ones need more entries, whose slots stay with the map.
    t.true(counts[0]! > 2000 && counts[4]! > 2000);
    t.true(counts.at(-1)! >= most * 0.5);
    store.destroy();
  }
});

test('what is free between others serves what fits, and a store that stays full says so', async t => {
  const store = await open();
  const {texts} = store.root;
  const count = fill(store, 400);
  for (let key = 0; key < count; key++) if (key % 10 < 5) texts.delete(key);
  texts.set(1_000_000, 'y'.repeat(1500)); // four neighbours
  t.throws(() => texts.set(1_000_001, 'y'.repeat(200_000)), {code: 'ERR_FULL'});
  t.is(texts.get(1_000_000), 'y'.repeat(1500));
  for (let key = 0; key < count; key++) t.is(texts.get(key), key % 10 < 5 ? undefined : 'x'.repeat(400));
  t.deepEqual(store.check().problems, []);
  store.destroy();
});

test('what fits alone but not together is too much, and no reason to join again and again', async t => {
  const store = await open();
  const {texts} = store.root;
  texts.set(0, 'x'.repeat(300_000));
  texts.delete(0);
  for (let i = 0; i < 2; i++)
    t.throws(
      () =>
        store.transaction(() => {
          texts.set(1, 'y'.repeat(200_000));
          texts.set(2, 'z'.repeat(300_000));
        }),
      {code: 'ERR_FULL'},
    );
  t.is(texts.size, 0);
  t.deepEqual(store.check().problems, []);
  store.destroy();
});

test('a store that may grow joins where much is free, and grows where little is', async t => {
  const store = await open({maxSize: 4 * 2 ** 20});
  const {texts} = store.root;
  const size = () => store.info().size;
  for (let key = 0; size() === 512 * 1024; key++) texts.set(key, 'x'.repeat(400));
  t.is(size(), 2 ** 20, 'nothing was free');
  const keys = [...texts.keys()];
  let filled = keys.length;
  while (size() === 2 ** 20) texts.set(filled++, 'x'.repeat(400));
  for (let key = 0; key < filled; key++) if (key % 10 < 8) texts.delete(key);
  for (let i = 0; i < 100; i++) texts.set(1_000_000 + i, 'y'.repeat(3000));
  t.is(size(), 2 ** 21);
  t.deepEqual(store.check().problems, []);
  store.destroy();
});

test('sizes that change for ever do not wear the room out', async t => {
  await fc.assert(
    fc.asyncProperty(fc.infiniteStream(fc.nat()), async numbers => {
      const store = await open();
      const {texts} = store.root;
      const next = () => numbers.next().value as number;
      const kept = new Map<number, number>();
      let total = 0;
      for (let i = 0; i < 4000; i++) {
        const key = next() % 64;
        const bytes = next() % 4 === 0 ? next() % 12000 : next() % 300;
        // Half of the heap at most.
        const after = total - (kept.get(key) ?? 0) + bytes;
        if (after > 200_000) {
          texts.delete(key);
          total -= kept.get(key) ?? 0;
          kept.delete(key);
          continue;
        }
        texts.set(key, 'z'.repeat(bytes));
        kept.set(key, bytes);
        total = after;
      }
      t.deepEqual(store.check().problems, []);
      for (const [key, bytes] of kept) t.is(texts.get(key)!.length, bytes);
      store.destroy();
    }),
    {numRuns: 8},
  );
});

test('every prefix of the stores of a joining recovers to a good heap, and joins in the end', t => {
  const SIZE = 128 * 1024;
  const recorder = new Recorder(SIZE);
  const store = openBytes(recorder.bytes, schema, recorder.memory);
  const {texts} = store.root;
  const count = fill(store, 200);
  for (let key = 0; key < count; key++) if (key % 7 !== 3 && key < count - 20) texts.delete(key);
  const image = bytesOf(recorder.bytes);
  const large = 'l'.repeat(1100);
  recorder.start();
  texts.set(1_000_000, large);
  const stores = recorder.stop();
  let between = 0;
  for (let cut = 0; cut <= stores.length; cut++) {
    const where = `cut after store ${cut} of ${stores.length}`;
    const copy = openBytes(bytesOf(image), schema);
    t.deepEqual(copy.check().problems, [], where);
    if (headOf(copy.memory, at.joining) !== 0) between++;
    for (let key = 0; key < count; key++)
      t.is(copy.root.texts.get(key), key % 7 !== 3 && key < count - 20 ? undefined : 'x'.repeat(200), where);
    copy.root.texts.set(1_000_000, large);
    t.deepEqual(copy.check().problems, [], where);
    for (let key = 0; key < count; key++) copy.root.texts.delete(key);
    copy.root.texts.set(1_000_000, 'l'.repeat(40_000));
    t.deepEqual(copy.check().problems, [], where);
    t.is(headOf(copy.memory, at.joining), 0);
    copy.close();
    const change = stores[cut];
    if (change) image.set(change.bytes, change.offset);
  }
  t.true(between > 0);
});
