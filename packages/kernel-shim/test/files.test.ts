/**
 * Proves that a file is opened below its folder and nowhere else (native/channels/files.c), and that the table of descriptors is
 * read whole, however long it is (native/keeper/table.c).
 *
 * To see it fail: leave out RESOLVE_BENEATH or O_NONBLOCK in zlr_open_beneath(), or stop zlr_each_fd() after its first
 * buffer.
 */
import {execFileSync} from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import {constants, tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {native} from '../dist/native.js';

const {EXDEV, ENOENT, ENOTDIR, ELOOP, EINVAL, ENAMETOOLONG} = constants.errno;

/** A folder `inside` with a file, and a file beside it that must stay out of reach. */
function makeFolders(t: ExecutionContext): {root: string; inside: string; directory: number} {
  const root = mkdtempSync(join(tmpdir(), 'zlr-files-'));
  const inside = join(root, 'inside');
  mkdirSync(join(inside, 'sub'), {recursive: true});
  writeFileSync(join(root, 'secret'), 'secret');
  writeFileSync(join(inside, 'file'), 'content');
  const directory = openSync(inside, 'r');
  t.teardown(() => {
    closeSync(directory);
    rmSync(root, {recursive: true});
  });
  return {root, inside, directory};
}

const stat = new Float64Array(8);
const open = (directory: number, path: string): number => native().openBeneath(directory, path, stat);

test('a file is opened, described and read', t => {
  const {inside, directory} = makeFolders(t);
  const fd = open(directory, 'file');
  t.true(fd >= 0);
  const {mode, size, dev, ino, mtimeMs} = statSync(join(inside, 'file'));
  const [gotMode, gotSize, gotDevice, gotInode, seconds, nanoseconds] = [...stat] as number[];
  t.deepEqual([gotMode, gotSize, gotDevice, gotInode], [mode, size, dev, ino]);
  t.is(Math.floor(seconds! * 1000 + nanoseconds! / 1e6), Math.floor(mtimeMs));
  const bytes = Buffer.alloc(10);
  t.is(native().readAt(fd, bytes, 2, 8, 3), 4);
  t.is(bytes.toString('latin1', 2, 6), 'tent');
  t.is(native().close(fd), 0);
});

test('a path that leads out of the folder is refused, however it does', t => {
  const {root, inside, directory} = makeFolders(t);
  symlinkSync('../secret', join(inside, 'relative'));
  symlinkSync(join(root, 'secret'), join(inside, 'absolute'));
  symlinkSync('..', join(inside, 'sub', 'up'));
  symlinkSync('../..', join(inside, 'sub', 'out'));
  const paths = [
    '../secret',
    'sub/../../secret',
    './.././secret',
    '/etc/passwd',
    join(root, 'secret'),
    'relative',
    'absolute',
    'sub/out/secret',
    '..',
  ];
  for (const path of paths) t.is(open(directory, path), -EXDEV, path);
});

test('a symbolic link that stays inside is followed', t => {
  const {inside, directory} = makeFolders(t);
  symlinkSync('file', join(inside, 'link'));
  symlinkSync('../file', join(inside, 'sub', 'link'));
  for (const path of ['link', 'sub/link', 'sub/../file', './file']) {
    const fd = open(directory, path);
    t.true(fd >= 0, path);
    t.is(stat[3], statSync(join(inside, 'file')).ino);
    native().close(fd);
  }
});

test('what cannot be opened has its name', t => {
  const {inside, directory} = makeFolders(t);
  symlinkSync('loop', join(inside, 'loop'));
  t.is(open(directory, 'nothing'), -ENOENT);
  t.is(open(directory, ''), -ENOENT);
  t.is(open(directory, 'file/below'), -ENOTDIR);
  t.is(open(directory, 'loop'), -ELOOP);
  t.is(open(directory, 'file\0.txt'), -EINVAL);
  t.is(open(directory, 'x'.repeat(5000)), -ENAMETOOLONG);
  t.is(open(directory, 'x'.repeat(300)), -ENAMETOOLONG);
});

test('a FIFO that nobody writes to does not hang', t => {
  const {inside, directory} = makeFolders(t);
  execFileSync('mkfifo', [join(inside, 'fifo')]);
  const fd = open(directory, 'fifo'); // would wait for a writer, for ever
  t.true(fd >= 0);
  t.is((stat[0] as number) & 0o170000, 0o010000, 'its mode says what it is');
  native().close(fd);
});

test('all of more than 1,000 descriptors are found', t => {
  const {directory} = makeFolders(t);
  const files = Array.from({length: 1500}, () => open(directory, 'file'));
  t.true(files.every(fd => fd >= 0));
  const plain = openSync('/dev/null', 'r');
  const listener = native().listen('127.0.0.1', 0, 1, 0);
  t.true(readdirSync('/proc/self/fd').length > 1500);
  const adopted = native().inherited();
  const byNumber = (a: number, b: number): number => a - b;
  t.deepEqual([...adopted.files].sort(byNumber), [...files].sort(byNumber));
  t.deepEqual(adopted.channels, [listener]);
  for (const fd of [...files, plain, listener]) native().close(fd);
  t.deepEqual(native().inherited(), {channels: [], files: [], were: []});
});
