// Loops over a collection that the loop itself changes: nothing that is gone is seen, nothing that stays is missed.
import test from 'ava';
import fc from 'fast-check';
import {openStore, type Schema, type Store, struct, t as ty} from '../src/index.js';
import {freshName} from './helpers/stores.js';

const Point = struct('Point', {x: ty.u32});

async function open<const S extends Schema>(schema: S): Promise<Store<S>> {
  return await openStore({name: freshName(), size: '1MB', backend: 'memory', schema});
}

test('whatever is removed or added on the way', async t => {
  const store = await open({
    list: ty.list(Point),
    sorted: ty.sorted(ty.u32, Point),
    map: ty.map(ty.u32, Point),
    table: ty.table(Point),
  });
  const {list, sorted, map, table} = store.root;
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.nat(30), {maxLength: 4}), {minLength: 1, maxLength: 20}),
      fc.boolean(),
      fc.boolean(),
      (removals, reverse, add) => {
        const count = removals.length;
        const ids: number[] = [];
        const rows: {x: number}[] = [];
        for (let x = 0; x < count; x++) {
          ids[x] = list.push({x});
          sorted.set(x, {x});
          map.set(x, {x});
          rows[x] = table.insert({x});
        }
        const remove = [
          (x: number) => list.remove(ids[x]!),
          (x: number) => sorted.delete(x),
          (x: number) => map.delete(x),
          (x: number) => table.remove(rows[x] as never),
        ];
        const added = [
          (x: number) => void list.unshift({x}),
          (x: number) => void sorted.set(reverse ? x : 0, {x}),
          (x: number) => void map.set(x, {x}),
          (x: number) => void table.insert({x}),
        ];
        const ways = [
          () => list,
          () =>
            (function* () {
              for (const [, value] of sorted.range({reverse})) yield value;
            })(),
          () => map.values(),
          () => table,
        ];
        for (const [kind, way] of ways.entries()) {
          const gone = new Set<number>();
          const seen: number[] = [];
          for (const {x} of way()) {
            if (x >= 1000) continue;
            t.false(gone.has(x), 'what is gone is not seen');
            seen.push(x);
            for (const other of removals[x] ?? [])
              if (other < count && !gone.has(other)) {
                remove[kind]!(other);
                gone.add(other);
              }
            if (add && kind !== 1) added[kind]!(1000 + x);
          }
          for (let x = 0; x < count; x++) if (!gone.has(x)) t.true(seen.includes(x), 'what stays is seen');
        }
        t.deepEqual(store.check().problems, []);
        for (const [id] of [...list.entries()]) list.remove(id);
        for (const key of [...sorted.keys()]) sorted.delete(key);
        map.clear();
        for (const row of table) table.remove(row);
      },
    ),
    {numRuns: 300},
  );
  store.destroy();
});

test('a queue that is worked off while it is filled is no circle', async t => {
  const store = await open({queue: ty.list(ty.u32), due: ty.sorted(ty.u32, ty.u32)});
  const {queue, due} = store.root;
  queue.push(1);
  queue.push(2);
  const seen: number[] = [];
  for (const [id, job] of queue.entries()) {
    seen.push(job);
    queue.remove(id);
    if (job < 50) queue.push(job + 2);
  }
  t.deepEqual(
    seen,
    Array.from({length: 51}, (_, i) => i + 1),
  );
  due.set(1, 0);
  due.set(2, 0);
  let steps = 0;
  for (const [key] of due) {
    steps++;
    due.delete(key);
    if (key < 50) due.set(key + 2, 0);
  }
  t.is(steps, 51);
  t.deepEqual(store.check().problems, []);
  store.destroy();
});

test('a promise is refused in an inner transaction too', async t => {
  const store = await open({n: ty.u32});
  t.throws(
    () =>
      store.transaction(() => {
        store.transaction(async () => {
          store.root.n = 1;
        });
      }),
    {code: 'ERR_TRANSACTION'},
  );
  t.is(store.root.n, 0);
  store.destroy();
});
