// What each type and collection promises beyond reading back what was written.

import {inspect} from 'node:util';
import test from 'ava';
import * as flatbuffers from 'flatbuffers';
import {openStore, struct, t as ty} from '../src/index.js';
import {BACKENDS, fresh, freshName, pathOf} from './helpers/stores.js';

/** What flatc generates for: table Pixel { x: int; name: string; } */
class Pixel {
  private constructor(
    readonly bb: flatbuffers.ByteBuffer,
    private readonly at: number,
  ) {}
  static getRootAsPixel(bb: flatbuffers.ByteBuffer): Pixel {
    return new Pixel(bb, bb.readInt32(bb.position()) + bb.position());
  }
  x(): number {
    const offset = this.bb.__offset(this.at, 4);
    return offset ? this.bb.readInt32(this.at + offset) : 0;
  }
  name(): string | null {
    const offset = this.bb.__offset(this.at, 6);
    return offset ? (this.bb.__string(this.at + offset) as string) : null;
  }
}
function pixel(x: number, name: string): Uint8Array {
  const builder = new flatbuffers.Builder(64);
  const text = builder.createString(name);
  builder.startObject(2);
  builder.addFieldInt32(0, x, 0);
  builder.addFieldOffset(1, text, 0);
  builder.finish(builder.endObject());
  return builder.asUint8Array();
}

const Point = struct('Point', {x: ty.i32, label: ty.string()});
const Thing = struct('Thing', {
  at: Point,
  when: ty.timestamp,
  image: ty.flatbuffer(Pixel.getRootAsPixel),
  shape: ty.union({dot: Point, size: ty.f64}),
  marks: ty.array(ty.u8, 3),
  maybe: Point.optional(),
  friend: ty.ref(() => Point),
  any: ty.string(),
});
const schema = {
  things: ty.table(Thing, {capacity: 4}),
  points: ty.table(Point),
  byName: ty.map(ty.string(), Point),
  row: ty.vector(Point),
  last: ty.ring(Point, 2),
  queue: ty.list(Point),
  sorted: ty.sorted(ty.string(), ty.u32),
  when: ty.sorted(ty.timestamp, ty.bool),
  keys: ty.map(ty.i64, ty.bool),
};

