// What users hand to a store and what they do to what it gives them: values of other realms, names that nobody declared, names
// that every object inherits, wrong kinds of arguments, copies and comparisons of records, loops over a store that is closed.

import assert from 'node:assert';
import {execFileSync} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {runInNewContext} from 'node:vm';
import test from 'ava';
import {openStore, readStore, type Store, struct, t as ty} from '../src/index.js';
import {fresh, freshName} from './helpers/stores.js';

const Point = struct('Point', {x: ty.u32, label: ty.string(), note: ty.u8.optional()});
const Thing = struct('Thing', {
  id: ty.u32,
  at: Point,
  any: ty.union({a: ty.u32.optional(), p: Point}).optional(),
  marks: ty.array(Point, 2),
});
const schema = {
  things: ty.table(Thing),
  map: ty.map(ty.string(), Point),
  numbers: ty.map(ty.u32, ty.u32),
  sorted: ty.sorted(ty.u32, Point),
  list: ty.list(Point),
  vector: ty.vector(Point),
  ring: ty.ring(Point, 4),
  at: Point,
  count: ty.u32,
};
type Any = ReturnType<typeof JSON.parse>;
const untyped = (store: {root: unknown}) => store.root as Any;

test('a Date and bytes of another realm are what they are, and what only looks like them is refused', async t => {
  const theirs = runInNewContext('({Date, Uint8Array, Map, Object})') as typeof globalThis;
  const {root} = await fresh(t, 'memory', {
    when: ty.timestamp,
    some: ty.bytes(),
    two: ty.bytes(2),
    byBytes: ty.map(ty.bytes(), ty.u32),
    inOrder: ty.sorted(ty.bytes(), ty.u32),
    byTime: ty.sorted(ty.timestamp, ty.u32),
    points: ty.vector(Point),
    either: ty.union({p: Point, n: ty.u32}),
  });
  const bytes = new theirs.Uint8Array([7, 8]);
  root.when = new theirs.Date(5);
  root.some = bytes;
  root.two = bytes;
  root.byBytes.set(bytes, 1);
  root.inOrder.set(bytes, 2).set(new theirs.Uint8Array([1]), 1);
  root.byTime.set(new theirs.Date(9), 3);
  root.points.push(runInNewContext('({x: 3, label: "theirs"})') as {x: number});
  (root as Any).either = runInNewContext('({tag: "p", value: {x: 4}})');
  t.deepEqual(root.when, new Date(5));
  t.deepEqual([root.some, root.two], [Uint8Array.of(7, 8), Uint8Array.of(7, 8)]);
  t.is(root.byBytes.get(Uint8Array.of(7, 8)), 1);
  t.is(root.byBytes.get(bytes), 1);
  t.is(root.inOrder.get(bytes), 2);
  t.deepEqual([...root.inOrder.values()], [1, 2]);
  t.is(root.byTime.get(new theirs.Date(9)), 3);
  t.is(root.byTime.get(9), 3);
  t.is(root.points.at(0)?.label, 'theirs');
  t.is((root.either.value as {x: number}).x, 4);

  const refused = {code: 'ERR_VALUE'};
  for (const no of [Object.create(Date.prototype), Object.create(theirs.Date.prototype), {getTime: () => 1}])
    t.throws(() => Object.assign(root, {when: no}), refused);
  for (const no of [Object.create(Uint8Array.prototype), new Uint16Array(2), new ArrayBuffer(2), [7, 8]]) {
    t.throws(() => Object.assign(root, {some: no}), refused);
    t.throws(() => Object.assign(root, {two: no}), refused);
    t.throws(() => root.byBytes.set(no, 1), refused);
    t.throws(() => root.inOrder.set(no, 1), refused);
    t.false(root.byBytes.has(no));
    t.false(root.inOrder.has(no));
  }
  for (const no of [new theirs.Map(), new Set(), new Date(), Uint8Array.of(1), [], [[]]])
    t.throws(() => root.points.push(no as Any), refused);
});

