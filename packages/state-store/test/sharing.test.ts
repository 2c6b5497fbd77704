// Readers see what was between two transactions and never stop the writer; several writers take turns, whoever dies;
// watchers are woken by commits of other processes; a store that grows takes everybody along.
import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {Worker} from 'node:worker_threads';
import test from 'ava';
import {openStore, readStore, type StoreError} from '../src/index.js';
import {at} from '../src/segment/header.js';
import {churned, schema} from './fixtures/shared-schema.js';
import {startAndGreet} from './helpers/child.js';
import {BACKENDS, fresh, freshName, pathOf, SHARED_BACKENDS} from './helpers/stores.js';

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

for (const backend of SHARED_BACKENDS) {
  test.serial(
    `${backend}: a reader finds every sum right while another process writes as fast as it can`,
    async t => {
      const name = freshName();
      const maker = await fresh(t, backend, schema, {name, logSize: '256KB'});
      for (let i = 0; i < 10; i++) maker.root.accounts.set(`account ${i}`, 100);
      maker.close();
      const where = {name, backend, ...pathOf(name, backend), schema} as const;
      const {child, ended} = await startAndGreet('peer.ts', name, backend, 'transfer');
      t.teardown(() => child.kill('SIGKILL'));
      const reader = await openStore({...where, readonly: true});
      const first = reader.read(root => root.moves);
      const changes = reader.watch(root => root.moves);
      let torn = 0;
      for (let i = 0; i < 60; i++) {
        t.is(
          reader.read(root => sum(root.accounts.values())),
          1000,
        );
        const copy = reader.snapshot();
        t.is(sum(copy.root.accounts.values()), 1000);
        copy.close();
        if (sum(reader.root.accounts.values()) !== 1000) torn++;
      }
      t.log(`${torn} of 60 plain reads were torn, no read() and no snapshot()`);
      const {value: change} = await changes.next();
      t.true(change!.value > first, 'the writer went on meanwhile');
      await changes.return();
      t.throws(
        () => {
          reader.root.moves = 0;
        },
        {code: 'ERR_READONLY'},
      );
      t.throws(() => reader.root.accounts.set('x', 1), {code: 'ERR_READONLY'});
      t.throws(() => reader.destroy(), {code: 'ERR_READONLY'});
      child.kill('SIGKILL');
      await ended;
      t.is(
        reader.read(root => sum(root.accounts.values())),
        1000,
        'also when the writer died, perhaps in a transaction',
      );
      reader.close();
      const after = await openStore(where);
      t.deepEqual(after.check().problems, []);
      t.is(sum(after.root.accounts.values()), 1000);
      after.destroy();
    },
  );

  for (const logSize of ['1MB', '6KB'])
    test.serial(
      `${backend}: a snapshot is of one moment also where blocks and slots are used again, with a log of ${logSize}`,
      async t => {
        const name = freshName();
        const where = {name, backend, ...pathOf(name, backend), schema: churned} as const;
        const maker = await fresh(t, backend, churned, {name, size: '4MB', logSize});
        maker.root.rows.insert({});
        maker.close();
        const {child, ended} = await startAndGreet('peer.ts', name, backend, 'churn');
        t.teardown(() => child.kill('SIGKILL'));
        const reader = await openStore({...where, readonly: true});
        let copies = 0;
        for (let i = 0; i < 60; i++) {
          try {
            const copy = reader.snapshot();
            for (const text of copy.root.texts.values()) t.is(text, text[0]!.repeat(text.length));
            for (const {a, b, c, d} of copy.root.rows) t.deepEqual([b, c, d], [a, a, a]);
            for (const [key, i] of copy.root.many)
              t.is(key, String.fromCharCode(97 + (i % 26)).repeat(100) + i);
            t.deepEqual(copy.check().problems, []);
            copy.close();
            copies++;
          } catch (error) {
            t.is((error as StoreError).code, 'ERR_BUSY');
          }
        }
        if (logSize === '1MB') t.is(copies, 60);
        t.log(`${copies} copies of 60`);
        child.kill('SIGKILL');
        await ended;
        reader.close();
        const after = await openStore(where);
        t.deepEqual(after.check().problems, []);
        // Whatever the reader asked for, it is forgotten once the log has come round.
        for (let i = 0; i < 2 ** 15; i++) after.transaction(() => after.root.texts.set(i % 2, 'once more'));
        t.is(new DataView(after.memory.buffer, after.memory.byteOffset).getUint32(at.copying, true), 0);
        after.destroy();
      },
    );

  test.serial(
    `${backend}: several writers lose no transaction, and outlive one that dies inside its own`,
    async t => {
      const name = freshName();
      const mine = await fresh(t, backend, schema, {name, writers: 'many'});
      const peers = await Promise.all(
        [1, 2, 3].map(() => startAndGreet('peer.ts', name, backend, 'count', '300')),
      );
      for (let i = 0; i < 300; i++) mine.transaction(() => mine.root.moves++);
      const dead = await startAndGreet('peer.ts', name, backend, 'die-holding');
      await dead.ended;
      mine.transaction(() => mine.root.moves++);
      await Promise.all(peers.map(peer => peer.ended));
      t.is(
        mine.read(root => root.moves),
        1201,
      );
      t.deepEqual([...mine.root.accounts.values()], [300, 300, 300]);
      t.deepEqual(mine.check().problems, []);
      const alone = await startAndGreet('peer.ts', name, backend, 'alone');
      t.regex(alone.line, new RegExp(`^ERR_BUSY .*process ${process.pid};`));
      await alone.ended;
    },
  );

  test.serial(`${backend}: a watcher is woken by commits of another process`, async t => {
    const name = freshName();
    const maker = await fresh(t, backend, schema, {name});
    maker.close();
    const {child, ended} = await startAndGreet('peer.ts', name, backend, 'commit-on-signal');
    const reader = await openStore({name, backend, ...pathOf(name, backend), schema, readonly: true});
    const stop = new AbortController();
    const changes = reader.watch(root => root.moves, {signal: stop.signal});
    for (let i = 1; i <= 20; i++) {
      const next = changes.next();
      child.stdin!.write('x');
      t.is((await next).value!.value, i);
    }
    const last = changes.next();
    stop.abort();
    t.true((await last).done);
    child.kill();
    await ended;
    reader.close();
    (await openStore({name, backend, ...pathOf(name, backend), schema})).destroy();
  });

  test.serial(
    `${backend}: a watcher follows a store that grows, and learns of one that is rebuilt`,
    async t => {
      const name = freshName();
      const where = {name, backend, ...pathOf(name, backend), schema} as const;
      const maker = await fresh(t, backend, schema, {name, size: '128KB'});
      maker.close();
      for (const [what, said] of [
        ['grow-on-signal', 'grown'],
        ['rebuild-on-signal', 'rebuilt'],
      ] as const) {
        const {child, ended} = await startAndGreet('peer.ts', name, backend, what);
        t.teardown(() => child.kill('SIGKILL'));
        const reader = await openStore({...where, readonly: true});
        const changes = reader.watch(root => root.moves);
        const next = changes.next();
        const lines = createInterface(child.stdout!);
        child.stdin!.write('x');
        t.deepEqual(await once(lines, 'line'), [said]);
        if (what === 'grow-on-signal') {
          child.stdin!.write('x');
          t.is((await next).value!.value, 1);
          const last = changes.next();
          reader.close();
          t.true((await last).done, 'closing ends it');
        } else await t.throwsAsync(next, {code: 'ERR_SCHEMA_MISMATCH'});
        child.stdin!.end('x');
        if (what === 'grow-on-signal') child.kill('SIGKILL');
        else reader.close();
        await ended;
      }
    },
  );

  test.serial(`${backend}: readers follow a store that grows in another process`, async t => {
    const name = freshName();
    const maker = await fresh(t, backend, schema, {name, size: '128KB'});
    maker.root.accounts.set('kept', 7);
    maker.close();
    const {child, ended} = await startAndGreet('peer.ts', name, backend, 'fill', '3000');
    const where = {name, backend, ...pathOf(name, backend)} as const;
    const reader = await openStore({...where, schema, readonly: true});
    t.is(reader.info().size, 128 * 1024);
    const lines = createInterface(child.stdout!);
    child.stdin!.write('x');
    const [line] = (await once(lines, 'line')) as [string];
    t.is(
      reader.read(root => root.accounts.size),
      3001,
    );
    t.is(
      reader.read(root => root.accounts.get('kept')),
      7,
    );
    t.is(`size ${reader.info().size}`, line);
    t.true(reader.info().size > 128 * 1024);
    child.kill('SIGKILL');
    await ended;
    reader.close();
    const described = await readStore(where);
    t.is(
      described.read(root => (root as {moves: number}).moves),
      0,
    );
    t.is((described.toJSON() as {accounts: unknown[]}).accounts.length, 3001);
    described.close();
    const after = await openStore({...where, schema});
    t.deepEqual(after.check().problems, []);
    after.destroy();
  });
}

