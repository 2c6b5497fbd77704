// Handles made in a transaction that was undone stay stale, whatever takes their place later.
import test from 'ava';
import {openStore, type Schema, struct, t as ty} from '../src/index.js';
import {freshName} from './helpers/stores.js';

const Point = struct('Point', {x: ty.u32, name: ty.string()});

const open = async <const S extends Schema>(schema: S) =>
  await openStore({name: freshName(), size: '1MB', backend: 'memory', schema});

/** Runs `fn` in a transaction that fails. */
function undo(store: {transaction(fn: () => void): void}, fn: () => void): void {
  const failure = new Error('undone');
  try {
    store.transaction(() => {
      fn();
      throw failure;
    });
  } catch (error) {
    if (error !== failure) throw error;
  }
}

test('of a slot that was taken, given back and taken again', async t => {
  const store = await open({points: ty.table(Point)});
  const {points} = store.root;
  const handles: {x: number}[] = [];
  undo(store, () => {
    for (let i = 0; i < 3; i++) {
      const point = points.insert({x: i});
      handles.push(point);
      if (i < 2) points.remove(point);
    }
  });
  for (let i = 0; i < 5; i++) {
    const point = points.insert({x: 99});
    for (const handle of handles) t.throws(() => handle.x, {code: 'ERR_STALE'});
    points.remove(point);
  }
  t.deepEqual(store.check().problems, []);
  store.destroy();
});

test('of a slot that was in use before', async t => {
  const store = await open({points: ty.table(Point)});
  const {points} = store.root;
  const before = points.insert({x: 1});
  const handles: {x: number}[] = [];
  for (let i = 0; i < 3; i++)
    undo(store, () => {
      points.remove(before);
      handles.push(points.insert({x: 2}));
    });
  t.is(before.x, 1);
  points.remove(before);
  for (let i = 0; i < 5; i++) {
    const point = points.insert({x: 99});
    t.is(points.get(point.$id)!.x, 99);
    for (const handle of handles) t.throws(() => handle.x, {code: 'ERR_STALE'});
    points.remove(point);
  }
  t.deepEqual(store.check().problems, []);
  store.destroy();
});

test('of a transaction inside one that fails too', async t => {
  const store = await open({
    points: ty.table(Point),
    named: ty.map(ty.string(), Point),
    queue: ty.list(Point),
  });
  const {points, named, queue} = store.root;
  const handles: {x: number}[] = [];
  undo(store, () =>
    undo(store, () => {
      handles.push(points.insert({x: 2}), named.set('a', {x: 2}).get('a')!, queue.get(queue.push({x: 2}))!);
    }),
  );
  points.insert({x: 99});
  named.set('b', {x: 99});
  queue.push({x: 99});
  for (const handle of handles) t.throws(() => handle.x, {code: 'ERR_STALE'});
  store.destroy();
});

test('of a vector that moved: it writes into nobody else', async t => {
  const store = await open({row: ty.vector(Point), texts: ty.map(ty.u32, ty.string())});
  const {row, texts} = store.root;
  for (let x = 0; x < 3; x++) row.push({x});
  const handles: {x: number}[] = [];
  for (let i = 0; i < 3; i++)
    undo(store, () => {
      for (let x = 0; x < 10 * i + 10; x++) row.push({x});
      handles.push(row.at(0)!);
    });
  const text = 'a'.repeat(500);
  for (let i = 0; i < 10; i++) {
    texts.set(i, text);
    row.push(row.pop()!);
    for (const handle of handles)
      t.throws(
        () => {
          handle.x = 0xdead;
        },
        {code: 'ERR_STALE'},
      );
  }
  t.true([...texts.values()].every(each => each === text));
  t.deepEqual(store.check().problems, []);
  store.destroy();
});

test('of a ring', async t => {
  const store = await open({last: ty.ring(Point, 2)});
  const {last} = store.root;
  for (let i = 0; i < 5; i++) {
    let handle: {x: number} | undefined;
    undo(store, () => {
      last.push({x: 1});
      handle = last.at(-1);
    });
    last.push({x: 99});
    t.throws(() => handle!.x, {code: 'ERR_STALE'});
  }
  t.deepEqual(
    [...last].map(({x}) => x),
    [99, 99],
  );
  store.destroy();
});

const Box = struct('Box', {
  content: ty.union({
    point: Point,
    pair: ty.array(ty.u32, 2),
    number: ty.u64,
    deep: struct('Deep', {inner: Point}),
  }),
  maybe: Point.optional(),
  after: ty.u64,
});

test('what is in a union or an optional is gone when something else is there, and its handle writes to nothing', async t => {
  const store = await open({boxes: ty.table(Box), row: ty.vector(Box), texts: ty.map(ty.u32, ty.string())});
  const {boxes, row, texts} = store.root;
  row.push({});
  texts.set(0, 'another one');
  const stale = {code: 'ERR_STALE'} as const;
  for (const box of [boxes.insert({after: 5n}), row.at(0)!]) {
    box.$set({content: {tag: 'point', value: {x: 1, name: 'a point'}}, maybe: {x: 2, name: 'maybe'}});
    const [point, maybe] = [box.content.value as typeof Point.value, box.maybe!];
    point.x = 3;
    box.$set({content: {tag: 'point', value: {x: 4}}});
    t.is(point.x, 4, 'as long as the tag stays');
    for (const undone of [true, false]) {
      const change = () => {
        box.$set({content: {tag: 'number', value: 2n ** 40n + 7n}, maybe: null});
        for (const handle of [point, maybe]) {
          t.throws(() => handle.x, stale);
          t.throws(() => handle.toJSON(), stale);
          t.throws(() => Object.assign(handle, {x: 9}), stale);
          t.throws(() => Object.assign(handle, {name: 'written to nobody'}), stale);
        }
        t.deepEqual(box.toJSON(), {
          content: {tag: 'number', value: 2n ** 40n + 7n},
          maybe: null,
          after: box.after,
        });
      };
      if (!undone) change();
      else undo(store, change);
      if (undone) t.deepEqual([point.x, maybe.x], [4, 2]);
    }
    box.$set({content: {tag: 'pair', value: [1, 2]}});
    const pair = box.content.value as Iterable<number> & {set(i: number, v: number): void};
    box.$set({content: {tag: 'deep', value: {inner: {x: 5, name: 'deep'}}}});
    t.throws(() => [...pair], stale);
    t.throws(() => pair.set(0, 1), stale);
    const {inner} = box.content.value as unknown as {inner: typeof Point.value};
    t.is(inner.name, 'deep');
    box.$set({content: {tag: 'number', value: 1n}});
    t.throws(() => inner.name, stale);
    t.deepEqual(store.check().problems, []);
  }
  t.is(texts.get(0), 'another one');
  store.destroy();
});
