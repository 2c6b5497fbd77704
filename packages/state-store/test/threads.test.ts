// The threads of one process are writers and readers like processes: each known by itself, alive or dead.
import {once} from 'node:events';
import {Worker} from 'node:worker_threads';
import test from 'ava';
import {openStore} from '../src/index.js';
import {Memory} from '../src/segment/memory.js';
import {identityOf, startTimeOf} from '../src/segment/process-identity.js';
import {schema} from './fixtures/shared-schema.js';
import type {Task} from './fixtures/writer-thread.js';
import {openBytes} from './helpers/recorder.js';
import {fresh, freshName, pathOf} from './helpers/stores.js';

const fixture = new URL('./fixtures/writer-thread.ts', import.meta.url).href;

function start(task: Task): Worker {
  const load = `import('tsx/esm/api').then(({register}) => { register(); return import(${JSON.stringify(fixture)}); });`;
  return new Worker(load, {eval: true, workerData: task});
}

async function message(worker: Worker): Promise<string> {
  return ((await once(worker, 'message')) as [string])[0];
}

for (const backend of ['memory', 'file'] as const) {
  test.serial(
    `${backend}: a thread is refused beside another that writes, and succeeds one that was ended at once`,
    async t => {
      const name = freshName();
      const store = await fresh(t, backend, schema, {name});
      store.root.moves = 7;
      const shared = backend === 'memory' ? {shared: store.shared} : {};
      const where = {name, backend, ...pathOf(name, backend), ...shared};
      t.regex(
        await message(start({where, what: 'open'})),
        new RegExp(`^ERR_BUSY .* by process ${process.pid} \\(this one\\);`),
      );
      store.close();
      const worker = start({where, what: 'hang'});
      t.is(await message(worker), 'inside');
      await t.throwsAsync(openStore({...where, schema}), {
        code: 'ERR_BUSY',
        message: new RegExp(` by thread \\d+ of process ${process.pid} \\(this one\\);`),
      });
      await worker.terminate();
      const after = await openStore({...where, schema});
      t.is(after.info().owner, process.pid);
      t.true(after.info().recovered > 0);
      t.is(after.root.moves, 7);
      t.deepEqual(after.check().problems, []);
      after.destroy();
    },
  );

  test.serial(
    `${backend}: several threads write in turn, and outlive one that is ended inside its transaction`,
    async t => {
      const name = freshName();
      const mine = await fresh(t, backend, schema, {name, writers: 'many'});
      const shared = backend === 'memory' ? {shared: mine.shared} : {};
      const where = {name, backend, ...pathOf(name, backend), ...shared, writers: 'many'} as const;
      const peers = [1, 2, 3].map(() => message(start({where, what: 'count', times: 300})));
      const hanging = start({where, what: 'hang'});
      t.is(await message(hanging), 'inside');
      await hanging.terminate();
      for (let i = 0; i < 300; i++) mine.transaction(() => mine.root.moves++);
      t.deepEqual(await Promise.all(peers), ['done', 'done', 'done']);
      t.is(mine.root.moves, 1200);
      t.deepEqual([...mine.root.accounts.values()], [300, 300, 300]);
      t.deepEqual(mine.check().problems, []);
      const {writers: _many, ...alone} = where;
      t.regex(
        await message(start({where: alone, what: 'open'})),
        new RegExp(`^ERR_BUSY .* by process ${process.pid} \\(this one\\);`),
      );
    },
  );
}

test('shared memory that is no store is left as it is', async t => {
  const shared = new SharedArrayBuffer(2 ** 20);
  const where = {name: freshName(), backend: 'memory', schema, shared} as const;
  await t.throwsAsync(openStore(where), {code: 'ERR_FOREIGN'});
  t.true(new Uint8Array(shared).every(byte => byte === 0));
});

test('of a single writer and one of several that claim at one instant, not both get the store', t => {
  const bytes = new Uint8Array(128 * 1024);
  openBytes(bytes, schema).close();
  const memory = new Memory(bytes);
  const other = identityOf(process.ppid, startTimeOf(process.ppid)!);
  memory.atomics = {
    load: Atomics.load as never,
    store: Atomics.store as never,
    compareExchange: ((array: BigUint64Array, index: number, expected: bigint, value: bigint) => {
      // The other one puts itself down between this one's look and its claim.
      bytes.set(new Uint8Array(BigUint64Array.of(other).buffer), 1024);
      return Atomics.compareExchange(array, index, expected, value);
    }) as never,
  };
  t.throws(() => openBytes(bytes, schema, memory), {code: 'ERR_BUSY', message: /process \d+;/});
  t.is(new BigUint64Array(bytes.buffer)[3], 0n, 'its claim is taken back');
});
