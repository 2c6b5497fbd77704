// Records of a table: plain properties over the segment, stable ids, stale handles that throw.
import test from 'ava';
import {StoreError, struct, t as ty} from '../src/index.js';
import {BACKENDS, fresh} from './helpers/stores.js';

const Conn = struct('Conn', {
  stage: ty.enum('reading', 'processing', 'sending'),
  keepAlive: ty.bool,
  port: ty.u16,
  fd: ty.i32,
  bytesSent: ty.uint,
  cookie: ty.u64,
  delta: ty.i64,
  load: ty.f64,
  ratio: ty.f32,
  a: ty.u8,
  b: ty.i8,
  c: ty.i16,
  d: ty.u32,
  path: ty.string(40),
  key: ty.bytes(5),
});
const Stats = struct('Stats', {served: ty.uint, failed: ty.u32});
const schema = {conns: ty.table(Conn, {capacity: 4}), totals: Stats, started: ty.f64, area: ty.raw(5000)};

for (const backend of BACKENDS) {
  test(`${backend}: a record reads back what was written`, async t => {
    const {root} = await fresh(t, backend, schema);
    const c = root.conns.insert({
      fd: -1,
      path: '/é',
      bytesSent: 2 ** 53 - 1,
      cookie: 2n ** 64n - 1n,
      delta: -(2n ** 63n),
      key: Uint8Array.of(1, 2, 3, 4, 5),
    });
    t.is(c.stage, 'reading');
    t.is(c.keepAlive, false);
    c.stage = 'sending';
    c.keepAlive = true;
    c.port = 65535;
    c.load = -0.1;
    c.ratio = 0.5;
    c.a = 255;
    c.b = -128;
    c.c = -32768;
    c.d = 4294967295;
    t.deepEqual(c.toJSON(), {
      stage: 'sending',
      keepAlive: true,
      port: 65535,
      fd: -1,
      bytesSent: 2 ** 53 - 1,
      cookie: 2n ** 64n - 1n,
      delta: -(2n ** 63n),
      load: -0.1,
      ratio: 0.5,
      a: 255,
      b: -128,
      c: -32768,
      d: 4294967295,
      path: '/é',
      key: Uint8Array.of(1, 2, 3, 4, 5),
    });
    c.bytesSent = 2 ** 32;
    t.is(c.bytesSent, 2 ** 32);
    c.bytesSent -= 1;
    t.is(c.bytesSent, 2 ** 32 - 1);
    c.bytesSent += 1;
    t.is(c.bytesSent, 2 ** 32);
  });

  test(`${backend}: what does not fit is refused and changes nothing`, async t => {
    const {root} = await fresh(t, backend, schema);
    const c = root.conns.insert({path: 'x'});
    const before = c.toJSON();
    const bad: [string, unknown][] = [
      ['fd', 2 ** 31],
      ['fd', 1.5],
      ['fd', '1'],
      ['fd', undefined],
      ['d', -1],
      ['a', 256],
      ['b', 128],
      ['c', 32768],
      ['port', -1],
      ['bytesSent', -1],
      ['bytesSent', 2 ** 53],
      ['cookie', 1],
      ['cookie', -1n],
      ['delta', 2n ** 63n],
      ['load', '1'],
      ['ratio', null],
      ['keepAlive', 1],
      ['stage', 'gone'],
      ['path', 'x'.repeat(41)],
      ['path', '\ud800'],
      ['path', 7],
      ['key', Uint8Array.of(1)],
      ['key', 'abcde'],
    ];
    for (const [field, value] of bad) {
      const error = t.throws(
        () => Object.assign(c, {[field]: value}),
        {instanceOf: StoreError, code: 'ERR_VALUE'},
        `${field} = ${String(value)}`,
      );
      t.regex(error!.message, new RegExp(`conns\\.${field}`));
      if (value === undefined) continue;
      t.throws(() => root.conns.insert({[field]: value} as never), {code: 'ERR_VALUE'}, `insert ${field}`);
    }
    t.deepEqual(c.toJSON(), before);
    t.is(root.conns.size, 1);
    t.throws(() => root.conns.insert(null as never), {code: 'ERR_VALUE'});
  });

  test(`${backend}: slots are dense, ids are for ever`, async t => {
    const {root} = await fresh(t, backend, schema);
    const records = [1, 2, 3, 4].map(fd => root.conns.insert({fd}));
    t.deepEqual(
      records.map(r => r.$index),
      [0, 1, 2, 3],
    );
    t.is(new Set(records.map(r => r.$id)).size, 4);
    t.throws(() => root.conns.insert({}), {code: 'ERR_FULL', message: /all 4 records/});
    const [, second] = records;
    const id = second!.$id;
    t.is(root.conns.get(id)!.fd, 2);
    t.true(root.conns.remove(second!));
    t.false(root.conns.remove(second!));
    t.false(root.conns.remove(id));
    t.is(root.conns.get(id), undefined);
    t.is(root.conns.size, 3);
    const again = root.conns.insert({fd: 9});
    t.is(again.$index, 1);
    t.not(again.$id, id);
    t.is(root.conns.get(id), undefined);
    for (const use of [
      () => second!.fd,
      () => {
        second!.fd = 1;
      },
      () => second!.$id,
      () => second!.toJSON(),
    ])
      t.throws(use, {code: 'ERR_STALE'});
    t.is(again.fd, 9);
    t.deepEqual(
      [...root.conns].map(r => r.fd),
      [1, 9, 3, 4],
    );
    t.is(root.conns.get(-1), undefined);
    t.is(root.conns.get(Number.NaN), undefined);
    t.is(root.conns.get(1.5), undefined);
    t.is(root.conns.get(again.$id + 4), undefined);
    t.true(root.conns.remove(again.$id));
  });

  test(`${backend}: a transaction that throws never was`, async t => {
    const store = await fresh(t, backend, schema);
    const {conns, totals} = store.root;
    const c = conns.insert({fd: 5, path: 'old'});
    let lost: typeof c | undefined;
    const failure = new Error('no');
    t.is(
      t.throws(() =>
        store.transaction(() => {
          c.fd = 6;
          c.path = 'new';
          totals.served++;
          store.root.started = 3;
          lost = conns.insert({fd: 7});
          conns.remove(c);
          throw failure;
        }),
      ),
      failure,
    );
    t.is(c.fd, 5);
    t.is(c.path, 'old');
    t.is(totals.served, 0);
    t.is(store.root.started, 0);
    t.is(conns.size, 1);
    const other = conns.insert({fd: 8});
    t.throws(
      () => lost!.fd,
      {code: 'ERR_STALE'},
      'a handle from an undone transaction never sees a later record',
    );
    t.is(other.fd, 8);
  });

  test(`${backend}: nested transactions join, and undo only themselves`, async t => {
    const store = await fresh(t, backend, schema);
    const {totals} = store.root;
    const result = store.transaction(() => {
      totals.served = 1;
      t.throws(() =>
        store.transaction(() => {
          totals.served = 2;
          totals.failed = 9;
          throw new Error('inner');
        }),
      );
      t.is(totals.served, 1);
      totals.failed++;
      return store.transaction(() => (totals.served += 10));
    });
    t.is(result, 11);
    t.deepEqual(totals.toJSON(), {served: 11, failed: 1});
    t.throws(
      () =>
        store.transaction(async () => {
          totals.served = 0;
        }),
      {code: 'ERR_TRANSACTION', message: /promise/},
    );
    t.is(totals.served, 11);
  });

  test(`${backend}: a transaction beyond the log is refused and undone`, async t => {
    const Wide = struct('Wide', {bytes: ty.bytes(4096)});
    const store = await fresh(t, backend, {wide: ty.table(Wide, {capacity: 40})}, {logSize: 8192});
    const wide = Array.from({length: 40}, () => store.root.wide.insert({}));
    t.throws(
      () =>
        store.transaction(() => {
          for (const w of wide) w.bytes = new Uint8Array(4096).fill(7);
        }),
      {code: 'ERR_TRANSACTION', message: /logSize/},
    );
    for (const w of wide) t.is(w.bytes[0], 0);
    wide[3]!.bytes = new Uint8Array(4096).fill(8);
    t.is(wide[3]!.bytes[4095], 8);
  });

  test(`${backend}: native code finds records and regions where layout says`, async t => {
    const store = await fresh(t, backend, schema);
    const {conns, area} = store.root;
    conns.insert({fd: 1});
    conns.insert({fd: -2, bytesSent: 2 ** 40 + 7, path: 'abc'});
    const layout = store.layout('conns');
    t.is(layout.capacity, 4);
    t.is(layout.byteOffset % 64, 0);
    const view = new DataView(
      store.memory.buffer,
      store.memory.byteOffset + layout.byteOffset + layout.stride,
    );
    const at = (name: string) => layout.fields[name]!.byteOffset;
    t.is(view.getInt32(at('fd'), true), -2);
    t.is(view.getBigUint64(at('bytesSent'), true), 2n ** 40n + 7n);
    t.is(view.getUint32(at('path'), true), 3);
    t.is(layout.fields['path']!.byteLength, 44);
    t.is(area.length, 5000);
    t.is((area.byteOffset - store.memory.byteOffset) % 4096, 0);
    area[4999] = 77;
    t.is(store.memory[area.byteOffset - store.memory.byteOffset + 4999], 77);
    t.throws(() => store.layout('totals'), {code: 'ERR_OPTIONS'});
    t.throws(() => Object.assign(store.root, {conns: 1}), {code: 'ERR_VALUE'});
  });
}

