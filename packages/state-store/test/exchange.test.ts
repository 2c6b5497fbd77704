// Insert and remove outside a transaction are generated for each table: they must do what the methods of all collections do.
import test from 'ava';
import fc from 'fast-check';
import {LAST_GENERATION} from '../src/collections/slots.js';
import {openStore, type StoreError, struct, type TableRecord, t as ty} from '../src/index.js';
import {bytesOf, openBytes, Recorder} from './helpers/recorder.js';
import {fresh, freshName} from './helpers/stores.js';

const Flat = struct('Flat', {n: ty.u32, half: ty.u16, wide: ty.f64});
const Rich = struct('Rich', {n: ty.u32, text: ty.string(), inner: Flat});
const schema = {fixed: ty.table(Flat, {capacity: 5}), growing: ty.table(Flat), rich: ty.table(Rich)};
const NAMES = ['fixed', 'growing', 'rich'] as const;

interface Op {
  table: (typeof NAMES)[number];
  /** Removes the record that is at this place, modulo how many there are; or inserts one. */
  remove: number | undefined;
  n: number;
}
const init = ({table, n}: Op) =>
  table === 'rich'
    ? {n, text: `text ${n}`.repeat(n % 5), inner: {n, half: n & 0xffff, wide: n / 3}}
    : {n, half: n & 0xffff, wide: n / 3};

const op = fc.record({
  table: fc.constantFrom(...NAMES),
  remove: fc.option(fc.nat(1000), {nil: undefined, freq: 2}),
  n: fc.nat(),
});

interface Tabled {
  engine: {memory: {u32: Uint32Array}};
}
type Tables = Awaited<ReturnType<typeof openStore<typeof schema>>>;

/** Removes by id and by record in turns. */
function run(store: Tables, op: Op): string | undefined {
  const table = store.root[op.table];
  try {
    if (op.remove === undefined) (table.insert as (init: object) => unknown)(init(op));
    else if (table.size > 0) {
      const record = [...table][op.remove % table.size]!;
      const removed = (table.remove as (of: unknown) => boolean)(op.n % 2 ? record : record.$id);
      if (!removed) return 'not removed';
      if (table.get(record.$id) !== undefined) return 'still there';
    }
    return undefined;
  } catch (error) {
    return (error as StoreError).code;
  }
}

const contents = (store: Tables) => JSON.stringify(store);

test('alone they leave what they leave inside a transaction, ids and all', async t => {
  await fc.assert(
    fc.asyncProperty(fc.array(op, {minLength: 20, maxLength: 200}), async ops => {
      const where = {backend: 'memory', size: '256KB', schema} as const;
      const [alone, inside] = [
        await openStore({name: freshName(), ...where}),
        await openStore({name: freshName(), ...where}),
      ];
      for (const each of ops) {
        const results = [run(alone, each), inside.transaction(() => run(inside, each))];
        t.is(results[0], results[1]);
      }
      t.is(contents(alone), contents(inside));
      for (const store of [alone, inside]) t.deepEqual(store.check().problems, []);
      alone.destroy();
      inside.destroy();
    }),
    {numRuns: 30},
  );
});

