/*
 * Test runners and reloaders evaluate the JavaScript of a package again in one process, in another realm perhaps, while what is
 * compiled is there once; and some give what a module had exported before it failed when it is asked for again.
 */
import {execFile} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import test from 'ava';

const folder = fileURLToPath(new URL('..', import.meta.url));

async function program(code: string): Promise<string> {
  const {stdout} = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], {
    cwd: folder,
  });
  return stdout;
}

test('the JavaScript of mmap-io may be evaluated twice', async t => {
  const said = await program(`
    import {createRequire} from 'node:module';
    import {openStore, t} from '@zlr/state-store';
    const require = createRequire(process.cwd() + '/package.json');
    require('mmap-io');
    for (const path of Object.keys(require.cache)) if (!path.endsWith('.node')) delete require.cache[path];
    const path = '/dev/shm/zlr-again-' + process.pid;
    const store = await openStore({name: 'again', size: '1MB', backend: 'file', path, schema: {n: t.u32}});
    store.sync();
    store.destroy();
    console.log('fine');
  `);
  t.is(said, 'fine\n');
});

test('a module that lacks what it is for is no module', async t => {
  const said = await program(`
    import {createRequire} from 'node:module';
    import {openStore, t} from '@zlr/state-store';
    const require = createRequire(process.cwd() + '/package.json');
    for (const name of ['mmap-io', 'shm-typed-array']) {
      require(name);
      require.cache[require.resolve(name)].exports = {};
    }
    for (const backend of ['file', 'sysv']) {
      const options = {name: 'half-' + process.pid, size: '1MB', backend, path: '/dev/shm/zlr-half-' + process.pid};
      try {
        (await openStore({...options, schema: {n: t.u32}})).destroy();
        console.log('the copy that the package carries'); // where it was packed
      } catch (error) {
        console.log(error.code, error.message);
      }
    }
  `);
  for (const line of said.trim().split('\n'))
    t.regex(line, /^the copy|^ERR_BACKEND .*which did not load \((mmap-io|shm-typed-array) has no function/);
});
