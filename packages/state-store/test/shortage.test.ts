/**
 * A shortage, at whatever step it is met, is one StoreError; nothing is lost, and nothing is kept: no lock, no descriptor, no draft.
 *
 * To see it fail: in file.ts let mapNew be map, or let destroy of a backing not let go when it throws.
 */
import {spawnSync} from 'node:child_process';
import test from 'ava';
import {bundle} from './helpers/bundle.js';
import {freshName, pathOf, SHARED_BACKENDS} from './helpers/stores.js';

for (const backend of SHARED_BACKENDS)
  test(`${backend}: without descriptors`, t => {
    const name = freshName();
    const run = 'ulimit -n 64; exec "$@"';
    const options = JSON.stringify({name, backend, ...pathOf(name, backend)});
    const {stdout, stderr} = spawnSync(
      'sh',
      ['-c', run, 'sh', process.execPath, bundle('starved.ts'), options],
      {encoding: 'utf8'},
    );
    t.deepEqual(JSON.parse(stdout || '["no answer"]'), [], stderr);
  });

/** What runs a command with few semaphores, in an IPC namespace of its own; undefined: nothing is allowed to here. */
function withSemaphores(limits: string): readonly string[] | undefined {
  return [
    ['unshare', '--ipc'],
    ['unshare', '--map-root-user', '--ipc'],
  ]
    .map(wrap => [...wrap, 'sh', '-c', `echo ${limits} > /proc/sys/kernel/sem && exec "$@"`, 'sh'])
    .find(([file, ...args]) => spawnSync(file!, [...args, 'true']).status === 0);
}

for (const [what, limits] of [
  ['no sets', '32000 1024000 500 0'],
  ['no large sets', '60 1024000 500 200'],
  ['few in all', '32000 60 500 200'],
] as const)
  test(`sysv: without semaphores: ${what}`, t => {
    const wrap = withSemaphores(limits);
    if (!wrap) {
      t.log('no IPC namespace, or no other limit of it, is allowed here');
      t.pass();
      return;
    }
    const {href} = new URL('../dist/index.js', import.meta.url);
    const code = `import(${JSON.stringify(href)}).then(({openStore, t}) =>
      openStore({name: 'a', size: '64KB', schema: {a: t.u8}}).catch(error => console.log(error.code, error.message)))`;
    const [file, ...args] = [...wrap, process.execPath, '-e', code];
    const {stdout, stderr} = spawnSync(file!, args, {encoding: 'utf8'});
    t.regex(stdout, /^ERR_LIMIT .*kernel\.sem.*backend 'file'/, stderr);
  });
