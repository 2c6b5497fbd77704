/**
 * A store has one writer, or a lock one holder, also among processes that cannot see each other: in pid namespaces of their
 * own, as the containers of one pod are, where each is process 1.
 *
 * To see it fail: let Tenure.isHolding ask isAlive() of a name in the header, or Tenure.alone give true.
 */
import {spawnSync} from 'node:child_process';
import test from 'ava';
import {openStore, t as ty} from '../src/index.js';
import {Claimant, newPidNamespace} from './helpers/claimants.js';
import {fresh, freshName, pathOf, SHARED_BACKENDS} from './helpers/stores.js';

const schema = {count: ty.uint, kept: ty.map(ty.u32, ty.string())};
const namespace = newPidNamespace();

for (const backend of SHARED_BACKENDS) {
  test.serial(
    `${backend}: a single writer in another pid namespace is seen, stopped too, until it is killed`,
    async t => {
      if (!namespace) t.log('no pid namespace is allowed here; among processes of one namespace:');
      const name = freshName();
      const where = {name, backend, ...pathOf(name, backend)} as const;
      const first = await Claimant.start(t, {...where, size: '64KB'}, namespace);
      t.is((await first.open()).opened, 0);
      const refused = async (when: string): Promise<void> => {
        const second = await Claimant.start(t, where, namespace);
        const said = await second.open();
        t.is(said.code, 'ERR_BUSY', `${when}: ${said.message}`);
        if (namespace) t.regex(said.message!, /process 1 of another pid namespace/);
        await t.throwsAsync(openStore({...where, schema}), {code: 'ERR_BUSY'}, when);
        await t.throwsAsync(openStore({...where, schema, writers: 'many'}), {code: 'ERR_BUSY'}, when);
        await second.ended;
      };
      await refused('while it lives');
      first.signal('SIGSTOP');
      await refused('while it is stopped');
      await first.kill();
      const store = await openStore({...where, schema});
      t.deepEqual(store.check().problems, []);
      store.destroy();
    },
  );

  test.serial(
    `${backend}: a lock that is held in another pid namespace is not stolen, until its holder is killed`,
    async t => {
      if (!namespace) t.log('no pid namespace is allowed here; among processes of one namespace:');
      const name = freshName();
      const where = {name, backend, ...pathOf(name, backend), writers: 'many'} as const;
      const first = await Claimant.start(t, {...where, size: '64KB'}, namespace);
      t.is((await first.open()).opened, 0);
      const second = await Claimant.start(t, where, namespace);
      t.is((await second.open()).opened, 0);
      first.tell('transact');
      t.is((await first.said()).inside, 1);
      second.tell('transact');
      t.truthy((await second.said()).waiting, 'it looked at the holder, and waits');
      first.signal('SIGSTOP');
      t.truthy((await second.said()).waiting);
      await first.kill();
      t.is((await second.saidOf('inside')).inside, 1, 'what the dead one did was undone');
      second.tell();
      t.is((await second.saidOf('done')).done, 1);
      await t.throwsAsync(openStore({...where, writers: 'one', schema}), {code: 'ERR_BUSY'});
      const third = await openStore({...where, schema});
      third.transaction(() => third.root.count++);
      second.tell('close');
      await second.ended;
      t.is(third.root.count, 2);
      t.deepEqual(third.check().problems, []);
      third.destroy();
    },
  );
}

test('a store of the same name in another IPC namespace, which shares /dev/shm, wakes nobody here and silences nobody', async t => {
  const name = freshName();
  const store = await fresh(t, 'sysv', schema, {name});
  const reader = await openStore({name, schema, readonly: true});
  const changes = reader.watch(root => root.count);
  const first = changes.next();
  const {href} = new URL('../dist/index.js', import.meta.url);
  const code = `import(${JSON.stringify(href)}).then(async ({openStore, t}) => {
    const store = await openStore({name: '${name}', size: '64KB', schema: {count: t.uint}});
    store.transaction(() => store.root.count++);
    store.destroy();
  })`;
  const other = [
    ['unshare', '--ipc'],
    ['unshare', '--map-root-user', '--ipc'],
  ].find(([file, ...args]) => spawnSync(file!, [...args, 'true']).status === 0);
  if (!other) t.log('no IPC namespace is allowed here');
  else {
    const [file, ...args] = [...other, process.execPath, '-e', code];
    t.is(spawnSync(file!, args, {encoding: 'utf8'}).stderr, '');
  }
  store.transaction(() => store.root.count++);
  t.is((await first).value!.value, 1);
  await changes.return();
  reader.close();
});
