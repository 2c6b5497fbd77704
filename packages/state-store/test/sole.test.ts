/**
 * A store is one store whatever it is called, and is not opened twice for writing in one process; what is done to it is done to
 * the file or segment that was opened, not to what has its name by now; who reads needs no more than to read.
 */
import {spawnSync} from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {loadCompiled} from '../src/backends/native.js';
import {sysvKeys} from '../src/backends/sysv.js';
import {SysvSeats} from '../src/backends/sysv-seats.js';
import {listSysv} from '../src/backends/sysv-segments.js';
import {
  dumpStore,
  listStores,
  loadStore,
  openStore,
  readStore,
  removeStore,
  repairStore,
  t as ty,
} from '../src/index.js';
import {at, readdress} from '../src/segment/header.js';
import {Memory} from '../src/segment/memory.js';
import {bundle} from './helpers/bundle.js';
import {Claimant} from './helpers/claimants.js';
import {BACKENDS, fresh, freshName, pathOf, SHARED_BACKENDS} from './helpers/stores.js';

const schema = {count: ty.uint, kept: ty.map(ty.u32, ty.string())};

function folder(t: ExecutionContext): string {
  const made = mkdtempSync(join(tmpdir(), 'zlr-sole-'));
  t.teardown(() => rmSync(made, {recursive: true, force: true}));
  return made;
}

function grow(store: {root: {kept: {set(key: number, value: string): void}}; info(): {size: number}}): void {
  const {size} = store.info();
  for (let i = 0; store.info().size === size; i++) store.root.kept.set(i, 'some text '.repeat(100));
}

test('a file is one store by whatever path: a link to it, to its folder, another name', async t => {
  const home = folder(t);
  mkdirSync(join(home, 'real'));
  const path = join(home, 'real', 'a.store');
  symlinkSync('real', join(home, 'folder'));
  symlinkSync('real/a.store', join(home, 'link.store'));
  const where = {name: 'a', backend: 'file', schema} as const;
  const store = await openStore({...where, path, size: '64KB'});
  linkSync(path, join(home, 'second.store'));
  for (const other of ['folder/a.store', 'link.store', 'second.store', 'real/../real/a.store'])
    for (const writers of ['one', 'many'] as const)
      await t.throwsAsync(
        openStore({...where, path: join(home, other), writers}),
        {code: 'ERR_BUSY', message: /\(this one\); it was opened at .*sole\.test\.ts:\d+\./},
        other,
      );
  t.is(await openStore({...where, path: join(home, 'link.store'), share: true}), store);
  store.close();
  store.destroy();
});

test('a link to a store opens it, and what grows or is rebuilt takes the place of the store, not of the link', async t => {
  const home = folder(t);
  const path = join(home, 'a.store');
  const link = join(home, 'link.store');
  symlinkSync('a.store', link); // to nowhere yet
  const where = {name: 'a', backend: 'file', path: link, maxSize: '4MB'} as const;
  const made = await openStore({...where, schema, size: '64KB'});
  t.true(statSync(path).isFile());
  grow(made);
  made.close();
  const other = await openStore({...where, schema: {...schema, more: ty.u8}});
  t.true(other.root.kept.size > 0);
  t.is(statSync(link).ino, statSync(path).ino);
  other.destroy();
  t.false(statSync(path, {throwIfNoEntry: false}) !== undefined);
});

test.serial(
  'a path is looked up once: nothing is done to another file of that name after a change of folder',
  async t => {
    const home = folder(t);
    const before = process.cwd();
    t.teardown(() => process.chdir(before));
    for (const name of ['here', 'there']) mkdirSync(join(home, name));
    process.chdir(join(home, 'here'));
    const store = await openStore({
      name: 'a',
      backend: 'file',
      path: 'a.store',
      size: '64KB',
      maxSize: '1MB',
      schema,
    });
    store.root.count = 1;
    const reader = await readStore({name: 'a', backend: 'file', path: 'a.store'});
    process.chdir(join(home, 'there'));
    const bytes = Buffer.alloc(100_000, 'another file');
    for (const suffix of ['', '.zlr-new', '.zlr-next'])
      writeFileSync(`a.store${suffix}`, bytes, {mode: 0o600});
    grow(store);
    store.sync();
    t.is(
      reader.read(root => (root as unknown as typeof store.root).count),
      1,
    );
    reader.close();
    store.destroy();
    for (const suffix of ['', '.zlr-new', '.zlr-next']) t.deepEqual(readFileSync(`a.store${suffix}`), bytes);
    t.false(statSync(join(home, 'here', 'a.store'), {throwIfNoEntry: false}) !== undefined);
  },
);

