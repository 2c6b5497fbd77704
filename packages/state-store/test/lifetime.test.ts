// A store outlives its process, whatever ends it; it has one writer; what is not a store is left alone.
import test from 'ava';
import {loadCompiled} from '../src/backends/native.js';
import {sysvKeys} from '../src/backends/sysv.js';
import {listSysv} from '../src/backends/sysv-segments.js';
import {
  dumpStore,
  loadStore,
  openStore,
  readStore,
  repairStore,
  StoreError,
  struct,
  t as ty,
} from '../src/index.js';
import {schema} from './fixtures/life.js';
import {run, startAndGreet} from './helpers/child.js';
import {BACKENDS, fresh, freshName, pathOf} from './helpers/stores.js';

test('a segment survives every end of its process', async t => {
  const name = freshName();
  const ends = ['return', 'exit', 'throw', 'kill', 'in-transaction'];
  const expected = [
    [0, null],
    [3, null],
    [1, null],
    [null, 'SIGKILL'],
    [null, 'SIGKILL'],
  ];
  for (const [i, end] of ends.entries()) {
    const life = await run('life.ts', name, end);
    t.deepEqual([life.code, life.signal], expected[i] as never, end + life.stderr);
    t.regex(life.stdout, new RegExp(`count ${i + 1}\n$`), end);
    const [segment] = listSysv().filter(s => s.key === sysvKeys(name)[0]);
    t.truthy(segment, `${end} lost the segment`);
    t.is(segment!.mode & 0o777, 0o600);
  }
  const store = await openStore({name, backend: 'sysv', schema});
  t.is(store.root.count, 5, 'the torn transaction was undone');
  t.deepEqual(
    [...store.root.lives].map(l => l.toJSON()),
    ends.map((end, i) => ({number: i + 1, end})),
  );
  t.true(store.info().recovered > 0);
  t.is(store.info().epoch, 6);
  store.destroy();
  t.is(
    listSysv().find(s => s.key === sysvKeys(name)[0]),
    undefined,
  );
});

test('a second live writer is refused and told who the first is', async t => {
  const name = freshName();
  const {child, line, ended} = await startAndGreet('life.ts', name, 'wait');
  t.teardown(() => child.kill('SIGKILL'));
  t.regex(line, new RegExp(`^pid ${child.pid} `));
  await t.throwsAsync(openStore({name, backend: 'sysv', schema}), {
    instanceOf: StoreError,
    code: 'ERR_BUSY',
    message: new RegExp(`process ${child.pid};`),
  });
  child.kill('SIGKILL');
  await ended;
  const store = await openStore({name, backend: 'sysv', schema});
  t.is(store.info().owner, process.pid);
  store.destroy();
});

for (const backend of BACKENDS) {
  test(`${backend}: closing keeps the content, and no handle works after`, async t => {
    const Item = struct('Item', {n: ty.u32});
    const name = freshName();
    const options = {
      name,
      ...pathOf(name, backend),
      size: '256KB',
      backend,
      schema: {items: ty.table(Item, {capacity: 2}), n: ty.u32},
    } as const;
    const first = await openStore(options);
    await t.throwsAsync(openStore(options), {code: 'ERR_BUSY', message: /this one/});
    const item = first.root.items.insert({n: 5});
    const {$id} = item;
    first.close();
    first.close();
    for (const use of [
      () => item.n,
      () => {
        item.n = 1;
      },
      () => first.root.n,
      () => {
        first.root.n = 2;
      },
      () => first.root.items.size,
      () => first.memory,
      () => first.info(),
      () => first.transaction(() => 1),
      () => first.destroy(),
    ])
      t.throws(use, {code: 'ERR_CLOSED'});
    const second = await openStore(options);
    t.teardown(() => second.destroy());
    t.is(second.root.items.get($id)!.n, 5);
    t.throws(() => second.transaction(() => second.close()), {code: 'ERR_TRANSACTION'});
  });

  test(`${backend}: another schema is refused, the store is left untouched`, async t => {
    const name = freshName();
    const first = await fresh(t, backend, {a: ty.u32, b: ty.u32}, {name});
    first.root.b = 7;
    first.close();
    await t.throwsAsync(
      openStore({name, backend, ...pathOf(name, backend), size: '1MB', schema: {b: ty.string()}}),
      {
        code: 'ERR_SCHEMA_MISMATCH',
      },
    );
    const again = await openStore({
      name,
      backend,
      ...pathOf(name, backend),
      size: '1MB',
      schema: {a: ty.u32, b: ty.u32},
    });
    t.is(again.root.b, 7);
    again.destroy();
  });

  test(`${backend}: too small a size is refused and leaves nothing`, async t => {
    const name = freshName();
    await t.throwsAsync(
      openStore({name, backend, ...pathOf(name, backend), size: '64KB', schema: {a: ty.raw(2 ** 20)}}),
      {
        code: 'ERR_FULL',
        message: /t\.raw\(1048576\)/,
      },
    );
    await t.throwsAsync(
      openStore({name, backend, ...pathOf(name, backend), size: 4096, schema: {a: ty.u8}}),
      {code: 'ERR_FULL'},
    );
    await t.throwsAsync(openStore({name, backend, ...pathOf(name, backend), schema: {a: ty.u8}}), {
      code: 'ERR_NOT_FOUND',
    });
  });
}

