// A SysV store moves as often as it likes, and wherever a move is killed there is one store: the old one or the new one.
import {spawnSync} from 'node:child_process';
import {once} from 'node:events';
import test, {type ExecutionContext} from 'ava';
import {sysvKeys} from '../src/backends/sysv.js';
import {listSysv} from '../src/backends/sysv-segments.js';
import {openStore, removeStore, struct, t as ty} from '../src/index.js';
import {schema} from './fixtures/shared-schema.js';
import {bundle} from './helpers/bundle.js';
import {startAndGreet} from './helpers/child.js';
import {fresh, freshName} from './helpers/stores.js';

const mover = bundle('mover.ts');

/** The keys of a store's segments. */
function segmentsOf(name: string): number[] {
  const keys = sysvKeys(name);
  return listSysv()
    .map(({key}) => key)
    .filter(key => keys.includes(key));
}

test('a store moves sixty times, by being made compact, by another schema and by growing', async t => {
  const name = freshName();
  const where = {name, backend: 'sysv'} as const;
  const [Old, New] = [struct('Thing', {n: ty.u32}), struct('Thing', {n: ty.u32, more: ty.u8})];
  const maker = await fresh(t, 'sysv', {things: ty.table(Old)}, {name, size: '64KB'});
  for (let n = 0; n < 10; n++) maker.root.things.insert({n});
  maker.close();
  const keys = new Set(segmentsOf(name));
  for (let move = 1; move <= 60; move++) {
    const things = ty.table(move % 2 === 0 ? Old : New);
    const drop = move % 2 === 0 ? ['Thing.more'] : [];
    const store = await openStore({...where, schema: {things}, drop, compact: true, maxSize: '64MB'});
    t.deepEqual(
      [...store.root.things].map(({n}) => n),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
    if (move % 20 === 0) {
      const {size} = store.info();
      while (store.info().size === size) store.root.things.insert({n: 10});
      for (const thing of store.root.things) if (thing.n === 10) store.root.things.remove(thing);
    }
    store.close();
    const there = segmentsOf(name);
    t.is(there.length, 1);
    keys.add(there[0]!);
  }
  t.is(keys.size, 8);
  const store = await openStore({...where, schema: {things: ty.table(Old)}});
  t.deepEqual(store.check().problems, []);
  store.destroy();
  t.deepEqual(segmentsOf(name), []);
});

async function expectOne(t: ExecutionContext, name: string, message: string): Promise<void> {
  const reader = await openStore({name, backend: 'sysv', schema, readonly: true});
  const read = reader.snapshot().toJSON();
  reader.close();
  const store = await openStore({name, backend: 'sysv', schema});
  t.deepEqual(store.check().problems, [], message);
  t.deepEqual(store.toJSON(), read, message);
  t.is(store.root.accounts.get('kept'), 7, message);
  t.true([1, 41].includes(store.root.accounts.size), message);
  t.is(segmentsOf(name).length, 1, message);
  store.close();
}

for (const [how, edition] of [
  ['grow', 0],
  ['compact', 23],
] as const)
  test(`killed before each step of a move: ${how} at edition ${edition}`, async t => {
    for (let last = 0, killed = true; killed; last++) {
      const name = freshName();
      const maker = await fresh(t, 'sysv', schema, {name, size: '128KB'});
      maker.root.accounts.set('kept', 7);
      maker.close();
      for (let i = 0; i < edition; i++)
        (await openStore({name, backend: 'sysv', schema, compact: true})).close();
      const {signal, stdout} = spawnSync(process.execPath, [mover, name, how, 'one', `${last}`]);
      const message = `${how}, killed before step ${last}`;
      await expectOne(t, name, message);
      killed = signal === 'SIGKILL';
      if (!killed) t.log(`${Number(stdout)} steps`);
      const store = await openStore({name, backend: 'sysv', schema, compact: true});
      t.is(store.root.accounts.get('kept'), 7, `${message}: the next move`);
      t.is(segmentsOf(name).length, 1, message);
      store.destroy();
    }
  });

test('killed before each step of a move, while another writer goes on', async t => {
  for (let last = 0, killed = true; killed; last++) {
    const name = freshName();
    const mine = await fresh(t, 'sysv', schema, {name, size: '128KB', writers: 'many'});
    mine.root.accounts.set('kept', 7);
    const {signal} = spawnSync(process.execPath, [mover, name, 'grow', 'many', `${last}`]);
    killed = signal === 'SIGKILL';
    mine.transaction(() => mine.root.moves++);
    const reader = await openStore({name, backend: 'sysv', schema, readonly: true});
    const message = `killed before step ${last}`;
    t.deepEqual(reader.check().problems, [], message);
    t.is(reader.root.moves, 1, `${message}: both are at one store`);
    t.true([1, 41].includes(reader.root.accounts.size), message);
    reader.close();
    mine.destroy();
    t.deepEqual(segmentsOf(name), [], message);
  }
});

test('what a dead mover left goes with the store', async t => {
  for (const last of [1, 2, 3, 8])
    for (const removal of ['destroy', 'removeStore'] as const) {
      const name = freshName();
      const mine = await fresh(t, 'sysv', schema, {name, size: '128KB', writers: 'many'});
      if (removal === 'removeStore') mine.close();
      const {signal} = spawnSync(process.execPath, [mover, name, 'grow', 'many', `${last}`]);
      t.is(signal, 'SIGKILL');
      t.is(segmentsOf(name).length, 2);
      if (removal === 'destroy') mine.destroy();
      else removeStore(name);
      t.deepEqual(segmentsOf(name), [], `${removal}, killed before step ${last}`);
    }
});

test('a writer goes on beside the one who moved the store', async t => {
  const name = freshName();
  const mine = await fresh(t, 'sysv', schema, {name, size: '128KB', writers: 'many'});
  const {child, ended} = await startAndGreet('peer.ts', name, 'sysv', 'fill', '3000', 'many');
  child.stdin!.write('x');
  await once(child.stdout!, 'data');
  mine.transaction(() => mine.root.moves++);
  t.is(mine.root.accounts.size, 3000);
  t.deepEqual(mine.check().problems, []);
  child.kill('SIGKILL');
  await ended;
});

test('a watcher goes on after the store it watches has moved', async t => {
  const name = freshName();
  (await fresh(t, 'sysv', schema, {name, size: '128KB'})).close();
  const {child, ended} = await startAndGreet('peer.ts', name, 'sysv', 'fill', '3000');
  const reader = await openStore({name, backend: 'sysv', schema, readonly: true});
  const changes = reader.watch(root => root.moves);
  const next = changes.next();
  child.stdin!.write('x');
  await once(child.stdout!, 'data');
  child.kill('SIGKILL');
  await ended;
  const writer = await openStore({name, backend: 'sysv', schema});
  t.true(writer.info().size > 128 * 1024);
  writer.transaction(() => (writer.root.moves = 5));
  t.is((await next).value!.value, 5);
  await changes.return();
  reader.close();
  writer.destroy();
});