test('destroy removes what was opened, wherever it lies, and not what has its name by now', async t => {
  const home = folder(t);
  const path = join(home, 'a.store');
  const where = {name: 'a', backend: 'file', path, schema} as const;
  const moved = await openStore({...where, size: '64KB'});
  renameSync(path, join(home, 'moved.store'));
  const second = await openStore({...where, size: '64KB'});
  second.root.count = 2;
  moved.destroy();
  t.false(statSync(join(home, 'moved.store'), {throwIfNoEntry: false}) !== undefined);
  t.is(second.root.count, 2);
  second.close();
  const again = await openStore(where);
  t.is(again.root.count, 2);
  rmSync(path);
  copyFileSync('/dev/null', path);
  again.destroy();
  t.true(statSync(path).isFile());

  const name = freshName();
  const segment = () => listSysv().find(({key}) => key === sysvKeys(name)[0]);
  const lost = await openStore({name, schema, size: '64KB'});
  t.is(spawnSync('ipcrm', ['-m', `${segment()!.id}`]).status, 0);
  const shm = loadCompiled<typeof import('shm-typed-array')>('sysv', 'shm-typed-array', ['create'], '');
  const other = shm.create(4096, 'Uint8Array', sysvKeys(name)[0]!, '600')!;
  lost.destroy();
  t.is(segment()!.size, other.length);
  shm.destroy(sysvKeys(name)[0]!);
});

test('who reads a store that lies elsewhere by now is still woken', async t => {
  const path = join(folder(t), 'a.store');
  const store = await openStore({name: 'a', backend: 'file', path, schema, size: '64KB'});
  const reader = await openStore({name: 'a', backend: 'file', path, schema, readonly: true});
  renameSync(path, `${path}.moved`);
  writeFileSync(path, 'something else');
  const changes = reader.watch(root => root.count);
  const first = changes.next();
  store.transaction(() => store.root.count++);
  t.is((await first).value!.value, 1);
  await changes.return();
  reader.close();
  store.destroy();
});

test('a writer that is rebuilt elsewhere, or gone, is not written over', async t => {
  const home = folder(t);
  const path = join(home, 'a.store');
  const where = {name: 'a', backend: 'file', path} as const;
  const store = await openStore({...where, schema, size: '64KB', maxSize: '1MB'});
  rmSync(path);
  writeFileSync(path, 'something else', {mode: 0o600});
  grow(store); // by its descriptor
  store.close();
  t.is(readFileSync(path, 'utf8'), 'something else');
  await t.throwsAsync(openStore({...where, schema}), {code: 'ERR_FOREIGN'});
});

