// Addresses for native code: true wherever the segment happens to be mapped, moved when that changes.
import test from 'ava';
import {isSegment} from '../src/backends/mappings.js';
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

test('the segment with id 0, the first one there is, is not taken for a mapping of no file', t => {
  t.false(isSegment(0, 0, '[heap]'));
  t.false(isSegment(0, 0, ''));
  t.true(isSegment(0, 0, '/SYSV5a4c5253 (deleted)'));
  t.false(isSegment(0, 3, '/SYSV5a4c5253 (deleted)'));
});
