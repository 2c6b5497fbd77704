// What is written may be made of what is written over: live records, views, iterators and getters over the same store.
import test from 'ava';
import * as flatbuffers from 'flatbuffers';
import {openStore, type Schema, type Store, struct, t as ty} from '../src/index.js';
import {freshName} from './helpers/stores.js';

const Dot = struct('Dot', {x: ty.u32, name: ty.string()});
const Shape = struct('Shape', {
  dots: ty.array(Dot, 3),
  grid: ty.array(ty.array(ty.u8, 2), 2),
  a: Dot,
  b: Dot,
  label: ty.string().optional(),
  maybe: Dot.optional(),
  state: ty.union({old: Dot, new: Dot, text: ty.string()}),
});
const [one, two, three] = [
  {x: 1, name: 'one'},
  {x: 2, name: 'two'},
  {x: 3, name: 'three'},
];
// Object.assign sets by the accessors, as `shape.dots = ...` does; what it takes is not what a read gives.
const plain = (value: unknown) => JSON.parse(JSON.stringify(value)) as unknown;

async function open<const S extends Schema>(schema: S): Promise<Store<S>> {
  return await openStore({name: freshName(), size: '1MB', backend: 'memory', schema});
}

test('values of an array change places', async t => {
  const store = await open({shapes: ty.table(Shape)});
  const shape = store.root.shapes.insert({
    dots: [one, two, three],
    grid: [
      [1, 2],
      [3, 4],
    ],
  });
  Object.assign(shape, {dots: [...shape.dots].reverse()});
  t.deepEqual(plain(shape.dots), [three, two, one]);
  Object.assign(shape, {dots: [...shape.dots].sort((p, q) => p.x - q.x)});
  t.deepEqual(plain(shape.dots), [one, two, three]);
  Object.assign(shape, {grid: [...shape.grid].reverse()});
  t.deepEqual(plain(shape.grid), [
    [3, 4],
    [1, 2],
  ]);
  Object.assign(shape, {dots: shape.dots});
  shape.dots.set(0, shape.dots.at(0)!);
  shape.dots.set(0, shape.dots.at(2)!);
  t.deepEqual(plain(shape.dots), [three, two, three]);
  t.deepEqual(store.check().problems, []);
  store.destroy();
});

test('fields change places, and become themselves', async t => {
  const store = await open({
    shapes: ty.table(Shape),
    byName: ty.map(ty.string(), Shape),
    due: ty.sorted(ty.u32, Shape),
  });
  const shape = store.root.shapes.insert({a: one, b: two, label: 'l', maybe: three});
  shape.$set({a: shape.b, b: shape.a});
  t.deepEqual(plain([shape.a, shape.b]), [two, one]);
  Object.assign(shape, {a: shape.a});
  Object.assign(shape, {label: shape.label});
  Object.assign(shape, {maybe: shape.maybe});
  Object.assign(shape, {state: {tag: 'old', value: three}});
  Object.assign(shape, {state: shape.state});
  shape.state = {tag: 'new', value: shape.state.value as typeof Dot.value};
  t.deepEqual(plain(shape), {
    dots: Array.from({length: 3}, () => ({x: 0, name: ''})),
    grid: [
      [0, 0],
      [0, 0],
    ],
    a: two,
    b: one,
    label: 'l',
    maybe: three,
    state: {tag: 'new', value: three},
  });
  for (const map of [store.root.byName, store.root.due] as {
    get(key: unknown): typeof Shape.value | undefined;
    set(key: unknown, value: typeof Shape.init): unknown;
  }[]) {
    const key = map === (store.root.byName as unknown) ? 'k' : 5;
    map.set(key, {a: one, b: two, dots: [one, two, three], state: {tag: 'old', value: one}});
    map.set(key, map.get(key)!);
    const old = map.get(key)!;
    map.set(key, {a: old.b, b: old.a, dots: old.dots, state: old.state});
    t.deepEqual(plain(map.get(key)!.dots), [one, two, three]);
    t.deepEqual(plain([old.a, old.b, old.state]), [two, one, {tag: 'old', value: one}]);
  }
  t.throws(() => shape.$set({toJSON: 1} as never), {code: 'ERR_VALUE'});
  t.deepEqual(store.check().problems, []);
  store.destroy();
});