for (const backend of BACKENDS) {
  test(`${backend}: a FlatBuffer is read where it lies`, async t => {
    const store = await fresh(t, backend, schema);
    const thing = store.root.things.insert({});
    t.is(thing.image, null);
    thing.$set({image: pixel(7, 'sept')});
    const read = thing.image as unknown as Pixel;
    t.is(read.x(), 7);
    t.is(read.name(), 'sept');
    t.is(read.bb.bytes().buffer, store.memory.buffer, 'no copy');
    thing.$set({image: pixel(8, 'huit')});
    t.is((thing.image as unknown as Pixel).name(), 'huit');
    t.throws(
      () => {
        thing.$set({image: Uint8Array.of(1)});
      },
      {code: 'ERR_VALUE'},
    );
    store.root.things.remove(thing);
    t.deepEqual(store.check().problems, []);
  });

  test(`${backend}: inner records are live and end with what holds them`, async t => {
    const store = await fresh(t, backend, schema);
    const {root} = store;
    const thing = root.things.insert({
      at: {x: 1, label: 'one'},
      when: 5,
      shape: {tag: 'dot', value: {x: 2, label: 'two'}},
      marks: [1, 2, 3],
    });
    const {at, marks} = thing;
    at.x = 10;
    at.label = 'ten';
    t.deepEqual(thing.at.toJSON(), {x: 10, label: 'ten'});
    thing.$set({at: {x: 11}});
    t.deepEqual(thing.at.toJSON(), {x: 11, label: ''}, 'what is left out is zero');
    t.deepEqual(thing.when, new Date(5));
    thing.when = new Date(-1);
    t.is(thing.when.getTime(), -1);
    t.throws(
      () => {
        thing.when = new Date(Number.NaN);
      },
      {code: 'ERR_VALUE'},
    );
    const shape = thing.shape;
    t.is(shape.tag, 'dot');
    thing.$set({shape: shape}); // its own value
    t.deepEqual(thing.toJSON().shape, {tag: 'dot', value: {x: 2, label: 'two'}});
    thing.$set({shape: {tag: 'size', value: 2.5}});
    t.deepEqual(thing.shape, {tag: 'size', value: 2.5});
    t.throws(
      () => {
        thing.$set({shape: {tag: 'line', value: 1} as never});
      },
      {code: 'ERR_VALUE'},
    );
    t.is(thing.maybe, null);
    thing.$set({maybe: {x: 3, label: 'three'}});
    t.is(thing.maybe?.label, 'three');
    t.throws(() => thing.$set({nothing: 1} as never), {code: 'ERR_VALUE', message: /at, when/});
    thing.$set({maybe: null});
    t.is(thing.maybe, null);
    t.deepEqual([...marks], [1, 2, 3]);
    marks.set(1, 9);
    t.is(marks.at(1), 9);
    t.is(marks.at(-1), 3);
    t.is(marks.at(3), undefined);
    t.throws(() => marks.set(3, 1), {code: 'ERR_VALUE'});
    t.throws(
      () => {
        thing.$set({marks: [1, 2]});
      },
      {code: 'ERR_VALUE'},
    );
    t.throws(
      () => {
        thing.$set({marks: [1, 2, 300]});
      },
      {code: 'ERR_VALUE'},
    );
    t.deepEqual([...thing.marks], [1, 9, 3], 'nothing half-written');
    root.things.remove(thing);
    t.throws(() => at.x, {code: 'ERR_STALE'});
    t.throws(() => marks.at(0), {code: 'ERR_STALE'});
    t.deepEqual(store.check().problems, []);
  });

  test(`${backend}: a ref is null when its record is gone, and takes only records of its kind`, async t => {
    const {root} = await fresh(t, backend, schema);
    const point = root.points.insert({x: 4});
    const thing = root.things.insert({friend: point});
    t.is(thing.friend!.x, 4);
    t.is(thing.toJSON().friend, point.$id);
    t.throws(
      () => {
        thing.$set({friend: thing as never});
      },
      {code: 'ERR_VALUE'},
    );
    t.throws(
      () => {
        thing.$set({friend: {x: 1} as never});
      },
      {code: 'ERR_VALUE'},
    );
    root.byName.set('p', {x: 5});
    thing.$set({friend: root.byName.get('p')});
    t.is(thing.friend!.x, 5, 'a value of a map can be named too');
    root.byName.delete('p');
    t.is(thing.friend, null);
    thing.$set({friend: point});
    root.points.remove(point);
    root.points.insert({x: 6});
    t.is(thing.friend, null, 'never the record that took its slot');
    t.throws(
      () => {
        thing.$set({friend: point});
      },
      {code: 'ERR_VALUE'},
    );
  });

  test(`${backend}: live records of vector, ring, list and map end when their values go`, async t => {
    const {root} = await fresh(t, backend, schema);
    root.row.push({x: 1, label: 'a'});
    const first = root.row.at(0)!;
    first.x = 2;
    t.is(root.row.at(0)!.x, 2);
    root.row.set(0, {label: 'b'});
    t.deepEqual(root.row.at(0)!.toJSON(), {x: 0, label: 'b'});
    t.deepEqual(root.row.pop() as unknown, {x: 0, label: 'b'});
    t.throws(() => first.x, {code: 'ERR_STALE'});
    t.is(root.row.pop(), undefined);
    t.throws(() => root.row.set(0, {x: 1}), {code: 'ERR_VALUE'});
    root.last.push({x: 1});
    const oldest = root.last.at(0)!;
    root.last.push({x: 2});
    t.is(oldest.x, 1);
    root.last.push({x: 3});
    t.throws(() => oldest.x, {code: 'ERR_STALE'});
    t.deepEqual(
      [...root.last].map(p => p.x),
      [2, 3],
    );
    t.is(root.last.at(-1)!.x, 3);
    const id = root.queue.push({x: 1});
    const node = root.queue.get(id)!;
    t.is(node.x, 1);
    t.true(root.queue.remove(id));
    t.false(root.queue.remove(id));
    t.throws(() => node.x, {code: 'ERR_STALE'});
    t.throws(() => root.queue.insertAfter(id, {x: 1}), {code: 'ERR_STALE'});
    root.byName.set('k', {x: 1, label: 'old'});
    const value = root.byName.get('k')!;
    value.x++;
    root.byName.set('k', value);
    t.deepEqual(root.byName.get('k')!.toJSON(), {x: 2, label: 'old'}, 'its own value');
    root.byName.set('k', {x: 9});
    t.deepEqual(value.toJSON(), {x: 9, label: ''}, 'replaced, and what is left out is empty');
    root.byName.clear();
    t.throws(() => value.x, {code: 'ERR_STALE'});
    t.is(root.byName.size, 0);
  });

  test(`${backend}: a sorted map gives ranges both ways`, async t => {
    const {root} = await fresh(t, backend, schema);
    const words = ['kiwi', 'apple', 'fig', 'cherry', 'date', 'banana', 'éclair'];
    for (const [i, word] of words.entries()) root.sorted.set(word, i);
    const sorted = [...words].sort();
    t.deepEqual([...root.sorted.keys()], sorted);
    t.deepEqual(root.sorted.first(), ['apple', 1]);
    t.deepEqual(root.sorted.last(), ['éclair', 6]);
    const keys = (range: Parameters<typeof root.sorted.range>[0]) =>
      [...root.sorted.range(range)].map(([k]) => k);
    t.deepEqual(keys({gte: 'banana', lt: 'fig'}), ['banana', 'cherry', 'date']);
    t.deepEqual(keys({gt: 'banana', lte: 'fig'}), ['cherry', 'date', 'fig']);
    t.deepEqual(keys({gte: 'bz', lte: 'e', reverse: true}), ['date', 'cherry']);
    t.deepEqual(keys({gt: 'x', limit: 3}), ['éclair']);
    t.deepEqual(keys({reverse: true, limit: 2}), ['éclair', 'kiwi']);
    t.deepEqual(keys({lt: 'a'}), []);
    root.when.set(new Date(20), true).set(new Date(-20), false);
    t.deepEqual([...root.when.keys()], [new Date(-20), new Date(20)]);
    root.keys.set(-(2n ** 63n), true).set(2n ** 63n - 1n, false);
    t.deepEqual([...root.keys.keys()], [-(2n ** 63n), 2n ** 63n - 1n]);
    t.throws(() => root.keys.set(2n ** 63n, true), {code: 'ERR_VALUE'});
    t.is(root.keys.size, 2);
    t.throws(() => root.byName.set(3 as never, {}), {code: 'ERR_VALUE'});
    t.is(root.byName.get(3 as never), undefined);
  });
}

