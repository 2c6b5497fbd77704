// A watcher is told of every change of what its select gives, whatever that is made of, and of nothing else; and it ends, or says
// why it cannot go on, when the store goes.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import test from 'ava';
import {openStore, readStore, StoreError, struct, t as ty} from '../src/index.js';
import {BACKENDS, fresh, freshName, pathOf, SHARED_BACKENDS} from './helpers/stores.js';

class Point {
  constructor(readonly x: number) {}
}
const circle = (n: number) => {
  const around: unknown[] = [n];
  around.push(around);
  return around;
};

/** Of each pair: made anew it is the same; the other is another. */
const pairs: Record<string, [() => unknown, () => unknown]> = {
  'a Map': [() => new Map([['a', {n: 1}]]), () => new Map([['a', {n: 2}]])],
  'a Map with keys that are objects': [() => new Map([[{k: 1}, 1]]), () => new Map([[{k: 2}, 1]])],
  'a Set': [() => new Set([1, 2]), () => new Set([1, 3])],
  'an empty Set': [() => new Set(), () => new Map()],
  NaN: [() => Number.NaN, () => null],
  'an infinity': [() => Number.POSITIVE_INFINITY, () => Number.NEGATIVE_INFINITY],
  'a zero': [() => 0, () => -0],
  'a zero in bytes': [() => Float64Array.of(0), () => Float64Array.of(-0)],
  'NaN in bytes': [() => Float32Array.of(Number.NaN), () => Float32Array.of(1)],
  bytes: [() => Uint8Array.of(1, 2), () => Uint8Array.of(1, 3)],
  'bytes in another view': [() => Uint8Array.of(1, 0), () => Uint16Array.of(1)],
  'a DataView': [() => new DataView(new ArrayBuffer(2)), () => new DataView(new ArrayBuffer(3))],
  'a buffer': [() => new ArrayBuffer(2), () => Uint8Array.of(1, 0).buffer],
  'a Date': [() => new Date(5), () => new Date(6)],
  'no date': [() => new Date(Number.NaN), () => new Date(0)],
  'a bigint': [() => 5n, () => 5],
  'a bigint as text': [() => 5n, () => '5n'],
  undefined: [() => undefined, () => null],
  'a field that is undefined': [() => ({a: undefined}), () => ({})],
  'a hole': [() => Object.assign([], {1: 1}), () => [undefined, 1]],
  'something deep': [
    () => [{a: new Map([[1, [new Set([{b: [1n]}])]]])}],
    () => [{a: new Map([[1, [new Set([{b: [2n]}])]]])}],
  ],
  'a circle': [() => circle(1), () => circle(2)],
  'an object of a class': [() => new Point(1), () => new Point(2)],
  'an object of another class': [() => new Point(1), () => ({x: 1})],
  'an error': [() => new Error('one'), () => new Error('two')],
  'a pattern': [() => /a/g, () => /a/i],
  'a URL': [() => new URL('http://a/b'), () => new URL('http://a/c')],
  'a name that is no name': [() => JSON.parse('{"__proto__": 1}'), () => ({})],
};

for (const [what, [one, other]] of Object.entries(pairs))
  test(`watch: ${what} is the same until it is another`, async t => {
    const store = await fresh(t, 'memory', {n: ty.u32, text: ty.string()});
    let seen = () => {};
    const values = [one, one, other, other, one];
    const changes = store.watch(root => {
      if (root.n !== 0) seen();
      return values[root.n]!();
    });
    const next = changes.next();
    const reported: unknown[] = [];
    void next.then(({value}) => reported.push(value));
    const commit = async (n: number) => {
      const looked = new Promise<void>(resolve => {
        seen = resolve;
      });
      store.transaction(() => {
        store.root.n = n;
        store.root.text = `${n}`; // a lone number wakes nobody
      });
      await looked;
    };
    await commit(1);
    await commit(2);
    const first = (await next).value!.value;
    t.deepEqual(first, other());
    const second = changes.next();
    await commit(3);
    await commit(4);
    t.deepEqual((await second).value!.value, one());
    await changes.return();
  });

const Job = struct('Job', {
  name: ty.string(),
  done: ty.bool,
  at: ty.timestamp,
  raw: ty.bytes(),
  tags: ty.array(ty.u8, 2),
});
const schema = {
  jobs: ty.table(Job),
  byName: ty.map(ty.string(), Job),
  row: ty.vector(Job),
  best: Job,
  other: ty.string(),
};

