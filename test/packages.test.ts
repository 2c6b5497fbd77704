/*
 * Each package as its users get it: packed, served by a registry of this test, and installed by npm into an empty folder.
 * All are packed once for the whole file; test/packages has the rest of its tests.
 */
import {existsSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {MAJORS, nodePrefix} from '../scripts/nodes.mjs';
import './packages/contents.js';
import './packages/native-parts.js';
import {made, registry} from './packages/packages.js';
import {COMPILERS, found, ours, Place} from './packages/packed.js';
import {examples} from './packages/readme-examples.js';
import './packages/resolution.js';

for (const name of ours.keys()) {
  test(`${name}: installed without a compiler, the README's example runs under every Node`, async t => {
    const place = new Place(made, registry, {compiler: false});
    for (const compiler of COMPILERS) t.is(found(compiler, place.env['PATH']!), undefined);
    await place.install(name);
    for (const major of MAJORS) {
      t.log(`node ${major}`);
      await examples[name]!(t, place.under(join(await nodePrefix(major), 'bin/node')));
    }
  });
}

test('installed with a compiler, all examples run', async t => {
  const place = new Place(made, registry, {compiler: true});
  await place.install(...ours.keys());
  t.true(existsSync(join(place.installed('shm-typed-array'), 'build/Release/shm.node')), 'it is compiled');
  t.false(existsSync(join(place.installed('@zlr/kernel-shim'), 'build')), 'a copy is carried');
  for (const name of ours.keys()) await examples[name]!(t, place);
});