for (const backend of BACKENDS) {
  test(`${backend}: a second opening is told where the first one is, or shares it`, async t => {
    const name = freshName();
    const where = {name, backend, ...pathOf(name, backend), schema} as const;
    const store = await fresh(t, backend, schema, {name});
    const message = /by process \d+ \(this one\); it was opened at .*stores\.ts:\d+\. .* share: true/;
    await t.throwsAsync(openStore(where), {code: 'ERR_BUSY', message});
    await t.throwsAsync(openStore({...where, writers: 'many'}), {code: 'ERR_BUSY', message});
    if (backend !== 'memory') await t.throwsAsync(repairStore(where), {code: 'ERR_BUSY', message});
    const shared = await openStore({...where, share: true});
    t.is(shared, store);
    await t.throwsAsync(openStore({...where, schema: {count: ty.uint}, share: true}), {
      code: 'ERR_SCHEMA_MISMATCH',
      message: /stores\.ts:\d+/,
    });
    await t.throwsAsync(openStore({...where, writers: 'many', share: true}), {code: 'ERR_OPTIONS'});
    await openStore({...where, share: true, version: 3});
    store.close();
    await t.throwsAsync(openStore({...where, share: true, version: 2}), {code: 'ERR_SCHEMA_MISMATCH'});
    if (backend === 'file')
      await t.throwsAsync(openStore({...where, name: 'other', share: true}), {code: 'ERR_FOREIGN'});
    await t.throwsAsync(openStore({...where, readonly: true, share: true}), {code: 'ERR_OPTIONS'});
    store.close();
    shared.root.count = 3;
    shared.close();
    t.throws(() => shared.root.count, {code: 'ERR_CLOSED'});
    const alone = await openStore({...where, share: true});
    t.is(alone.root.count, 3);
    alone.destroy();
  });

  test(`${backend}: the package loaded twice is one in this`, async t => {
    const name = freshName();
    const where = {name, backend, ...pathOf(name, backend), schema} as const;
    const store = await fresh(t, backend, schema, {name});
    const copy = (await import(pathToFileURL(bundle('package.ts')).href)) as typeof import('../src/index.js');
    t.not(copy.openStore, openStore);
    const same = {
      ...where,
      schema: {count: copy.t.uint, kept: copy.t.map(copy.t.u32, copy.t.string())},
    } as const;
    await t.throwsAsync(copy.openStore(same), {
      code: 'ERR_BUSY',
      message: /it was opened at .*stores\.ts:\d+/,
    });
    t.is<unknown, unknown>(await copy.openStore({...same, share: true}), store);
    store.close();
    store.root.count = 1;
    store.close();
    const again = await copy.openStore(same);
    t.is(again.root.count, 1);
    again.destroy();
  });
}

for (const backend of SHARED_BACKENDS)
  test(`${backend}: who is refused, and who is not, in another process`, async t => {
    const name = freshName();
    const where = {name, backend, ...pathOf(name, backend)} as const;
    const first = await Claimant.start(t, {...where, size: '64KB', writers: 'many'});
    const second = await Claimant.start(t, {...where, writers: 'many'});
    t.is((await first.open()).opened, 0);
    t.is((await second.open()).opened, 0);
    await t.throwsAsync(openStore({...where, schema: {...schema, more: ty.u8}, writers: 'many'}), {
      code: 'ERR_BUSY',
    });
    await first.kill();
    second.tell('close');
    await second.ended;
    const store = await openStore({...where, schema: {...schema, more: ty.u8}});
    t.deepEqual(store.check().problems, []);
    store.destroy();
  });

test('a file that may only be read is read: of mode 400, and on a read-only file system', async t => {
  const home = folder(t);
  chmodSync(home, 0o755);
  const path = join(home, 'a.store');
  const where = {name: 'a', backend: 'file', path} as const;
  const store = await openStore({...where, schema, size: '64KB'});
  store.root.count = 5;
  store.close();
  const before = readFileSync(path);
  chmodSync(path, 0o400);
  const reader = bundle('only-reads.ts');
  chmodSync(dirname(reader), 0o755);
  const read = (...wrap: string[]) => {
    const [file, ...args] = [...wrap, process.execPath, reader, path];
    const {stdout, stderr} = spawnSync(file!, args, {encoding: 'utf8'});
    return stdout.trim() || stderr;
  };
  const expected = '5 5 5 woken ERR_FOREIGN';
  if (process.getuid!() === 0) {
    const [uid, gid] = [65534, 65534];
    chownSync(path, uid, gid);
    chownSync(home, uid, gid);
    t.is(read('setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'), expected);
    chownSync(path, 0, 0);
  } else t.is(read(), expected);
  chmodSync(path, 0o600);
  const remount = `mount --bind ${home} ${home} && mount -o remount,ro,bind ${home} && exec "$@"`;
  const isolate = [[], ['--map-root-user']]
    .map(more => ['unshare', ...more, '--mount', 'sh', '-c', remount, 'sh'])
    .find(([file, ...args]) => spawnSync(file!, [...args, 'true']).status === 0);
  if (isolate) t.is(read(...isolate), '5 5 5 woken ERR_BACKEND');
  else t.log('no mount is allowed here: a read-only file system was not tried');
  chmodSync(path, 0o600);
  t.deepEqual(readFileSync(path), before);
});

