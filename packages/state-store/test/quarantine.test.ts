// Records that their struct's validate refuses are set aside when the store is opened: out of their collections, kept in
// the segment, reported and readable. The rest lives on.
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {
  dumpStore,
  loadStore,
  openStore,
  readStore,
  type SetAside,
  type StoreOptions,
  struct,
  t as ty,
} from '../src/index.js';
import {bytesOf, openBytes, Recorder} from './helpers/recorder.js';
import {BACKENDS, type BackendName, fresh, freshName, pathOf} from './helpers/stores.js';

interface Counted {
  n: number;
}
function refuse({n}: Counted): void {
  if (n >= 100) throw new Error(`n is ${n}`);
}

/** The same schema twice: without its invariant and with it. */
function schemas(validate?: (record: Counted) => void) {
  const Part = struct(
    'Part',
    {n: ty.u32, name: ty.string(), big: ty.i64, blob: ty.bytes(3)},
    validate ? {validate} : {},
  );
  return {
    holders: ty.table(struct('Holder', {part: ty.ref(() => Part)})),
    parts: ty.table(Part),
    few: ty.table(Part, {capacity: 4}),
    byName: ty.map(ty.string(), Part),
    list: ty.list(Part),
    sorted: ty.sorted(ty.u32, Part),
    bad: ty.u32,
  };
}
const loose = schemas();
const strict = schemas(refuse);

function init(n: number) {
  return {
    n,
    name: `part ${n} with a name of some length`,
    big: -BigInt(n),
    blob: Buffer.from([1, 2, n % 256]),
  };
}

async function filled(
  t: ExecutionContext,
  backend: BackendName,
  options: Partial<StoreOptions<typeof loose>> = {},
) {
  const name = freshName();
  const store = await fresh(t, backend, loose, {name, ...options});
  const {root} = store;
  const bad = root.parts.insert(init(100));
  root.holders.insert({part: bad});
  root.holders.insert({part: root.parts.insert(init(1))});
  root.few.insert(init(2));
  root.few.insert(init(102));
  for (const n of [3, 103, 4]) root.byName.set(`key ${n}, longer than what fits into an entry`, init(n));
  for (const n of [5, 105, 6]) root.list.push(init(n));
  for (const n of [7, 107, 8]) root.sorted.set(n, init(n));
  store.close();
  return {name, backend, ...pathOf(name, backend)} as const;
}

async function warned<R>(open: () => Promise<R>): Promise<[R, (Error & {code?: string})[]]> {
  const warnings: (Error & {code?: string})[] = [];
  const listen = (warning: Error) => warnings.push(warning);
  process.on('warning', listen);
  const opened = await open();
  await new Promise(setImmediate); // warnings come on the next tick
  process.off('warning', listen);
  return [opened, warnings.filter(({code}) => code === 'ZLR_QUARANTINE')];
}

for (const backend of BACKENDS) {
  test.serial(
    `${backend}: what a struct's validate refuses is set aside in every collection, the rest lives on`,
    async t => {
      const where = await filled(t, backend);
      const open = () => openStore({...where, schema: strict});
      let [store, warnings] = await warned(open);
      t.teardown(() => store.destroy());
      t.is(warnings.length, 1);
      t.regex(
        warnings[0]!.message,
        /'?[\w-]+'?: 5 values were set aside, the first from 'parts': n is 100\./,
      );
      const {root} = store;
      t.deepEqual(
        [
          [...root.parts],
          [...root.few],
          [...root.byName.values()],
          [...root.list],
          [...root.sorted.values()],
        ].map(all => all.map(({n}) => n)),
        [[1], [2], [3, 4], [5, 6], [7, 8]],
      );
      t.deepEqual(
        [...root.holders].map(({part}) => part?.n),
        [undefined, 1],
        'a ref to a record that was set aside is null',
      );
      t.deepEqual(store.check(), {ok: true, problems: []});
      t.is(store.info().quarantined, 5);
      const entries = store.quarantine();
      t.deepEqual(
        entries.map(({collection, key, reason}) => [collection, key, reason]),
        [
          ['parts', undefined, 'n is 100'],
          ['few', undefined, 'n is 102'],
          ['byName', 'key 103, longer than what fits into an entry', 'n is 103'],
          ['list', undefined, 'n is 105'],
          ['sorted', 107, 'n is 107'],
        ],
      );
      t.deepEqual(entries[1]!.value, {
        n: 102,
        name: 'part 102 with a name of some length',
        big: '-102',
        blob: Buffer.from([1, 2, 102]).toString('base64'),
      });
      t.is(entries[1]!.id, 1);
      t.is(Buffer.from(entries[1]!.raw, 'base64').readUInt32LE(0), 102);
      t.true(Math.abs(Date.parse(entries[0]!.at) - Date.now()) < 600_000);

      store.close();
      [store, warnings] = await warned(open);
      t.deepEqual(warnings, [], 'nothing new');
      t.deepEqual(store.quarantine(), entries);
      if (backend !== 'memory') {
        const reader = await readStore(where);
        t.deepEqual(reader.quarantine(), entries, 'for those who only read, too');
        t.is(reader.info().quarantined, 5);
        reader.close();
      }
      t.true(store.forget(entries[2]!));
      t.false(store.forget(entries[2]!));
      t.true(store.forget(entries[4]!), 'the newest');
      t.true(store.forget(entries[0]!), 'the oldest');
      t.deepEqual(store.quarantine(), [entries[1]!, entries[3]!]);
      for (const entry of store.quarantine()) store.forget(entry);
      t.deepEqual([store.quarantine(), store.info().quarantined], [[], 0]);
      t.deepEqual(store.check(), {ok: true, problems: []});
    },
  );

  test(`${backend}: what was set aside outlives growth, another schema and compacting`, async t => {
    const where = await filled(t, backend);
    const grown = await openStore({...where, schema: strict, maxSize: '8MB'});
    const entries = grown.quarantine();
    t.is(entries.length, 5);
    const {size} = grown.info();
    for (let n = 0; grown.info().size === size; n++)
      grown.root.byName.set(`filler ${n}`, {name: 'x'.repeat(10_000)});
    t.deepEqual(grown.quarantine(), entries);
    t.deepEqual(grown.check().problems, []);
    grown.close();
    const other = {list: ty.list(struct('Other', {n: ty.u64})), added: ty.u8};
    const drop = ['holders', 'parts', 'few', 'byName', 'sorted', 'bad', 'Part.name', 'Part.big', 'Part.blob'];
    const migrated = await openStore({...where, schema: other, drop});
    t.deepEqual(migrated.quarantine(), entries, 'in no terms of its schema');
    t.is(migrated.info().quarantined, 5);
    migrated.close();
    const compacted = await openStore({...where, schema: other, compact: true});
    t.deepEqual(compacted.quarantine(), entries);
    t.deepEqual(compacted.check().problems, []);
    compacted.destroy();
  });
}