test('names that nobody declared are refused wherever something is written, and nothing is', async t => {
  const store = await fresh(t, 'memory', schema);
  const root = untyped(store);
  const full = {x: 1, label: 'a', note: 2};
  const thing = root.things.insert({id: 1, at: full, any: {tag: 'p', value: full}, marks: [full, full]});
  root.map.set('k', full);
  root.sorted.set(1, full);
  root.vector.push(full);
  root.ring.push(full);
  root.list.push(full);
  const typo = {x: 5, lable: 'b'};
  const hidden = Object.assign(Object.create(null), typo);
  const before = JSON.stringify(store.toJSON());
  const writes: Record<string, () => unknown> = {
    insert: () => root.things.insert({id: 2, nmae: 1}),
    'insert, inner': () => root.things.insert({at: typo}),
    'insert, of null prototype': () => root.things.insert({at: hidden}),
    'insert in a transaction': () => store.transaction(() => root.things.insert({id: 2, nmae: 1})),
    'insert, undefined': () => root.things.insert({nmae: undefined}),
    'insert, another struct': () => root.things.insert(root.map.get('k')),
    'insert, as many as values': () => root.things.insert({id: undefined, nmae: 1}),
    'assignment of a struct': () => {
      thing.at = typo;
    },
    'assignment at the root': () => {
      root.at = typo;
    },
    'a union': () => {
      thing.any = {tag: 'p', value: full, valeu: 1};
    },
    'in a union': () => {
      thing.any = {tag: 'p', value: typo};
    },
    'an array': () => {
      thing.marks = [full, typo];
    },
    'an array, one': () => thing.marks.set(0, typo),
    $set: () => thing.$set({nmae: 1}),
    '$set, inner': () => thing.$set({at: typo}),
    'map.set, new': () => root.map.set('new', typo),
    'map.set': () => root.map.set('k', typo),
    'sorted.set, new': () => root.sorted.set(2, typo),
    'sorted.set': () => root.sorted.set(1, typo),
    'vector.set': () => root.vector.set(0, typo),
    'vector.push': () => root.vector.push(full, typo),
    'ring.push': () => root.ring.push(typo),
    'list.push': () => root.list.push(typo),
    'a property': () => {
      thing.nmae = 1;
    },
    'a property of an inner record': () => {
      thing.at.lable = 'b';
    },
    'a property of what is scanned': () => {
      const row = root.things.scan();
      row.next();
      row.nmae = 1;
    },
    'a property of the root': () => {
      root.cuont = 1;
    },
    'a property of a collection': () => {
      root.map.k = full;
    },
    'a name that objects inherit': () => {
      thing.toString = () => '';
    },
    range: () => root.sorted.range({limt: 1}),
    ...Object.fromEntries(
      ['things', 'map', 'sorted', 'vector', 'ring', 'list'].flatMap(name => [
        [`${name}[0]`, () => root[name][0]],
        [
          `${name}[0] =`,
          () => {
            root[name][0] = full;
          },
        ],
      ]),
    ),
    'marks[0]': () => thing.marks[0],
  };
  for (const [name, write] of Object.entries(writes)) {
    t.throws(write, {code: 'ERR_VALUE'}, name);
    t.is(JSON.stringify(store.toJSON()), before, name);
  }
  t.true(store.check().ok);
  // What is there, or is left to its zero, goes on working.
  t.is(root.things.insert({id: undefined}).id, 0);
  t.is(root.things.insert(Object.assign(Object.create(null), {id: 4})).id, 4);
  t.is(root.things.insert(thing).at.label, 'a');
  t.is(await Promise.resolve(thing), thing); // no promise
});

test('an optional union keeps its tag when the value in it is null', async t => {
  const {root} = await fresh(t, 'memory', schema);
  const thing = root.things.insert({any: {tag: 'a', value: null}});
  t.deepEqual(thing.toJSON().any, {tag: 'a', value: null});
  thing.any = {tag: 'a', value: 5};
  thing.$set({any: {tag: 'a', value: null}});
  t.deepEqual(thing.toJSON().any, {tag: 'a', value: null});
  thing.any = null;
  t.is(thing.any, null);
});

