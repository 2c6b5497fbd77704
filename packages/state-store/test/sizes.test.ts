// The largest stores, of which few pages are touched, and what is said of those that are too large for this Node, for the
// kernel or for the machine.
import {constants} from 'node:buffer';
import test from 'ava';
import {openStore, type StoreError, struct, t as ty} from '../src/index.js';
import {largest} from '../src/size.js';
import {BACKENDS, freshName, pathOf} from './helpers/stores.js';

const GIB = 2 ** 30;

for (const backend of ['sysv', 'memory'] as const)
  test.serial(`${backend}: a store of 4 GiB holds what lies at its far end`, async t => {
    const Thing = struct('Thing', {n: ty.uint, text: ty.string()});
    // All but the last 8 MiB is one region, so everything else lies behind it.
    const schema = {area: ty.raw(4 * GIB - 2 ** 23), things: ty.table(Thing), last: ty.vector(ty.u64)};
    const where = {name: freshName(), backend, size: 4 * GIB, schema} as const;
    try {
      const store = await openStore(where);
      const {root} = store;
      root.area[root.area.length - 1] = 9;
      for (let n = 0; n < 1000; n++) root.things.insert({n, text: `text ${n}`.repeat(10)});
      root.last.push(...Array.from({length: 1000}, (_, i) => BigInt(i)));
      t.throws(() =>
        store.transaction(() => {
          for (const thing of root.things) thing.text = 'torn';
          throw new Error('back');
        }),
      );
      store.close();
      const again = await openStore(where);
      t.is(again.info().size, 4 * GIB);
      t.is(again.root.area.at(-1), 9);
      t.deepEqual(
        [...again.root.things].map(({n, text}) => text === `text ${n}`.repeat(10)).filter(same => !same),
        [],
      );
      t.is(again.root.last.at(-1), 999n);
      t.deepEqual(again.check().problems, []);
      again.destroy();
    } catch (error) {
      // On a machine with less memory than that, this and nothing else is right.
      t.is((error as StoreError).code, 'ERR_LIMIT', (error as Error).stack);
      t.log((error as Error).message);
    }
  });

for (const backend of BACKENDS)
  test(`${backend}: a size that no view of this Node reaches is refused up front, with the largest that is`, async t => {
    const [name, most] = [freshName(), largest(backend)];
    t.is(most, Math.min(constants.MAX_LENGTH, backend === 'file' ? 4 * GIB : 32 * GIB - 4096));
    const where = {name, backend, ...pathOf(name, backend), schema: {n: ty.u8}} as const;
    for (const sizes of [{size: most + 1}, {size: '1MB', maxSize: most + 1}])
      await t.throwsAsync(openStore({...where, ...sizes}), {
        code: most < 32 * GIB - 4096 ? 'ERR_LIMIT' : 'ERR_OPTIONS',
        message:
          most < 32 * GIB - 4096
            ? new RegExp(`size: ${most + 4096} bytes; .* at most ${most}|maxSize`, 'i')
            : /32GB/,
      });
    await t.throwsAsync(openStore(where), {code: 'ERR_NOT_FOUND'});
  });
