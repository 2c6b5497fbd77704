// The largest stores, of which few pages are touched, and what is said of those that are too large for this Node, for the
// kernel or for the machine.
import {constants} from 'node:buffer';
import {spawnSync} from 'node:child_process';
import {mkdtempSync, rmdirSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {memoryComplaint, readMemory, readSegments, segmentComplaint} from '../src/backends/limits.js';
import {largest} from '../src/backends/size.js';
import {decodeSchema, encodeSchema} from '../src/declaration/schema-blob.js';
import {openStore, type StoreError, struct, t as ty} from '../src/index.js';
import {Struct} from '../src/schema/struct.js';
import {bundle} from './helpers/bundle.js';
import {BACKENDS, freshName, pathOf} from './helpers/stores.js';

const GIB = 2 ** 30;

for (const backend of ['sysv', 'memory'] as const)
  test.serial(`${backend}: a store of 4 GiB holds what lies at its far end`, async t => {
    // Of each width of view: the index of a byte out there has more than 32 bits of an integer.
    const Thing = struct('Thing', {n: ty.uint, byte: ty.u8, code: ty.string(8), text: ty.string()});
    // All but the last 8 MiB is one region, so everything else lies behind it.
    const schema = {area: ty.raw(4 * GIB - 2 ** 23), things: ty.table(Thing), last: ty.vector(ty.u64)};
    const where = {name: freshName(), backend, size: 4 * GIB, schema} as const;
    try {
      const store = await openStore(where);
      const {root} = store;
      root.area[root.area.length - 1] = 9;
      for (let n = 0; n < 1000; n++)
        root.things.insert({n, byte: n & 255, code: `${n}`, text: `text ${n}`.repeat(10)});
      let sum = 0;
      for (const thing = root.things.scan(); thing.next(); ) {
        sum += thing.byte;
        thing.byte = (thing.byte + 1) & 255;
      }
      t.is(sum, 124_716);
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
        [...again.root.things].filter(
          ({n, byte, code, text}) =>
            byte !== ((n + 1) & 255) || code !== `${n}` || text !== `text ${n}`.repeat(10),
        ),
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

test('the description of a schema holds a region of more than 4 GiB', t => {
  for (const bytes of [4 * GIB - 1, 4 * GIB, 31 * GIB + 5]) {
    const description = new Struct('Root', {area: ty.raw(bytes)}).describe();
    t.deepEqual(decodeSchema(encodeSchema(description), 'here'), description);
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

const roomy = {
  shmmax: 2 ** 63,
  shmall: 2 ** 51,
  shmmni: 4096,
  segments: [4096, 5000],
  memory: 8 * GIB,
  swap: GIB,
  cgroup: Number.POSITIVE_INFINITY,
};

test('what the kernel would refuse is told with the limit, its value and how to raise it', t => {
  t.is(segmentComplaint(9 * GIB, roomy), undefined);
  for (const [bytes, limits, expected] of [
    [8192, {shmmax: 4096}, /^kernel.shmmax allows 4096 bytes in one segment; .*shmmax=8192/],
    [8192, {shmall: 4}, /^kernel.shmall allows 16384 bytes .* 12288 are in use .*shmall=5,/],
    [8192, {shmmni: 2}, /^kernel.shmmni allows 2 segments and 2 are there .*shmmni=3/],
    [9 * GIB + 4096, {}, /^this machine has 8589934592 bytes of memory and 1073741824 of swap/],
    [9 * GIB, {cgroup: GIB}, /^the memory limit of this container .* is 1073741824 bytes/],
  ] as const)
    t.regex(segmentComplaint(bytes, {...roomy, ...limits})!, expected);
  t.is(segmentComplaint(8192, {...roomy, shmmax: 8192, shmall: 5, shmmni: 3}), undefined, 'up to the limit');
});

test('the limits are read as this kernel has them', t => {
  const now = readSegments([]);
  t.true(now.shmmax > 0 && now.shmall > 0 && now.shmmni > 0);
  t.true(now.memory > 2 ** 26 && now.memory < 2 ** 50);
  t.regex(segmentComplaint(now.shmmax * 2, now)!, new RegExp(`shmmax allows ${now.shmmax} bytes`));
  t.regex(memoryComplaint(2 ** 60, readMemory())!, /bytes/);
});

/** Flags by which this user gets namespaces of his own, if he does. */
const namespaces = [
  ['--ipc', '--mount'],
  ['--map-root-user', '--ipc', '--mount'],
].find(flags => {
  const script = 'echo 4096 > /proc/sys/kernel/shmmni && mount -t tmpfs tmpfs /mnt';
  return spawnSync('unshare', [...flags, 'sh', '-c', script]).status === 0;
});

const opener = bundle('opener.ts');

for (const [what, prepare, args, expected] of [
  [
    'kernel.shmmax',
    'echo 131072 > /proc/sys/kernel/shmmax',
    ['sysv', '128KB', '256KB'],
    /shmmax allows 131072 bytes/,
  ],
  [
    'kernel.shmall',
    'echo 40 > /proc/sys/kernel/shmall',
    ['sysv', '128KB', '256KB'],
    /shmall allows 163840 .* 131072 are in use/,
  ],
  [
    'kernel.shmmni',
    'echo 1 > /proc/sys/kernel/shmmni',
    ['sysv', '128KB', '256KB'],
    /shmmni allows 1 segments and 1 are/,
  ],
  [
    'a small tmpfs',
    'mount -t tmpfs -o size=192k tmpfs "$0"',
    ['file', '128KB', '256KB'],
    /has 65536 bytes left/,
  ],
] as const)
  test(`${what} stops the growth of a store by ERR_LIMIT, and the store goes on as it was`, t => {
    if (!namespaces) {
      // This user cannot set the limits. That they are read and told is proved above; /proc is a file system without room.
      const {stdout} = spawnSync(process.execPath, [opener, 'file', '/proc/x', '128KB']);
      t.regex(stdout.toString(), /^ERR_LIMIT .* has 0 bytes left/);
      return;
    }
    const folder = mkdtempSync(join(tmpdir(), 'zlr-small-'));
    const script = `${prepare} && exec "$@"`;
    const [backend, ...sizes] = args;
    const command = [process.execPath, opener, backend, join(folder, 'store'), ...sizes];
    const {stdout, stderr} = spawnSync('unshare', [...namespaces, 'sh', '-c', script, folder, ...command]);
    rmdirSync(folder);
    const [error, after] = stdout.toString().split('\n');
    t.regex(error!, /^ERR_LIMIT /, stderr.toString());
    t.regex(error!, expected);
    t.is(after, 'kept 1, 0 problems');
  });