test('what was set aside is part of a dump', async t => {
  const where = await filled(t, 'sysv');
  const store = await openStore({...where, schema: strict});
  t.teardown(() => store.destroy());
  const copy = {name: freshName(), backend: 'file', path: join(tmpdir(), `${freshName()}.store`)} as const;
  await loadStore(dumpStore(store as never), copy);
  const loaded = await openStore({...copy, schema: strict});
  t.deepEqual(loaded.quarantine(), store.quarantine());
  t.is(loaded.quarantine().length, 5);
  loaded.destroy();
});

test('the store is validated as it is without what was set aside', async t => {
  const where = await filled(t, 'sysv');
  const store = await openStore({
    ...where,
    schema: strict,
    validate(root) {
      for (const {n} of root.list) if (n >= 100) throw new Error('not yet');
    },
  });
  t.is(store.root.list.size, 2);
  store.destroy();
});

test('setting one aside makes another invalid: all that holds at the end is what every validate takes', async t => {
  const name = freshName();
  const make = (validate?: (record: {to: unknown; last: boolean}) => void) => {
    const options = validate ? {validate} : {};
    const End = struct('Link', {to: ty.u8.optional(), last: ty.bool}, options);
    const Third = struct('Third', {to: ty.ref(() => End), last: ty.bool}, options);
    const Second = struct('Second', {to: ty.ref(() => Third), last: ty.bool}, options);
    const First = struct('First', {to: ty.ref(() => Second), last: ty.bool}, options);
    return {firsts: ty.table(First), seconds: ty.table(Second), thirds: ty.table(Third), ends: ty.table(End)};
  };
  const before = await fresh(t, 'sysv', make(), {name});
  const {firsts, seconds, thirds, ends} = before.root;
  const chain = (last: boolean) =>
    firsts.insert({to: seconds.insert({to: thirds.insert({to: ends.insert({last})})})});
  chain(true);
  chain(false);
  before.close();
  const schema = make(({to, last}) => {
    if (to === null && !last) throw new Error('leads nowhere');
  });
  const store = await openStore({name, backend: 'sysv', schema});
  t.deepEqual(
    (['firsts', 'seconds', 'thirds', 'ends'] as const).map(key => store.root[key].size),
    [1, 1, 1, 1],
  );
  t.is(store.quarantine().length, 4);
  store.destroy();
});

test('validate may look, but not write; it may not be asynchronous; neither changes anything', async t => {
  const where = await filled(t, 'sysv');
  const tries: [(record: Counted & Record<string, unknown>) => unknown, string][] = [
    [record => (record.n = 1), 'ERR_READONLY'],
    [record => (record['name'] = ''), 'ERR_READONLY'],
    [record => (record as unknown as {$set(o: object): void}).$set({n: 1}), 'ERR_READONLY'],
  ];
  for (const [attempt, code] of tries) {
    const seen: unknown[] = [];
    const schema = schemas(record => {
      try {
        attempt(record as never);
      } catch (error) {
        seen.push((error as {code: string}).code);
      }
    });
    const store = await openStore({...where, schema});
    t.deepEqual(seen, Array(13).fill(code));
    t.is(store.quarantine().length, 0);
    store.root.bad++; // it is writable again
    store.close();
  }
  await t.throwsAsync(openStore({...where, schema: schemas((async () => {}) as never)}), {
    code: 'ERR_SCHEMA',
    message: /validate of struct 'Part' returned a promise/,
  });
  t.throws(() => struct('Odd', {n: ty.u8}, {validate: 1} as never), {code: 'ERR_SCHEMA'});
  const store = await openStore({...where, schema: loose});
  t.deepEqual(
    [store.root.parts.size, store.quarantine().length],
    [2, 0],
    'only readers and those with it look',
  );
  store.destroy();
});