test('fields lie where a C compiler puts them', t => {
  // struct { uint8_t stage; uint8_t keepAlive; uint16_t port; int32_t fd; uint64_t bytesSent, cookie; int64_t delta; double load;
  //          float ratio; uint8_t a; int8_t b; int16_t c; uint32_t d; struct {uint32_t n; char s[40];} path; uint8_t key[5]; } _Alignas(8)
  const offsets = Object.fromEntries(Conn.placed.map(p => [p.name, p.offset]));
  t.deepEqual(offsets, {
    stage: 0,
    keepAlive: 1,
    port: 2,
    fd: 4,
    bytesSent: 8,
    cookie: 16,
    delta: 24,
    load: 32,
    ratio: 40,
    a: 44,
    b: 45,
    c: 46,
    d: 48,
    path: 52,
    key: 96,
  });
  t.is(Conn.size, 104);
});

test('a schema that cannot work is refused when it is written', t => {
  for (const make of [
    () => struct('1x', {a: ty.u8}),
    () => struct('X', {}),
    () => struct('X', {$a: ty.u8}),
    () => struct('X', {constructor: ty.u8}),
    () => struct('X', {a: 1 as never}),
    () => struct('X', {'a b': ty.u8}),
    () => ty.string(0),
    () => ty.bytes(-1),
    () => ty.enum('a', 'a'),
    () => ty.raw(0),
    () => ty.table(Conn, {capacity: 0}),
  ])
    t.throws(make, {instanceOf: StoreError, code: 'ERR_SCHEMA'});
});