test('scan sees what for of sees', async t => {
  const {root} = await fresh(t, 'memory', schema);
  const all = Array.from({length: 200}, (_, x) => root.points.insert({x}));
  for (const [i, point] of all.entries()) if (i % 4 === 0) root.points.remove(point);
  const seen: [number, number, number][] = [];
  for (const point = root.points.scan(); point.next(); ) {
    seen.push([point.x, point.$id, point.$index]);
    point.x++;
  }
  t.deepEqual(
    seen,
    [...root.points].map(point => [point.x - 1, point.$id, point.$index] as [number, number, number]),
  );
});

test('a map forgets where a key was when it goes, comes back or never was', async t => {
  const store = await fresh(t, 'memory', {map: ty.map(ty.string(), ty.u32)});
  const {map} = store.root;
  map.set('a', 1).set('b', 2);
  t.is(map.get('a'), 1);
  t.is(map.get('a'), 1);
  map.delete('a');
  map.set('c', 3); // takes the slot of a
  t.is(map.get('a'), undefined);
  t.false(map.has('a'));
  t.is(map.get('b'), 2);
  t.throws(
    () =>
      store.transaction(() => {
        map.delete('b');
        map.set('d', 4); // takes the slot of b
        t.is(map.get('d'), 4);
        t.is(map.get('b'), undefined);
        throw new Error('undo');
      }),
    {message: 'undo'},
  );
  t.is(map.get('d'), undefined);
  t.is(map.get('b'), 2);
  t.throws(
    () =>
      store.transaction(() => {
        map.clear();
        t.is(map.get('b'), undefined);
        throw new Error('undo');
      }),
    {message: 'undo'},
  );
  t.is(map.get('b'), 2);
  map.set('b', 5);
  t.is(map.get('b'), 5);
  store.close();
  t.throws(() => map.get('b'), {code: 'ERR_CLOSED'});
  t.throws(() => map.has('b'), {code: 'ERR_CLOSED'});
});

