// Several writers: what one of them does while others wait for the lock, and what a dead one leaves.
import test from 'ava';
import {openStore, t as ty} from '../src/index.js';
import {at} from '../src/segment/header.js';
import {identityOf} from '../src/segment/process-identity.js';
import {filed, schema} from './fixtures/shared-schema.js';
import {startAndGreet} from './helpers/child.js';
import {BACKENDS, fresh, freshName, pathOf, SHARED_BACKENDS} from './helpers/stores.js';

for (const backend of SHARED_BACKENDS) {
  test.serial(`${backend}: who waits for the lock goes on when its holder makes the store grow`, async t => {
    const name = freshName();
    const mine = await fresh(t, backend, schema, {name, size: '384KB', logSize: '256KB', writers: 'many'});
    const {child, ended} = await startAndGreet('peer.ts', name, backend, 'grow-holding');
    t.teardown(() => child.kill('SIGKILL'));
    child.stdin!.write('x');
    mine.transaction(() => mine.root.moves++);
    child.stdin!.end();
    await ended;
    t.is(mine.root.accounts.size, 1500);
    t.is(mine.root.moves, 1);
    t.true(mine.info().size > 384 * 1024);
    t.deepEqual(mine.check().problems, []);
  });

  test.serial(
    `${backend}: who comes after a writer that died in the room it had made finds what was before`,
    async t => {
      const name = freshName();
      const mine = await fresh(t, backend, schema, {name, size: '384KB', logSize: '256KB', writers: 'many'});
      const {child, ended} = await startAndGreet('peer.ts', name, backend, 'grow-holding', '1');
      t.teardown(() => child.kill('SIGKILL'));
      child.stdin!.write('x');
      await ended;
      mine.transaction(() => mine.root.moves++);
      t.is(mine.root.accounts.size, 1500);
      for (const [key, value] of mine.root.accounts) t.is(key, `account ${value}`.padEnd(60, '.'));
      t.deepEqual(mine.check().problems, []);
    },
  );

  test.serial(
    `${backend}: a record that goes while its writer waits for the lock is not written to`,
    async t => {
      const name = freshName();
      const mine = await fresh(t, backend, filed, {name, writers: 'many'});
      const {files} = mine.root;
      const insert = () => files.insert({owner: {name: 'first'}, sizes: [1, 2]});
      type Row = ReturnType<typeof insert>;
      for (const write of [
        (file: Row) => file.$set({owner: {name: 'mine'}}),
        (file: Row) => Object.assign(file, {owner: {name: 'mine'}}),
        (file: Row) => file.sizes.set(0, 1),
      ]) {
        const before = insert();
        const {child, ended} = await startAndGreet('peer.ts', name, backend, 'replace-holding');
        t.teardown(() => child.kill('SIGKILL'));
        child.stdin!.write('x');
        t.throws(() => write(before), {code: 'ERR_STALE'});
        await ended;
        const [there] = files;
        t.deepEqual(there!.toJSON(), {owner: {name: 'another'}, sizes: [7, 7]});
        t.deepEqual(mine.check().problems, []);
        files.remove(there!);
      }
    },
  );
}

for (const backend of BACKENDS) {
  test.serial(
    `${backend}: a live writer finishes, or forgets, the growth of a collection that another died of`,
    async t => {
      for (const died of ['before the room was taken', 'after']) {
        const name = freshName();
        const mine = await fresh(t, backend, {...schema, rows: ty.list(ty.u32)}, {name, writers: 'many'});
        const {rows, accounts} = mine.root;
        for (let i = 0; i < 16; i++) rows.push(i);
        const bytes = mine.memory;
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        const {offset} = mine.describe().fields!.find(({name}) => name === 'rows')!;
        const head = view.getUint32(at.root, true) * 8 + offset;
        t.is(view.getUint32(head + 20, true), 16, 'the next one needs an extent');
        // 16 slots of two cells below the limit, and their generations.
        const start = view.getUint32(at.heapLimit, true) - 40;
        view.setUint32(head + 40, start, true);
        view.setUint32(head + 44, start + 8, true);
        if (died === 'after') view.setUint32(at.heapLimit, start, true);
        view.setBigUint64(at.lock, identityOf(process.pid, 1n), true);
        mine.root.moves = 1;
        // Another collection takes the room that is free.
        for (let i = 0; i < 100; i++) accounts.set(`account ${i}`, i);
        for (let i = 16; i < 100; i++) rows.push(i);
        t.deepEqual(mine.check().problems, [], died);
        t.deepEqual(
          [...rows],
          Array.from({length: 100}, (_, i) => i),
        );
        for (let i = 0; i < 100; i++) t.is(accounts.get(`account ${i}`), i);
        mine.close();
        const after = await openStore({
          name: name,
          backend,
          ...pathOf(name, backend),
          schema: {...schema, rows: ty.list(ty.u32)},
        });
        t.deepEqual(after.check().problems, [], died);
        after.destroy();
      }
    },
  );

  test.serial(
    `${backend}: a store of several writers takes another schema, and its name is free once it is gone`,
    async t => {
      for (const writers of ['one', 'many'] as const) {
        const name = freshName();
        const where = {name, backend, writers, ...pathOf(name, backend)} as const;
        const first = await openStore({...where, size: '256KB', schema: {a: ty.u32}});
        first.root.a = 5;
        first.close();
        const second = await openStore({...where, schema: {a: ty.u32, b: ty.u32}});
        second.transaction(() => second.root.b++);
        t.deepEqual(second.toJSON(), {a: 5, b: 1});
        second.destroy();
        const third = await openStore({...where, size: '256KB', schema: {a: ty.u32}});
        t.is(third.root.a, 0);
        third.destroy();
      }
    },
  );
}