test('options that cannot work are refused', async t => {
  const schema = {a: ty.u8};
  const bad = [
    {name: ''},
    {name: 'a/b'},
    {name: 'x'.repeat(61)},
    {name: 7},
    {size: '1XB'},
    {size: -1},
    {size: 'MB'},
    {size: Number.NaN},
    {size: 2 ** 40},
    {backend: 'tape'},
    {backend: 'file'},
    {writers: 'two'},
    {logSize: '?'},
    {maxsize: '2MB'},
    {readOnly: true},
    {readonly: 'yes'},
    {compact: 1},
    {share: 1},
    {path: 5},
    {validate: true},
    {renames: ['a']},
    {schema: undefined},
    {schema: null},
    {schema: ty.u8},
    {schema: struct('One', {a: ty.u8})},
  ];
  for (const wrong of bad)
    await t.throwsAsync(
      openStore({name: freshName(), size: '1MB', backend: 'memory', schema, ...wrong} as never),
      {instanceOf: StoreError, code: 'ERR_OPTIONS'},
      JSON.stringify(wrong),
    );
  await t.throwsAsync(openStore(undefined as never), {code: 'ERR_OPTIONS'});
  for (const backend of BACKENDS) {
    const name = freshName();
    const absent = openStore({name, backend, ...pathOf(name, backend), schema});
    await t.throwsAsync(absent, {code: 'ERR_NOT_FOUND', message: /given a size and not readonly/}, backend);
  }
  const typo = openStore({name: freshName(), backend: 'memory', schema, sise: '1MB'} as never);
  await t.throwsAsync(typo, {
    code: 'ERR_OPTIONS',
    message: /no option 'sise'; there are name, size, backend/,
  });
});

test('each function and each declaration refuses an option that there is not, and one that is no such thing', async t => {
  const S = struct('S', {a: ty.u8});
  const store = await fresh(t, 'memory', {a: ty.u8});
  const dump = dumpStore(store as never);
  const place = {name: freshName(), backend: 'memory'} as const;
  for (const wrong of [{nmae: 'x'}, {path: 5}]) {
    const given = {...place, ...wrong} as never;
    const refused = {instanceOf: StoreError, code: 'ERR_OPTIONS', message: /nmae|path is 5/} as const;
    await t.throwsAsync(readStore(given), refused);
    await t.throwsAsync(repairStore(given), refused);
    await t.throwsAsync(loadStore(dump, given), refused);
  }
  t.throws(() => store.watch(undefined, {singal: 1} as never), {code: 'ERR_OPTIONS', message: /singal/});
  t.throws(() => store.watch(undefined, {signal: 1} as never), {code: 'ERR_OPTIONS', message: /AbortSignal/});
  t.throws(() => struct('S', {a: ty.u8}, {validator() {}} as never), {
    code: 'ERR_SCHEMA',
    message: /validator/,
  });
  t.throws(() => ty.table(S, {capcity: 3} as never), {code: 'ERR_SCHEMA', message: /capcity/});
  t.throws(() => ty.table({a: ty.u8} as never), {code: 'ERR_SCHEMA', message: /expected a struct/});
  const copied = {describe: () => ({kind: 'u8'})} as never; // as another copy of the package has it
  for (const use of [() => struct('S', {a: copied}), () => ty.list(copied), () => ty.table(copied)])
    t.throws(use, {code: 'ERR_SCHEMA', message: /of this copy of @zlr\/state-store/});
});

test('a segment of somebody else is left as it is', async t => {
  const shm = loadCompiled<typeof import('shm-typed-array')>('sysv', 'shm-typed-array', ['create'], '');
  for (const [perm, bytes, message] of [
    ['600', 'not a store at all', /not a zlr store/],
    ['600', '\0', /not a zlr store/],
    ['644', 'shared with all', /permissions 644/],
  ] as const) {
    const name = freshName();
    const other = shm.create(2 ** 17, 'Uint8Array', sysvKeys(name)[0]!, perm)!;
    other.set(Buffer.from(bytes));
    await t.throwsAsync(openStore({name, size: '1MB', backend: 'sysv', schema}), {
      code: 'ERR_FOREIGN',
      message,
    });
    t.is(Buffer.from(other.subarray(0, bytes.length)).toString(), bytes);
    t.true(other.subarray(bytes.length).every(byte => byte === 0));
    shm.destroy(sysvKeys(name)[0]!);
  }
});