test('cut off after every single store they are done or not', t => {
  const seed = Number(process.env['ZLR_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  const ops = fc.sample(op, {numRuns: 150, seed});
  const recorder = new Recorder(64 * 1024);
  const store = openBytes(recorder.bytes, schema, recorder.memory);
  let [cuts, undone] = [0, 0];
  for (const [step, each] of ops.entries()) {
    const [image, before] = [bytesOf(recorder.bytes), contents(store)];
    recorder.start();
    run(store, each);
    const stores = recorder.stop();
    const after = contents(store);
    for (let cut = 0; cut <= stores.length; cut++) {
      const copy = openBytes(new Uint8Array(image), schema);
      const where = `seed ${seed}, step ${step}, cut after store ${cut} of ${stores.length}`;
      t.deepEqual(copy.check().problems, [], where);
      t.true([before, after].includes(contents(copy)), where);
      if (copy.info().recovered > 0) undone++;
      copy.close();
      cuts++;
      const next = stores[cut];
      if (next) image.set(next.bytes, next.offset);
    }
  }
  t.true(undone > cuts / 4);
  t.log(`seed ${seed}: ${ops.length} steps cut off at ${cuts} places, ${undone} rolled back`);
});

test('an insert that fails half-way leaves nothing, and no handle', async t => {
  const store = await fresh(t, 'memory', schema);
  const {fixed, rich} = store.root;
  const first = fixed.insert({n: 1});
  fixed.remove(first);
  for (let i = 0; i < 3; i++) {
    t.throws(() => fixed.insert({n: 2, half: 70_000}), {code: 'ERR_VALUE'});
    t.throws(
      () =>
        fixed.insert({
          get n() {
            fixed.insert({n: 3});
            return 4;
          },
        }),
      {code: 'ERR_VALUE', message: /changed the collection/},
    );
    t.throws(() => rich.insert({n: 5, text: 'kept by nobody', inner: {half: -1}}), {code: 'ERR_VALUE'});
    t.throws(() => fixed.insert(null as never), {code: 'ERR_VALUE', message: /expected an object/});
  }
  t.deepEqual([fixed.size, rich.size, store.check().problems], [0, 0, []]);
  const kept: TableRecord<typeof Flat.fields>[] = [];
  for (let n = 0; n < 5; n++) kept.push(fixed.insert({n}));
  t.throws(() => fixed.insert({n: 6}), {code: 'ERR_FULL'});
  t.deepEqual(
    kept.map(({n}) => n),
    [0, 1, 2, 3, 4],
  );
  t.true(fixed.remove(kept[2]!));
  t.false(fixed.remove(kept[2]!));
  t.throws(() => kept[2]!.n, {code: 'ERR_STALE'});
  t.is(fixed.insert({n: 7}).n, 7);
  t.throws(() => kept[2]!.n, {code: 'ERR_STALE'}, 'nor is it the one that came after');
});

test('a handle that was got hold of while an insert failed stays stale', async t => {
  const store = await fresh(t, 'memory', {...schema, map: ty.map(ty.u8, Flat)});
  const {fixed, map} = store.root;
  const stale = {code: 'ERR_STALE'} as const;
  let seen: {n: number} | undefined;
  const failing = (all: () => Iterable<{n: number}>) => ({
    get n(): number {
      [seen] = [...all()].slice(-1);
      throw new Error('no n');
    },
  });
  const fails = {
    table: () => void fixed.insert(failing(() => fixed)),
    map: () =>
      void map.set(
        1,
        failing(() => map.values()),
      ),
  };
  const uses = {table: () => void fixed.insert({n: 1}), map: () => void map.set(map.size + 2, {n: 2})};
  for (const within of [(work: () => void) => work(), (work: () => void) => store.transaction(work)])
    for (const way of ['table', 'map'] as const)
      within(() => {
        t.throws(fails[way], {message: 'no n'});
        const caught = seen!;
        t.throws(() => caught.n, stale, way);
        uses[way]();
        t.throws(() => caught.n, stale, `${way}: it is not the one that came after`);
      });
  t.deepEqual([fixed.size, map.size, store.check().problems], [2, 2, []]);
});

test('a store that grows gives an insert the room it lacked', async t => {
  const store = await fresh(t, 'memory', schema, {size: '64KB', maxSize: '4MB'});
  const texts = Array.from({length: 3000}, (_, n) => `text ${n} `.repeat(4));
  const ids = texts.map((text, n) => store.root.rich.insert({n, text}).$id);
  t.deepEqual(
    ids.map(id => store.root.rich.get(id)!.text),
    texts,
  );
  t.true(store.info().size > 64 * 1024);
  t.deepEqual(store.check().problems, []);
});

test('what is inserted and removed alone is seen by a watcher', async t => {
  const store = await fresh(t, 'memory', schema);
  const {growing} = store.root;
  const changes = store.watch()[Symbol.asyncIterator]();
  const told = changes.next();
  const record = growing.insert({n: 1});
  t.false((await told).done);
  const again = changes.next();
  growing.remove(record);
  t.false((await again).done);
  await changes.return?.();
});

test('a slot that has lived all its lives is left alone', async t => {
  const store = await fresh(t, 'memory', schema);
  const {fixed} = store.root;
  for (const remove of [
    (record: object) => fixed.remove(record as never),
    (record: object) => store.transaction(() => fixed.remove(record as never)),
  ]) {
    const last = fixed.insert({n: 1});
    const {$index} = last;
    const {$g} = last as unknown as {$g: number};
    (fixed as unknown as Tabled).engine.memory.u32[$g] = LAST_GENERATION;
    const [record] = [...fixed];
    t.true(remove(record!));
    t.not(fixed.insert({n: 2}).$index, $index);
    fixed.remove([...fixed][0]!);
    t.deepEqual(store.check().problems, []);
  }
  for (let n = 0; n < 3; n++) fixed.insert({n});
  t.throws(() => fixed.insert({n: 4}), {code: 'ERR_FULL'}, 'two of five slots are left');
});