for (const backend of BACKENDS)
  test.serial(`${backend}: a full store grows and every handle goes on; maxSize ends it`, async t => {
    const store = await fresh(t, backend, schema, {size: '64KB', maxSize: '512KB'});
    const {accounts} = store.root;
    let count = 0;
    const error = t.throws(
      () => {
        for (;;) {
          accounts.set(`key ${count}`.padEnd(60, '-'), count);
          count++;
        }
      },
      {code: 'ERR_FULL'},
    );
    t.regex(error!.message, /maxSize/);
    t.is(store.info().size, 512 * 1024);
    t.is(accounts.size, count);
    for (let i = 0; i < count; i++) t.is(accounts.get(`key ${i}`.padEnd(60, '-')), i);
    t.deepEqual(store.check().problems, []);
    accounts.delete(`key ${3}`.padEnd(60, '-'));
    t.deepEqual(store.check().problems, []);
  });

test.serial('a worker thread is told that a sysv store stays with the main thread', async t => {
  const store = await fresh(t, 'sysv', schema);
  t.throws(() => store.shared, {code: 'ERR_BACKEND', message: /only one on backend 'memory'/});
  const worker = new Worker(
    `import('tsx/esm/api').then(async ({register}) => {
      register();
      const {readStore} = await import(${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)});
      const {workerData, parentPort} = require('node:worker_threads');
      await readStore(workerData).catch(({code, message}) => parentPort.postMessage([code, message]));
    });`,
    {eval: true, workerData: {name: store.info().name, backend: 'sysv'}},
  );
  const [[code, message]] = (await once(worker, 'message')) as [[string, string]];
  t.is(code, 'ERR_BACKEND');
  t.regex(message, /main thread only .*open the store there, or use backend 'memory'/);
  await once(worker, 'exit');
});

test.serial('a worker thread reads the memory store of its parent', async t => {
  const store = await fresh(t, 'memory', schema);
  store.root.accounts.set('parent', 5);
  const worker = new Worker(
    `import('tsx/esm/api').then(({register}) => { register(); return import(${JSON.stringify(new URL('./fixtures/reader-thread.ts', import.meta.url).href)}); });`,
    {eval: true, workerData: {name: store.info().name, shared: store.shared}},
  );
  const [seen] = (await once(worker, 'message')) as [number];
  t.is(seen, 5);
  const changed = once(worker, 'message') as Promise<[number]>;
  store.transaction(() => store.root.accounts.set('parent', 6));
  t.deepEqual(await changed, [6]);
  await once(worker, 'exit');
});