for (const backend of BACKENDS)
  test(`${backend}: records, collections and parts of records are compared by what is in them when it is seen`, async t => {
    const store = await fresh(t, backend, schema);
    const {root} = store;
    const job = root.jobs.insert({name: 'one'});
    root.byName.set('one', {name: 'one'});
    root.row.push({name: 'one'});
    const selects = {
      record: (r: typeof root) => r.jobs.get(job.$id),
      table: (r: typeof root) => r.jobs,
      map: (r: typeof root) => r.byName,
      vector: (r: typeof root) => r.row,
      inner: (r: typeof root) => ({best: r.best, tags: r.best.tags}),
      many: (r: typeof root) => new Map([...r.byName].map(([key, value]) => [key, new Set([value])])),
    };
    const change: Record<keyof typeof selects, () => void> = {
      record: () => job.$set({tags: [1, 2]}),
      table: () => root.jobs.insert({name: 'two'}),
      map: () => root.byName.set('one', {name: 'two', at: new Date(5)}),
      vector: () => (root.row.at(0)!.done = true),
      inner: () => (root.best.raw = Uint8Array.of(1)),
      many: () => (root.byName.get('one')!.raw = Uint8Array.of(9)),
    };
    for (const key of Object.keys(selects) as (keyof typeof selects)[]) {
      let looks = 0;
      let seen = () => {};
      const changes = store.watch(r => {
        looks++;
        seen();
        return selects[key](r as typeof root);
      });
      let reported = false;
      const next = changes.next().finally(() => {
        reported = true;
      });
      const looked = new Promise<void>(resolve => {
        seen = () => looks > 1 && resolve();
      });
      store.transaction(() => {
        root.other = `not for ${key}`;
      });
      await looked;
      await new Promise(setImmediate);
      t.false(reported, `${key}: something else was changed`);
      store.transaction(() => void change[key]());
      t.true((await next).value!.value !== undefined, key);
      await changes.return();
    }
    // Another record with the same content is another record.
    const changes = store.watch(r => [...r.jobs][0]);
    const next = changes.next();
    store.transaction(() => {
      root.jobs.remove(job);
      root.jobs.insert({name: 'one', tags: [1, 2]});
    });
    t.false((await next).done);
    await changes.return();
  });

test('a select that throws, or waits, ends the watch with its error and leaves nothing behind', async t => {
  const store = await fresh(t, 'file', {n: ty.u32, text: ty.string()});
  const changes = store.watch(root => {
    if (root.n === 1) throw new RangeError('mine');
    return root.n;
  });
  const next = changes.next();
  store.transaction(() => {
    store.root.n = 1;
    store.root.text = 'x';
  });
  await t.throwsAsync(next, {instanceOf: RangeError, message: 'mine'});
  t.deepEqual(await changes.next(), {done: true, value: undefined});
  await t.throwsAsync(store.watch(async root => root.n).next(), {code: 'ERR_OPTIONS', message: /promise/});
  t.throws(() => store.watch('n' as never), {code: 'ERR_OPTIONS'});
});

test('two watchers, and one that is slow: each ends at what is there, neither waits for the other', async t => {
  const name = freshName();
  const store = await fresh(t, 'sysv', {n: ty.uint, text: ty.string()}, {name});
  const [a, b] = [await readStore({name}), await readStore({name})];
  const [quick, slow] = [a.watch(root => root['n']), b.watch(root => root['n'])];
  let [first, second] = [quick.next(), slow.next()];
  for (let n = 1; n <= 50; n++) {
    store.transaction(() => {
      store.root.n = n;
      store.root.text = `${n}`;
    });
    t.is((await first).value!.value, n);
    first = quick.next();
    if (n === 1) {
      t.is((await second).value!.value, 1);
      // It does not ask again before the end.
    }
  }
  second = slow.next();
  t.is((await second).value!.value, 50, 'the last one, and none of those between');
  for (const reader of [a, b]) reader.close();
  t.true((await first).done);
});

for (const backend of SHARED_BACKENDS)
  test(`${backend}: a watcher of a store that another process destroys is told so`, async t => {
    const name = freshName();
    const place = {name, backend, ...pathOf(name, backend)} as const;
    const store = await openStore({...place, size: '1MB', schema: {n: ty.u32}});
    store.close();
    const reader = await readStore(place);
    const next = reader.watch().next();
    const gone = t.throwsAsync(next, {instanceOf: StoreError, code: 'ERR_NOT_FOUND'});
    const script = `import {openStore, t} from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)};
      (await openStore({...${JSON.stringify(place)}, schema: {n: t.u32}})).destroy();`;
    const child = spawn(process.execPath, ['--import=tsx', '--input-type=module', '-e', script], {
      stdio: 'inherit',
    });
    t.deepEqual(await once(child, 'close'), [0, null]);
    await gone;
    t.throws(() => reader.read(root => root['n']), {code: 'ERR_NOT_FOUND'});
    reader.close();
  });

for (const backend of BACKENDS)
  test(`${backend}: a watch that nobody ended keeps no process alive once its store is closed`, async t => {
    const name = freshName();
    const place = {name, backend, ...pathOf(name, backend)};
    const script = `import {openStore, t} from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)};
      const store = await openStore({...${JSON.stringify(place)}, size: '1MB', schema: {n: t.u32, text: t.string()}});
      const next = store.watch(root => root.n).next();
      store.transaction(() => { store.root.n = 1; store.root.text = 'x'; });
      console.log((await next).value.value);
      store.destroy();`;
    const child = spawn(process.execPath, ['--import=tsx', '--input-type=module', '-e', script]);
    let printed = '';
    child.stdout.on('data', text => (printed += text));
    t.deepEqual(await once(child, 'close'), [0, null]);
    t.is(printed, '1\n');
  });