test('a row takes a value of its own', async t => {
  const store = await open({row: ty.vector(Dot), last: ty.ring(Dot, 2), queue: ty.list(Dot)});
  const {row, last, queue} = store.root;
  row.push(one);
  for (let i = 0; i < 100; i++) row.push(row.at(0)!, row.at(-1)!);
  t.true([...row].every(dot => dot.x === 1 && dot.name === 'one'));
  last.push(one);
  last.push(two);
  last.push(last.at(0)!);
  t.deepEqual(plain(last), [two, one]);
  queue.push(queue.get(queue.push(three))!);
  t.deepEqual(plain(queue), [three, three]);
  t.deepEqual(store.check().problems, []);
  store.destroy();
});

/** What flatc generates for: table Pixel { x: int; } */
class Pixel {
  private constructor(
    readonly bb: flatbuffers.ByteBuffer,
    private readonly at: number,
  ) {}
  static getRootAsPixel(bb: flatbuffers.ByteBuffer): Pixel {
    return new Pixel(bb, bb.readInt32(bb.position()) + bb.position());
  }
  x(): number {
    return this.bb.readInt32(this.at + this.bb.__offset(this.at, 4));
  }
}
function pixel(x: number): Uint8Array {
  const builder = new flatbuffers.Builder(64);
  builder.startObject(1);
  builder.addFieldInt32(0, x, 0);
  builder.finish(builder.endObject());
  return builder.asUint8Array();
}

test('what is taken off stays readable, whatever takes its place', async t => {
  const store = await open({
    dots: ty.table(Dot),
    arrays: ty.list(ty.array(ty.u8, 2)),
    unions: ty.list(ty.union({dot: Dot})),
    pixels: ty.list(ty.flatbuffer(Pixel.getRootAsPixel)),
    refs: ty.vector(ty.ref(() => Dot)),
    shapes: ty.vector(ty.array(Dot, 1)),
  });
  const {dots, arrays, unions, pixels, refs, shapes} = store.root;
  const dot = dots.insert(one);
  arrays.push([1, 2]);
  unions.push({tag: 'dot', value: two});
  pixels.push(pixel(7) as never);
  refs.push(dot);
  shapes.push([three]);
  const [array, union, fresh, ref, shape] = [
    arrays.shift()!,
    unions.pop()!,
    pixels.shift()!,
    refs.pop()!,
    shapes.pop()!,
  ];
  arrays.push([9, 9]);
  unions.push({tag: 'dot', value: one});
  pixels.push(pixel(9) as never);
  shapes.push([one]);
  t.deepEqual([...array], [1, 2]);
  t.deepEqual(union, {tag: 'dot', value: two});
  t.is(fresh.x(), 7);
  t.is(ref.$id, dot.$id);
  t.deepEqual([...shape] as unknown, [three]);
  t.deepEqual(store.check().problems, []);
  store.destroy();
});

test('a getter or an iterator that changes the collection it is written to is refused, and leaves nothing', async t => {
  const store = await open({dots: ty.table(Dot), named: ty.map(ty.string(), Dot), shapes: ty.table(Shape)});
  const {dots, named, shapes} = store.root;
  const kept = dots.insert(one);
  const refused = (what: () => unknown) =>
    t.throws(() => void what(), {code: 'ERR_VALUE', message: /a getter or an iterator/});
  refused(() =>
    dots.insert({
      get x() {
        for (const dot of dots) dots.remove(dot);
        return 1;
      },
    }),
  );
  refused(() =>
    named.set('a', {
      get x() {
        named.set('a', two);
        return 1;
      },
    }),
  );
  named.set('a', one);
  refused(() =>
    named.set('a', {
      get x() {
        named.delete('a');
        return 1;
      },
    }),
  );
  const shape = shapes.insert({});
  t.throws(
    () => {
      shape.dots = (function* () {
        shapes.remove(shape);
        yield* [one, two, three];
      })() as never;
    },
    {code: 'ERR_STALE'},
  );
  t.is(kept.x, 1);
  t.is(named.get('a')!.x, 1);
  t.is(shapes.size, 1);
  t.deepEqual(store.check().problems, []);
  store.destroy();
});