test('the record of a scan moves, and is nobody else: behind its removal it throws', async t => {
  const Row = struct('Row', {hits: ty.u32});
  const store = await fresh(t, 'memory', {rows: ty.table(Row)});
  const {rows} = store.root;
  const stale = {instanceOf: StoreError, code: 'ERR_STALE'} as const;
  const none = rows.scan();
  t.throws(() => none.hits, stale, 'before the first');
  t.false(none.next());
  for (let hits = 0; hits < 200; hits++) rows.insert({hits});
  for (const row of rows) if (row.hits % 3 === 0) rows.remove(row);

  const seen: number[] = [];
  for (const row = rows.scan(); row.next(); ) {
    seen.push(row.hits);
    t.is(rows.get(row.$id)!.hits, row.hits);
    if (row.hits !== 100) continue;
    row.hits++;
    t.is(row.hits, 101);
    rows.remove(row);
    t.throws(() => row.hits, stale);
    t.throws(() => {
      row.hits = 500_000;
    }, stale);
  }
  t.deepEqual(
    seen,
    Array.from({length: 200}, (_, i) => i).filter(i => i % 3 !== 0),
  );
  t.deepEqual(
    [...rows].map(row => row.hits),
    seen.filter(i => i !== 100),
  );
  t.deepEqual(store.check(), {ok: true, problems: []}, 'the free list was not written to');

  const row = rows.scan();
  t.true(row.next());
  store.close();
  t.throws(() => row.hits, {instanceOf: StoreError, code: 'ERR_CLOSED'});
});

test('records that are added during an iteration are part of it', async t => {
  const store = await fresh(t, 'memory', {rows: ty.table(struct('Row', {hits: ty.u32}))});
  const {rows} = store.root;
  rows.insert({hits: 0});
  let seen = 0;
  for (const row of rows) if (row.hits === seen++ && seen < 1000) rows.insert({hits: seen});
  t.is(seen, 1000);
});