test('names that every object inherits are no values, and name what they are made to name', async t => {
  const inherited = Object.getOwnPropertyNames(Object.prototype);
  for (const name of inherited) {
    t.throws(() => struct('S', {[name]: ty.u32}), {code: 'ERR_SCHEMA'}, name);
    await t.throwsAsync(openStore({name: 'x', schema: {}, [name]: 1} as Any), {code: 'ERR_OPTIONS'}, name);
  }
  const [first, ...others] = inherited as [string, ...string[]];
  const {root} = await fresh(t, 'memory', {
    map: ty.map(ty.string(), ty.u32),
    enum: ty.enum(first, ...others),
    union: ty.union(Object.fromEntries(inherited.map(name => [name, ty.u32]))),
    small: ty.union({a: ty.u32}),
    one: ty.enum('a'),
  });
  for (const name of inherited) {
    t.is(root.map.get(name), undefined, name);
    t.false(root.map.delete(name));
    t.throws(() => Object.assign(root, {one: name}), {code: 'ERR_VALUE'});
    t.throws(() => Object.assign(root, {small: {tag: name, value: 1}}), {code: 'ERR_VALUE'});
    root.map.set(name, 1);
    root.enum = name;
    root.union = {tag: name, value: 3};
    t.deepEqual([root.map.get(name), root.enum, root.union.tag, root.union.value], [1, name, name, 3]);
  }
});

test('a field may be called next; only a row that moves cannot have it', async t => {
  const Linked = struct('Linked', {next: ty.u32, done: ty.bool, value: ty.u32, length: ty.u32});
  const {root} = await fresh(t, 'memory', {rows: ty.table(Linked), list: ty.list(Linked)});
  const row = root.rows.insert({next: 5, value: 6, length: 7});
  root.list.push({next: 8});
  t.deepEqual([row.next, row.value, row.length, root.list.first?.next], [5, 6, 7, 8]);
  t.deepEqual(
    [...root.rows].map(each => each.next),
    [5],
  );
  t.throws(() => root.rows.scan(), {code: 'ERR_VALUE', message: /next/});
});

test('a wrong kind of id, key or index names nothing', async t => {
  const store = await fresh(t, 'memory', schema);
  const root = untyped(store);
  root.things.insert({id: 1});
  root.list.push({x: 1});
  root.vector.push({x: 1});
  root.ring.push({x: 1});
  root.map.set('', {x: 1}).set('0', {x: 1}).set('null', {x: 1});
  root.numbers.set(0, 1).set(1, 1);
  root.sorted.set(0, {x: 1}).set(1, {x: 1});
  const before = JSON.stringify(store.toJSON());
  const wrong = [
    null,
    undefined,
    '',
    '0',
    '1',
    'x',
    [],
    [0],
    {},
    true,
    false,
    0n,
    1n,
    Symbol('s'),
    new Date(0),
    Number.NaN,
    0.5,
    -0.5,
    Number.POSITIVE_INFINITY,
    () => 0,
  ];
  for (const no of wrong) {
    const what = String(typeof no === 'object' ? JSON.stringify(no) : String(no));
    t.is(root.things.get(no), undefined, what);
    t.is(root.list.get(no), undefined, what);
    t.is(root.list.remove(no), false, what);
    t.throws(() => root.list.insertAfter(no, {}), {code: 'ERR_STALE'}, what);
    for (const name of ['vector', 'ring']) t.is(root[name].at(no), undefined, what);
    t.throws(() => root.vector.set(no, {}), {code: 'ERR_VALUE'}, what);
    for (const name of ['numbers', 'sorted']) {
      t.is(root[name].get(no), undefined, what);
      t.false(root[name].has(no), what);
      t.false(root[name].delete(no), what);
    }
    if (typeof no !== 'string') {
      t.is(root.map.get(no), undefined, what);
      t.false(root.map.delete(no), what);
      t.throws(() => root.map.set(no, {}), {code: 'ERR_VALUE'}, what);
    }
    if (typeof no === 'number') t.false(root.things.remove(no), what);
    else t.throws(() => root.things.remove(no), {code: 'ERR_VALUE'}, what);
    if (Object(no) !== no && no !== undefined)
      t.throws(() => root.sorted.range(no), {code: 'ERR_VALUE'}, what);
  }
  t.is(JSON.stringify(store.toJSON()), before);
});