for (const backend of BACKENDS)
  test(`${backend}: what is refused inside a transaction leaves nothing of itself when the transaction goes on`, async t => {
    const store = await fresh(t, backend, schema);
    const {root} = store;
    const thing = root.things.insert({
      at: {x: 1, label: 'one'},
      marks: [1, 2, 3],
      shape: {tag: 'dot', value: {x: 5, label: 'dot'}},
      maybe: {x: 6},
    });
    root.row.push({x: 1});
    const before = JSON.stringify(store.toJSON());
    store.transaction(() => {
      const refused: (() => unknown)[] = [
        () => root.things.insert({any: 'kept?', at: {x: 1.5}}),
        () => root.points.insert({label: 'kept?', x: '1' as never}),
        () => root.byName.set('kept?', {label: 'x', x: null as never}),
        () => root.row.push({x: 2}, {x: 2.5}),
        () => root.row.set(0, {label: 'kept?', x: 1.5}),
        () => root.last.push({label: 'kept?', x: 1.5}),
        () => root.queue.push({label: 'kept?', x: 1.5}),
        () => root.sorted.set('kept?', -1),
        () => root.keys.set(2n ** 64n, true),
        () => thing.$set({at: {label: 'kept?', x: 1.5}}),
        () => Object.assign(thing, {at: {label: 'kept?', x: 2 ** 40}}),
        () => thing.$set({any: 'kept?', marks: [9, 9, 999]}),
        () => Object.assign(thing, {marks: [9, 9, 999]}),
        () => Object.assign(thing, {shape: {tag: 'dot', value: {label: 'kept?', x: 0.5}}}),
        () => Object.assign(thing, {maybe: {label: 'kept?', x: 0.5}}),
        () => thing.marks.set(0, 256),
      ];
      for (const [i, act] of refused.entries()) t.throws(act, {code: 'ERR_VALUE'}, `refusal ${i}`);
      root.when.set(new Date(1), true);
    });
    t.is(root.when.size, 1);
    root.when.delete(new Date(1));
    t.is(JSON.stringify(store.toJSON()), before);
    t.deepEqual(store.check().problems, []);
  });

test('a collection is printed as what is in it, and a closed one too', async t => {
  const store = await fresh(t, 'memory', schema);
  const {points, byName, row, last, queue, sorted} = store.root;
  points.insert({x: 1});
  byName.set('a', {x: 2});
  row.push({x: 3});
  last.push({x: 4});
  queue.push({x: 5});
  sorted.set('b', 6);
  for (const collection of [points, byName, row, last, queue, sorted])
    t.is(inspect(collection), inspect(collection.toJSON()));
  store.close();
  t.is(inspect(points), 'Table (closed)');
});

for (const backend of BACKENDS)
  test(`${backend}: a vector holds values of every size, between others that stay as they are`, async t => {
    for (const bytes of [1, 3, 7, 8, 12, 20, 36, 52, 56, 57, 60, 100, 1000, 5000]) {
      const Large = struct('Large', {n: ty.u32, filler: ty.bytes(bytes), last: ty.u32});
      const schema = {
        large: ty.vector(Large),
        strings: ty.vector(ty.string(bytes)),
        before: ty.map(ty.u32, ty.string()),
      };
      const name = freshName();
      const store = await fresh(t, backend, schema, {name, logSize: '64KB'});
      const {large, strings, before} = store.root;
      for (let n = 0; n < 20; n++) {
        before.set(n * 2, `text ${n}`.repeat(9));
        large.push({n, filler: new Uint8Array(bytes).fill(n), last: n});
        strings.push(String.fromCharCode(97 + n).repeat(bytes));
        before.set(n * 2 + 1, `text ${n}`.repeat(9));
        t.deepEqual(store.check().problems, [], `${n} of ${bytes} bytes`);
      }
      store.close();
      const again = await openStore({name, backend, ...pathOf(name, backend), schema});
      for (let n = 0; n < 20; n++) {
        t.is(again.root.before.get(n * 2), `text ${n}`.repeat(9));
        t.is(again.root.before.get(n * 2 + 1), `text ${n}`.repeat(9));
        t.deepEqual(again.root.large.at(n)!.toJSON(), {n, filler: new Uint8Array(bytes).fill(n), last: n});
        t.is(again.root.strings.at(n), String.fromCharCode(97 + n).repeat(bytes));
      }
      again.destroy();
    }
  });
