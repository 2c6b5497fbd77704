// Addresses for native code: true wherever the segment happens to be mapped, moved when that changes.
import {
  closeSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {openStore, t as ty} from '../src/index.js';
import {at} from '../src/segment/header.js';
import {Node as Linked, schema} from './fixtures/addressed.js';
import {run} from './helpers/child.js';
import {fresh, freshName, pathOf, SHARED_BACKENDS} from './helpers/stores.js';

for (const backend of SHARED_BACKENDS)
  test(`${backend}: addresses hold true in every process, wherever it maps the segment`, async t => {
    const name = freshName();
    const store = await fresh(t, backend, schema, {name});
    const {nodes} = store.root;
    const [a, b] = [nodes.insert({value: 1}), nodes.insert({value: 2})];
    a.next = b as never;
    b.next = a as never;
    nodes.insert({value: 3});
    store.root.first = a as never;
    const layout = store.layout('nodes');
    const offset = (index: number) => layout.byteOffset + index * layout.stride;
    t.is(a.next as number | null, offset(1));
    t.is(store.root.first as number | null, offset(0));
    const base = new DataView(store.memory.buffer, store.memory.byteOffset).getBigUint64(at.base, true);
    const raw = () =>
      new DataView(store.memory.buffer, store.memory.byteOffset).getBigUint64(
        offset(0) + Linked.placed[1]!.offset,
        true,
      );
    t.is(raw(), base + BigInt(offset(1)), 'what native code reads is a pointer');
    t.throws(
      () => {
        a.next = store.memory.byteLength;
      },
      {code: 'ERR_VALUE'},
    );
    t.throws(
      () => {
        a.next = {} as never;
      },
      {code: 'ERR_VALUE'},
    );
    t.deepEqual(store.check().problems, []);
    store.close();
    const bases = new Set([base]);
    for (let i = 0; i < 3; i++) {
      const {stdout, stderr} = await run('addressed.ts', name, backend);
      const [there, sum, checked] = stdout.trim().split(' ');
      t.is(`${sum} ${checked}`, '3 ok', stderr);
      bases.add(BigInt(there!));
    }
    t.true(bases.size > 1, 'no process mapped it elsewhere: it proved nothing');
    const again = await openStore({name, backend, ...pathOf(name, backend), schema});
    t.is(again.root.first, offset(0));
    t.is([...again.root.nodes][0]!.next, offset(1));
    t.is([...again.root.nodes][2]!.next, null);
    again.destroy();
  });

test('a backend without addresses says so', async t => {
  await t.throwsAsync(
    openStore({name: freshName(), backend: 'memory', size: '1MB', schema: {a: ty.address}}),
    {code: 'ERR_BACKEND'},
  );
});

/** The header of a store as native code finds it at the address that the store says. */
function foundAt(base: bigint): string {
  const memory = openSync('/proc/self/mem', 'r');
  try {
    const magic = Buffer.alloc(8);
    readSync(memory, magic, 0, 8, base);
    return magic.toString();
  } finally {
    closeSync(memory);
  }
}

const baseOf = (store: {memory: Uint8Array}) =>
  new DataView(store.memory.buffer, store.memory.byteOffset).getBigUint64(at.base, true);

test('an address holds true whatever the file is called, by whatever path it is opened, however often it is mapped', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'zlr-address-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  const real = join(folder, 'real');
  mkdirSync(real);
  symlinkSync(real, join(folder, 'linked folder'));
  const inside = (name: string) => join(real, name);
  const paths: Record<string, string> = {
    'two spaces': inside('two  spaces '),
    'a newline': inside('a\nnewline'),
    'as if it were deleted': inside('name (deleted)'),
    'letters of the world': inside('\u00fc\u6f22\u{1f600}'),
    'what looks like a newline': inside('a\\012b'),
    'as if it were a segment': inside('SYSV00000000 (deleted)'),
    'a folder that is a link': join(folder, 'linked folder', 'store'),
    'a link': join(folder, 'link'),
    'a second name': join(folder, 'second'),
  };
  symlinkSync(inside('behind a link'), paths['a link']!);
  for (const [what, path] of Object.entries(paths)) {
    const place = {name: 'addressed', backend: 'file', path, schema} as const;
    if (what === 'a second name') {
      (await openStore({...place, path: inside('first'), size: '64KB'})).close();
      linkSync(inside('first'), path);
    }
    const made = await openStore({...place, size: '64KB', maxSize: '1MB'});
    const nodes = made.root.nodes;
    const [a, b] = [nodes.insert({value: 1}), nodes.insert({value: 2})];
    a.next = b as never;
    const readers = [
      await openStore({...place, readonly: true}),
      await openStore({...place, readonly: true}),
    ];
    made.close();
    const store = await openStore({...place, maxSize: '1MB'});
    t.is(foundAt(baseOf(store)), 'ZLRSTORE', what);
    const next = [...store.root.nodes][0]!.next as unknown as number;
    t.is(next, store.layout('nodes').byteOffset + store.layout('nodes').stride, what);
    for (const reader of readers) t.is(reader.read(root => [...root.nodes][0]!.next) as unknown, next, what);
    t.deepEqual(store.check().problems, [], what);
    if (what !== 'a second name') unlinkSync(path);
    t.is(foundAt(baseOf(store)), 'ZLRSTORE', `${what}, without a name`);
    for (const each of [...readers, store]) each.close();
  }
});