test('limit counts what is given', async t => {
  const {root} = await fresh(t, 'memory', {sorted: ty.sorted(ty.u32, ty.u32)});
  for (let k = 0; k < 10; k++) root.sorted.set(k, k);
  const keys = (options: object) => [...root.sorted.range(options)].map(([key]) => key);
  t.deepEqual(keys({gte: 3, gt: 3, limit: 2}), [4, 5]);
  t.deepEqual(keys({gte: 3, gt: 5, limit: 2}), [6, 7]);
  t.deepEqual(keys({lte: 5, lt: 5, reverse: true, limit: 2}), [4, 3]);
  t.deepEqual(keys({lte: 5, lt: 2, reverse: true, limit: 9}), [1, 0]);
  t.deepEqual(keys({limit: 0}), []);
  for (const limit of [-1, Number.NaN, '3', null])
    t.throws(() => root.sorted.range({limit} as object), {code: 'ERR_VALUE'}, String(limit));
});

test('what copies, lists or compares a record gets its fields or an error', async t => {
  const store = await fresh(t, 'memory', schema);
  const {root} = store;
  const [a, b, c] = [1, 2, 1].map(id => root.things.insert({id, at: {x: id}})) as [Any, Any, Any];
  const names = Object.keys(Thing.fields);
  const scan = root.things.scan();
  scan.next();
  for (const record of [a, scan]) {
    const listed: string[] = [];
    for (const name in record) listed.push(name);
    t.deepEqual(listed, names);
    t.true(names.every(name => name in record));
    for (const shown of [Object.keys(record), Object.keys({...record}), Object.keys(structuredClone(record))])
      t.deepEqual(shown, [], 'nothing of its inside');
  }
  t.deepEqual(JSON.parse(JSON.stringify(a)), JSON.parse(JSON.stringify(a.toJSON())));
  assert.deepEqual(a, c);
  assert.deepStrictEqual(a, c);
  assert.notDeepEqual(a, b);
  t.throws(() => assert.deepStrictEqual(a, b));
  t.throws(() => assert.deepEqual(a.at, b.at));
  root.things.remove(b);
  t.regex(Object.prototype.toString.call(b), /ERR_STALE/);

  // The root is there once, and can afford to have its fields for its own.
  t.deepEqual(Object.keys(root), Object.keys(schema));
  t.is({...root}.count, 0);
  t.is(Object.prototype.toString.call(root), '[object Root]');
  for (const name of ['things', 'map', 'sorted', 'list', 'vector', 'ring'] as const) {
    t.deepEqual(Object.keys(root[name]), ['toJSON()']);
    for (const copy of [
      () => ({...root[name]}),
      () => structuredClone(root[name]),
      () => Object.assign({}, root[name]),
      () => assert.deepEqual(root[name], root[name === 'map' ? 'sorted' : 'map']),
    ])
      t.throws(copy, {code: 'ERR_VALUE'}, name);
  }
});

type Full = Store<typeof schema>['root'];
const loops: Record<string, (root: Full) => Iterable<unknown>> = {
  'table, for of': root => root.things,
  'table, scan': root => ({
    *[Symbol.iterator]() {
      for (const row = root.things.scan(); row.next(); ) yield row;
    },
  }),
  'map.keys': root => root.map.keys(),
  'map.values': root => root.map.values(),
  'map.entries': root => root.map.entries(),
  map: root => root.map,
  'sorted.keys': root => root.sorted.keys(),
  'sorted.values': root => root.sorted.values(),
  'sorted.entries': root => root.sorted.entries(),
  'sorted.range, reverse': root => root.sorted.range({reverse: true}),
  'sorted.range, limit': root => root.sorted.range({gte: 0, limit: 9}),
  sorted: root => root.sorted,
  list: root => root.list,
  'list.entries': root => root.list.entries(),
  vector: root => root.vector,
  ring: root => root.ring,
  array: root => [...root.things][0]!.marks,
};
for (const [name, loop] of Object.entries(loops))
  for (const end of ['close', 'destroy'] as const)
    for (const options of [{}, {maxSize: '2MB'}, {writers: 'many' as const}])
      for (const count of [1, 3])
        test(`${name} over ${count}: ${end} in the loop ends it by an error ${JSON.stringify(options)}`, async t => {
          const store = await openStore({
            name: freshName(),
            size: '1MB',
            backend: 'memory',
            schema,
            ...options,
          });
          const {root} = store;
          for (let i = 0; i < count; i++) {
            root.things.insert({id: i});
            root.map.set(`${i}`, {x: i});
            root.sorted.set(i, {x: i});
            root.list.push({x: i});
            root.vector.push({x: i});
            root.ring.push({x: i});
          }
          const late = loop(root)[Symbol.iterator]();
          let turns = 0;
          t.throws(
            () => {
              for (const _ of loop(root)) {
                turns++;
                store[end]();
              }
            },
            {code: 'ERR_CLOSED'},
          );
          t.is(turns, 1);
          t.throws(() => late.next(), {code: 'ERR_CLOSED'});
          if (end === 'close')
            (await openStore({name: store['engine'].name, backend: 'memory', schema})).destroy();
        });

