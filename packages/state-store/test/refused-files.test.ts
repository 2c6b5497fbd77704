// What is no store and can be none, and what the kernel refuses: one line with a code, at once, and nothing half done.
import {execFile, execFileSync} from 'node:child_process';
import {chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import test, {type ExecutionContext} from 'ava';
import {
  dumpStore,
  loadStore,
  openStore,
  readStore,
  removeStore,
  repairStore,
  StoreError,
  t as ty,
} from '../src/index.js';
import {fresh} from './helpers/stores.js';

function folderOf(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'zlr-refused-'));
  t.teardown(() => rmSync(folder, {recursive: true, force: true}));
  return folder;
}

const schema = {n: ty.u32};
const ways = {
  make: (path: string) => openStore({name: 'x', backend: 'file', path, size: '64KB', schema}),
  open: (path: string) => openStore({name: 'x', backend: 'file', path, schema}),
  'open to read': (path: string) => openStore({name: 'x', backend: 'file', path, schema, readonly: true}),
  read: (path: string) => readStore({name: 'x', backend: 'file', path}),
  repair: (path: string) => repairStore({name: 'x', backend: 'file', path}),
};

test('a path that is or leads to no ordinary file is refused with the right code, however it is opened', async t => {
  const folder = folderOf(t);
  const inside = (name: string) => join(folder, name);
  execFileSync('mkfifo', [inside('fifo')]);
  mkdirSync(inside('folder'));
  writeFileSync(inside('plain'), 'no store', {mode: 0o600});
  symlinkSync('circle', inside('circle'));
  symlinkSync('fifo', inside('link to fifo'));
  const paths: Record<string, [path: string, code: string]> = {
    'a FIFO': [inside('fifo'), 'ERR_FOREIGN'],
    'a link to a FIFO': [inside('link to fifo'), 'ERR_FOREIGN'],
    'a folder': [inside('folder'), 'ERR_FOREIGN'],
    'the root': ['/', 'ERR_FOREIGN'],
    'a device': ['/dev/null', 'ERR_FOREIGN'],
    'a device that gives zeros': ['/dev/zero', 'ERR_FOREIGN'],
    'a terminal': ['/dev/tty', 'ERR_FOREIGN'],
    'a file that is too short': [inside('plain'), 'ERR_FOREIGN'],
    'a missing folder': [inside('no/such'), 'ERR_NOT_FOUND'],
    'a file for a folder': [inside('plain/store'), 'ERR_NOT_FOUND'],
    'a circle of links': [inside('circle'), 'ERR_OPTIONS'],
    'a name that is too long': [inside('n'.repeat(256)), 'ERR_OPTIONS'],
    'a path that is too long': [`${folder}/${'d/'.repeat(3000)}store`, 'ERR_OPTIONS'],
    'a NUL': [inside('a\0b'), 'ERR_OPTIONS'],
    nothing: ['', 'ERR_OPTIONS'],
    'no text': [5 as never, 'ERR_OPTIONS'],
  };
  const before = readdirSync(folder);
  const store = await fresh(t, 'memory', schema);
  const dump = dumpStore(store as never);
  const load = (path: string) => loadStore(dump, {name: 'x', backend: 'file', path});
  for (const [what, [path, code]] of Object.entries(paths))
    for (const [how, way] of Object.entries({...ways, load})) {
      // A file that is there is not written over by loading.
      const error = await t.throwsAsync(
        way(path) as Promise<unknown>,
        {instanceOf: StoreError, code},
        `${what}: ${how}`,
      );
      t.regex(error!.message, /^[^\n\0]{10,800}$/, `${what}: ${how}`);
    }
  t.deepEqual(readdirSync(folder), before, 'nothing is left of it');
});

test('a name that is none is refused by all who take one', async t => {
  const store = await fresh(t, 'memory', schema);
  const dump = dumpStore(store as never);
  for (const name of ['', 'two words', 'a/b', 'a\0', 'ä', 'n'.repeat(61), undefined, null, 5] as string[]) {
    const refused = {instanceOf: StoreError, code: 'ERR_OPTIONS'};
    const place = {name, backend: 'memory'} as const;
    await t.throwsAsync(openStore({...place, size: '64KB', schema}), refused, `${name}`);
    await t.throwsAsync(readStore(place), refused, `${name}`);
    await t.throwsAsync(repairStore(place), refused, `${name}`);
    await t.throwsAsync(loadStore(dump, place), refused, `${name}`);
    t.throws(() => removeStore(name), refused, `${name}`);
  }
});

/** Runs little-room.ts in a folder, under what `around` puts before it; gives its report. */
async function under(
  t: ExecutionContext,
  how: string,
  around: (folder: string) => string[],
): Promise<Record<string, string>> {
  const folder = folderOf(t);
  chmodSync(folder, 0o755);
  const script = fileURLToPath(new URL('./fixtures/little-room.ts', import.meta.url));
  const [command, ...args] = [...around(folder), process.execPath, '--import=tsx', script, how, folder];
  const {stdout} = await promisify(execFile)(command!, args);
  return JSON.parse(stdout) as Record<string, string>;
}

/** On a file system of a megabyte, which is gone with the process. */
const onTmpfs = (folder: string) => [
  ...['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c'],
  'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"',
  folder,
];

const full = {
  make: 'ERR_LIMIT',
  load: 'ERR_LIMIT',
  grow: 'ERR_LIMIT',
  kept: '0 first',
  'go on': 'ok',
  check: '',
  again: 'first,second',
  compact: 'ERR_LIMIT',
  left: 'growing',
};

test('a full file system is ERR_LIMIT, also in the middle of a transaction, and the store goes on', async t => {
  t.deepEqual(await under(t, 'room', onTmpfs), full);
});

test('so is a limit on the size of files (RLIMIT_FSIZE)', async t => {
  t.deepEqual(await under(t, 'room', () => ['prlimit', `--fsize=${800 * 1024}`]), full);
});

test('a read-only file system takes no store and opens none for writing, but can be read', async t => {
  t.deepEqual(await under(t, 'readonly', onTmpfs), {make: 'ERR_BACKEND', open: 'ERR_BACKEND', read: '7'});
});

test('what this user may not do is ERR_FOREIGN', async t => {
  const denied = {
    make: 'ERR_FOREIGN',
    open: 'ERR_FOREIGN',
    'make beside': 'ERR_FOREIGN',
    read: 'ERR_FOREIGN',
  };
  t.deepEqual(await under(t, 'denied', () => []), denied);
});

test('without a descriptor left it is ERR_LIMIT, and works again with some', async t => {
  const report = await under(t, 'descriptors', () => ['prlimit', '--nofile=80']);
  const none = {make: 'ERR_LIMIT', read: 'ERR_LIMIT', sysv: 'ERR_LIMIT', watch: 'ERR_LIMIT'};
  t.deepEqual(report, {...none, afterwards: 'ok'});
});