test('a validate is no part of the schema', async t => {
  const where = await filled(t, 'sysv');
  const store = await openStore({...where, schema: loose});
  const {created} = store.info();
  store.close();
  const again = await openStore({...where, schema: strict});
  t.deepEqual(again.info().created, created, 'it was not rebuilt');
  again.destroy();
});

test('a full store with nothing to grow into is refused, and nothing of it is lost', async t => {
  const where = await filled(t, 'sysv', {size: '64KB', logSize: '16KB'});
  const store = await openStore({...where, schema: loose});
  t.throws(
    () => {
      for (let n = 0; ; n++) store.root.byName.set(`filler ${n}`, {n: 100, name: 'x'.repeat(40)});
    },
    {code: 'ERR_FULL'},
  );
  const {size} = store.root.byName;
  store.close();
  await t.throwsAsync(openStore({...where, schema: strict}), {code: 'ERR_FULL'});
  const whole = await openStore({...where, schema: loose});
  t.is(whole.root.byName.size + whole.quarantine().filter(({key}) => key !== undefined).length, size);
  t.deepEqual(whole.check().problems, []);
  whole.close();
  const grown = await openStore({...where, schema: strict, maxSize: '1MB'});
  t.is(grown.root.byName.size, 2);
  t.deepEqual(grown.check().problems, []);
  grown.destroy();
});

test('with several writers a record that another is in the midst of writing is not taken for a bad one', async t => {
  const where = await filled(t, 'sysv');
  let looks = 0;
  // The second look, under the lock, finds what the other had not finished.
  const schema = schemas(({n}) => {
    if (n === 2 && ++looks === 1) throw new Error('half written');
  });
  const store = await openStore({...where, schema, writers: 'many'});
  t.true(looks > 1);
  t.is(store.quarantine().length, 0);
  t.is(store.root.few.size, 2);
  store.destroy();
});

test('a kill after any store while a record is set aside leaves it whole: there, or set aside', t => {
  const size = 256 * 1024;
  const bytes = new Uint8Array(size);
  const maker = openBytes(bytes, loose);
  for (const n of [5, 105, 6]) {
    maker.root.parts.insert(init(n));
    maker.root.byName.set(`key ${n}, longer than what fits into an entry`, init(n));
    maker.root.list.push(init(n));
    maker.root.sorted.set(n, init(n));
  }
  maker.close();
  const recorder = new Recorder(size);
  recorder.bytes.set(bytes);
  const image = bytesOf(bytes);
  recorder.start();
  const store = openBytes(recorder.bytes, strict, recorder.memory);
  const stores = recorder.stop();
  t.is(store.quarantine().length, 4);
  const seen = new Set<number>();
  for (let cut = 0; cut <= stores.length; cut++) {
    const copy = openBytes(new Uint8Array(image), loose);
    const where = `cut after store ${cut} of ${stores.length}`;
    t.deepEqual(copy.check().problems, [], where);
    const {parts, byName, list, sorted} = copy.root;
    const live = [parts, byName, list, sorted].reduce((sum, {size}) => sum + size, 0);
    const aside = copy.quarantine();
    t.is(live + aside.length, 12, where);
    t.true(aside.every(({value}) => (value as Counted).n === 105));
    seen.add(aside.length);
    copy.close();
    const next = stores[cut];
    if (next) image.set(next.bytes, next.offset);
  }
  t.deepEqual([...seen], [0, 1, 2, 3, 4]);
});

test('a damaged chain of what was set aside is found, and never runs for ever', t => {
  const bytes = new Uint8Array(256 * 1024);
  const maker = openBytes(bytes, loose);
  for (const n of [100, 101, 102]) maker.root.parts.insert(init(n));
  maker.close();
  const store = openBytes(bytes, strict);
  const entries: SetAside[] = store.quarantine();
  t.is(entries.length, 3);
  store.close();
  const words = new Uint32Array(bytes.buffer);
  const head = words[336 / 4]!;
  const damage: [number, number, RegExp][] = [
    [336 / 4, 7, /names cell 7, which is no entry/],
    [head * 2, head, /runs in a circle/],
    [head * 2 + 1, 2 ** 31, /names cell/],
    [340 / 4, 9, /3 entries in its chain, the header says 9/],
    [head * 2 + 2, 0, /names cell/],
  ];
  for (const [word, value, problem] of damage) {
    const torn = new Uint32Array(words);
    torn[word] = value;
    const copy = openBytes(new Uint8Array(torn.buffer), loose);
    t.true(
      copy.check().problems.some(each => problem.test(each)),
      String(problem),
    );
    if (word !== 340 / 4) t.throws(() => copy.quarantine(), {code: 'ERR_CORRUPT'});
  }
});