test('a loop goes on while the store grows', async t => {
  const {root} = await fresh(t, 'memory', schema, {size: 65536, maxSize: '4MB'});
  for (let i = 0; i < 3; i++) {
    root.list.push({x: i});
    root.map.set(`${i}`, {x: i});
  }
  let sum = 0;
  for (const {x} of root.list) {
    sum += x;
    for (let i = 0; i < 40; i++) root.map.set(`${x} ${i}`, {label: 'x'.repeat(5000)});
  }
  t.is(sum, 3);
});

test('an optional field costs what the plain one does', async t => {
  const size = 2 ** 20;
  const {root} = await fresh(t, 'memory', {it: ty.bytes(size).optional()}, {size: '32MB', logSize: '4MB'});
  root.it = new Uint8Array(size).fill(7);
  t.is(root.it?.[size - 1], 7);
  root.it = null;
  t.is(root.it, null);
  const text = (type: {access(byte: number, path: string, captures: never): {set: string}}) => {
    const captures = {
      engine: {memory: {}},
      guards: [],
      add: () => 'K',
      element: () => 'c',
      variable: () => 'x',
      under: (_: unknown, of: () => unknown) => of(),
    };
    return type.access(0, '', captures as never).set.length;
  };
  t.true(text(ty.bytes(size).optional() as Any) < 20 * text(ty.bytes(size) as Any));
});

test('using and await using close what they were given', async t => {
  const name = freshName();
  const store = await openStore({name, size: '1MB', backend: 'memory', schema: {a: ty.u32}});
  const reader = await readStore({name, backend: 'memory'});
  const changes = store.watch();
  await changes[Symbol.asyncDispose]();
  t.true((await changes.next()).done);
  for (const each of [store.snapshot(), reader, store]) {
    each[Symbol.dispose]();
    t.throws(() => each.info(), {code: 'ERR_CLOSED'});
  }
  const again = await openStore({name, backend: 'memory', schema: {a: ty.u32}});
  await again[Symbol.asyncDispose]();
  t.throws(() => again.info(), {code: 'ERR_CLOSED'});
  (await openStore({name, backend: 'memory', schema: {a: ty.u32}})).destroy();
});

test('where no code may be made from strings a store says so before anything is made', t => {
  const folder = mkdtempSync(join(tmpdir(), 'values-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  const program = join(folder, 'program.mjs');
  const index = fileURLToPath(new URL('../dist/index.js', import.meta.url));
  writeFileSync(
    program,
    `import {existsSync} from 'node:fs';
     import {openStore, readStore, t} from ${JSON.stringify(index)};
     const place = {name: 'x', backend: 'file', path: ${JSON.stringify(join(folder, 'x.store'))}, size: '1MB'};
     for (const open of [openStore, readStore])
       await open({...place, schema: {a: t.u32}}).catch(({code}) => console.log(code, existsSync(place.path)));`,
  );
  const out = execFileSync(process.execPath, ['--disallow-code-generation-from-strings', program], {
    encoding: 'utf8',
  });
  t.is(out, 'ERR_UNSUPPORTED false\n'.repeat(2));
});
