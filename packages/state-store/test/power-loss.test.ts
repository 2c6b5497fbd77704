// What a store in a file does so that a machine may stop at any time: what it puts on the disk in which order, and how
// those who come after the next boot look at it first.
import fs from 'node:fs';
import {syncBuiltinESMExports} from 'node:module';
import {basename, dirname} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {kernel} from '../src/backends/kernel.js';
import {loadCompiled} from '../src/backends/native.js';
import type {Slots} from '../src/collections/slots.js';
import {openStore, Struct, t as ty} from '../src/index.js';
import {at} from '../src/segment/header.js';
import {ownIdentity} from '../src/segment/process-identity.js';
import {schema} from './fixtures/shared-schema.js';
import {BACKENDS, fresh, freshName, pathOf} from './helpers/stores.js';

/** Notes the calls that order what reaches the disk. */
function record(t: ExecutionContext, path: string): string[] {
  const calls: string[] = [];
  const opened = new Map<number, string>();
  const name = (full: string) =>
    full === dirname(path) ? 'folder' : basename(full).replace(basename(path), 'store');
  const {openSync, fsyncSync, renameSync} = fs;
  const real = {openSync, fsyncSync, renameSync};
  fs.openSync = (file, ...rest) => {
    const fd = real.openSync(file, ...rest);
    opened.set(fd, name(String(file)));
    return fd;
  };
  fs.fsyncSync = fd => {
    calls.push(`fsync ${opened.get(fd)}`);
    real.fsyncSync(fd);
  };
  fs.renameSync = (from, to) => {
    calls.push(`renameSync ${name(String(from))} ${name(String(to))}`);
    real.renameSync(from, to);
  };
  const addon = kernel();
  const {renameNew} = addon;
  addon.renameNew = (from, to) => {
    calls.push(`renameNew ${name(from)} ${name(to)}`);
    for (const [fd, called] of opened) if (called === name(from)) opened.set(fd, name(to));
    return renameNew(from, to);
  };
  const mmap = loadCompiled<{sync(...args: unknown[]): void}>('file', 'mmap-io', ['sync'], '');
  const {sync} = mmap;
  mmap.sync = (...args) => {
    calls.push('msync');
    sync(...args);
  };
  syncBuiltinESMExports();
  t.teardown(() => {
    Object.assign(fs, real);
    mmap.sync = sync;
    addon.renameNew = renameNew;
    syncBuiltinESMExports();
  });
  return calls;
}

test.serial('a file is on the disk before its name is, and its length before its header says so', async t => {
  const name = freshName();
  const path = pathOf(name, 'file').path!;
  const calls = record(t, path);
  const where = {name, backend: 'file', path, schema} as const;
  const store = await fresh(t, 'file', schema, {name, size: '64KB', maxSize: '128KB'});
  const made = ['fsync store.zlr-new', 'msync', 'renameNew store.zlr-new store', 'fsync folder'];
  t.deepEqual(calls.splice(0), made);
  const {size} = store.info();
  const header = () => fs.readFileSync(path).readUInt32LE(at.size);
  const real = fs.fsyncSync;
  fs.fsyncSync = fd => {
    t.is(header(), size, 'not yet');
    real(fd);
  };
  syncBuiltinESMExports();
  for (let i = 0; store.info().size === size; i++) store.root.accounts.set(`${i}`.padEnd(1000, '.'), i);
  fs.fsyncSync = real;
  syncBuiltinESMExports();
  t.is(header(), 128 * 1024);
  t.deepEqual(calls.splice(0), ['fsync store']);
  store.close();
  t.deepEqual(calls.splice(0), ['msync']);
  (await openStore({...where, compact: true})).close();
  t.deepEqual(calls.splice(0), [
    'fsync store.zlr-next',
    'msync',
    'renameSync store.zlr-next store',
    'fsync folder',
    'msync',
  ]);
  (await openStore(where)).destroy();
});

