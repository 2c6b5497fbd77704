// zlr/store.h: a C program reads and writes a store; what it leaves half done is undone by the library.
import {execFileSync, spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {openStore, struct, t as ty} from '../src/index.js';
import {at, MAGIC, READY, VERSION} from '../src/segment/header.js';
import {PLACES} from '../src/segment/tenure.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'zlr-c-'));
const sum = join(folder, 'sum');
const file = join(folder, 'accounts.store');
test.before(() => {
  execFileSync(
    'cc',
    [
      '-std=gnu11',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-Wno-pedantic',
      '-I',
      join(root, 'packages/state-store/include'),
      '-o',
      sum,
      join(root, 'examples/store/sum.c'),
    ],
    {stdio: 'inherit'},
  );
});
test.after.always(() => rmSync(folder, {recursive: true}));

const Account = struct('Account', {name: ty.string(20), locked: ty.bool, cents: ty.i64});
const schema = {changes: ty.uint, accounts: ty.table(Account)};
const options = {name: 'accounts', backend: 'file', path: file, size: '1MB', schema} as const;

test.serial('C reads what TypeScript wrote, across extents and freed slots', async t => {
  const store = await openStore(options);
  const all = Array.from({length: 300}, (_, i) =>
    store.root.accounts.insert({name: `account ${i}`, locked: i === 5, cents: BigInt(i)}),
  );
  for (const [i, account] of all.entries()) if (i % 3 === 1) store.root.accounts.remove(account);
  const expected = [...store.root.accounts].map(a => `${a.name}${a.locked ? ' (locked)' : ''} ${a.cents}`);
  store.close();
  t.is(
    execFileSync(sum, [file], {encoding: 'utf8'}),
    `${expected.join('\n')}\nsum ${expected.reduce((s, l) => s + Number(l.split(' ').at(-1)), 0)} after 0 changes\n`,
  );
});

test.serial('a transaction of C stays, one that dies half-way never was', async t => {
  t.is(spawnSync(sum, [file, 'add', '1000']).status, 0);
  t.is(spawnSync(sum, [file, 'die', '5']).signal, 'SIGKILL');
  const store = await openStore(options);
  t.is(store.info().recovered, 1);
  t.is(store.root.changes, 1);
  t.true([...store.root.accounts].every(a => a.cents === BigInt(a.name.slice(8)) + 1000n));
  t.deepEqual(store.check().problems, []);
  store.close();
});

test.serial('C and the library do not write at once, and C undoes what a dead one left', async t => {
  const store = await openStore(options);
  const {changes} = store.root;
  const refused = spawnSync(sum, [file, 'add', '1'], {encoding: 'utf8'});
  t.is(refused.status, 3, refused.stderr);
  store.close();
  t.is(spawnSync(sum, [file, 'die', '5']).signal, 'SIGKILL');
  t.is(spawnSync(sum, [file, 'add', '7']).status, 0);
  const after = await openStore(options);
  t.is(after.info().recovered, 0);
  t.is(after.root.changes, changes + 1);
  t.true([...after.root.accounts].every(a => a.cents === BigInt(a.name.slice(8)) + 1007n));
  after.close();
});

test('the header says what the source says', t => {
  const text = readFileSync(join(root, 'packages/state-store/include/zlr/store.h'), 'utf8');
  t.true(text.includes(`"${MAGIC.toString('latin1')}"`));
  t.regex(text, new RegExp(`ZLR_STORE_VERSION ${VERSION}u`));
  t.regex(text, new RegExp(`ZLR_PLACES ${PLACES} `));
  t.regex(text, new RegExp(`ZLR_STORE_READY 0x${READY.toString(16)}u`));
  for (const [member, offset] of [
    ['owner', at.owner],
    ['birth', at.birth],
    ['name_length', at.name],
    ['log_cell', at.log],
    ['checksum', at.checksum],
    ['log_head', at.logHead],
    ['live', at.live],
    ['stopped', at.stopped],
  ] as const)
    t.true(text.includes(`offsetof(struct zlr_store_header, ${member}) == ${offset},`), member);
});