test('closing a SysV store lets go of its segment, and so does a look at all of them', async t => {
  const names = [freshName(), freshName()];
  const attached = (name: string) => listSysv().find(({key}) => key === sysvKeys(name)[0])?.attached;
  for (const name of names) {
    const store = await openStore({name, schema, size: '64KB'});
    const reader = await readStore({name});
    t.is(attached(name), 1);
    const bytes = store.memory;
    store.close();
    t.is(attached(name), 1, 'the reader has it');
    reader.close();
    t.is(attached(name), 0);
    t.is(bytes.length, 0, 'what was kept of it finds nothing');
  }
  t.deepEqual(
    listStores()
      .filter(({name}) => names.includes(name!))
      .map(({attached}) => attached),
    [0, 0],
  );
  for (const name of names) t.is(attached(name), 0);
  const other = await Claimant.start(t, {name: names[0]!});
  t.is((await other.open()).opened, 0);
  t.throws(() => removeStore(names[0]!), {code: 'ERR_BUSY', message: /process \d+ writes it/});
  other.tell('close');
  await other.ended;
  const script = `import(${JSON.stringify(pathToFileURL(fileURLToPath(new URL('../dist/index.js', import.meta.url))).href)}).then(({removeStore}) => removeStore(${JSON.stringify(names[0])}))`;
  // While this process had it open, and has closed it.
  t.is(spawnSync(process.execPath, ['-e', script], {encoding: 'utf8'}).stderr, '');
  removeStore(names[1]!);
  for (const name of names) t.is(attached(name), undefined);
});

test('an orderly end removes no store, whatever was opened, closed and moved before', async t => {
  const names = Array.from({length: 4}, freshName);
  const script = `import(${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)}).then(async ({openStore, readStore, listStores, t}) => {
    const schema = {a: t.u32};
    for (const name of ${JSON.stringify(names)}) (await openStore({name, size: '64KB', schema})).close();
    for (const name of ${JSON.stringify(names)}) for (let i = 0; i < 5; i++) (await openStore({name, schema, compact: true})).close();
    listStores();
    await openStore({name: ${JSON.stringify(names[0])}, schema, compact: true});
    await readStore({name: ${JSON.stringify(names[1])}});
  })`;
  const {status, stdout, stderr} = spawnSync(process.execPath, ['-e', script], {encoding: 'utf8'});
  t.deepEqual([status, stdout, stderr], [0, '', '']);
  for (const name of names) (await openStore({name, schema: {a: ty.u32}})).destroy();
});

test('what a process took before it replaced itself by exec is its own still, and nobody else can take it', t => {
  const key = 0x7a000000 + process.pid;
  const before = new SysvSeats(key, 'a set');
  t.true(before.takeAll());
  const after = new SysvSeats(key, 'a set');
  t.true(after.takeAll());
  after.keepOne(5);
  t.is(new SysvSeats(key, 'a set').takeOne(), 5);
  after.leave();
});

test('a dump of format version 1 is loaded, a store of it is refused and left as it was', async t => {
  const name = freshName();
  const store = await fresh(t, 'file', schema, {name});
  store.root.count = 9;
  const {gunzipSync, gzipSync} = await import('node:zlib');
  const image = new Memory(new Uint8Array(gunzipSync(dumpStore(store))));
  image.u32[at.version / 4] = 1;
  readdress(image, name); // its checksum
  const path = pathOf(name, 'file').path!;
  store.destroy();
  writeFileSync(path, image.u8, {mode: 0o600});
  const where = {name, backend: 'file', path} as const;
  await t.throwsAsync(openStore({...where, schema}), {code: 'ERR_VERSION', message: /version 1.*Dump it/});
  t.deepEqual(new Uint8Array(readFileSync(path)), image.u8);
  rmSync(path);
  await loadStore(gzipSync(image.u8), where);
  const loaded = await openStore({...where, schema});
  t.is(loaded.root.count, 9);
  loaded.destroy();
});