test.serial('what fails after a rebuilt store has its name does not remove it', async t => {
  const name = freshName();
  const path = pathOf(name, 'file').path!;
  const where = {name, backend: 'file', path, schema} as const;
  const store = await fresh(t, 'file', schema, {name});
  store.root.accounts.set('Ada', 5);
  store.close();
  const real = fs.fsyncSync;
  fs.fsyncSync = fd => {
    if (fs.fstatSync(fd).isDirectory())
      throw Object.assign(new Error('EIO: i/o error, fsync'), {code: 'EIO'});
    real(fd);
  };
  syncBuiltinESMExports();
  await t.throwsAsync(openStore({...where, compact: true}), {code: 'ERR_BACKEND', message: /EIO/});
  fs.fsyncSync = real;
  syncBuiltinESMExports();
  const again = await openStore(where);
  t.is(again.root.accounts.get('Ada'), 5);
  t.deepEqual(again.check().problems, []);
  again.destroy();
});

for (const [place, offset] of [
  ['owner', at.owner],
  ['writers', at.writers + 8 * 5],
] as const)
  for (const writers of ['one', 'many'] as const)
    test(`a store written when its machine stopped is looked through first: ${place}, writers ${writers}`, async t => {
      const name = freshName();
      const path = pathOf(name, 'file').path!;
      const where = {name, backend: 'file', path, schema, writers} as const;
      const maker = await fresh(t, 'file', schema, {name});
      maker.root.accounts.set('a key that needs a block of its own in the heap', 1);
      maker.close();
      const whole = fs.readFileSync(path);
      whole.writeBigUInt64LE(ownIdentity() ^ (1n << 56n), offset); // of another boot
      // An extent where the log is: whose is what cannot be told.
      const beyond = Buffer.from(whole);
      const head = beyond.readUInt32LE(at.root) * 8 + new Struct('Root', schema).placed[0]!.offset;
      beyond.writeUInt32LE(128, head + 20);
      for (const [i, cell] of [700, 800].entries()) beyond.writeUInt32LE(cell, head + 40 + i * 4);
      fs.writeFileSync(path, beyond);
      const other = {...schema, more: schema.moves};
      for (const asked of [where, where, {...where, schema: other}])
        await t.throwsAsync(openStore(asked), {code: 'ERR_CORRUPT', message: /stopped/});
      // A block in use is listed as free: that can be mended.
      const damaged = Buffer.from(whole);
      damaged.writeUInt32LE(damaged.readUInt32LE(at.heap), at.free);
      fs.writeFileSync(path, damaged);
      const mended = await openStore(where);
      t.deepEqual(mended.check().problems, []);
      mended.close();
      fs.writeFileSync(path, whole);
      const store = await openStore(where);
      t.is(store.root.accounts.size, 1);
      store.close();
      const after = fs.readFileSync(path);
      t.true(after.subarray(at.writers, at.writers + 8 * at.writersCount).every(byte => byte === 0));
      t.is(after.readBigUInt64LE(at.lock), 0n);
      (await openStore(where)).destroy();
    });

for (const backend of BACKENDS)
  for (const writers of ['one', 'many'] as const)
    test(`${backend}: a store too full to be mended after a stop of its machine grows for it, writers ${writers}`, async t => {
      const name = freshName();
      const texts = {texts: ty.map(ty.u32, ty.string())};
      const where = {name, backend, ...pathOf(name, backend), schema: texts, writers} as const;
      const maker = await fresh(t, backend, texts, {name, size: '64KB', logSize: '16KB'});
      t.throws(
        () => {
          for (let n = 0; ; n++) maker.root.texts.set(n, `text ${n} of a length that needs a block`);
        },
        {code: 'ERR_FULL'},
      );
      const {size} = maker.root.texts;
      const {slots} = maker.root.texts as unknown as {slots: Slots};
      const {buffer, byteOffset, byteLength} = maker.memory;
      const words = new Uint32Array(buffer, byteOffset, byteLength / 4);
      for (let slot = 0; slot < size; slot += 2) words[slots.cell(slot) * 2 + 3] = 7777;
      new DataView(buffer, byteOffset).setBigUint64(at.writers, ownIdentity() ^ (1n << 56n), true);
      maker.close();
      const mended = await openStore({...where, maxSize: '4MB'});
      t.true(mended.info().size > 64 * 1024);
      t.deepEqual(mended.check().problems, []);
      t.is(mended.root.texts.size + mended.info().quarantined, size);
      t.is(mended.root.texts.size, Math.floor(size / 2));
      mended.destroy();
    });
