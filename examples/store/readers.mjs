// One process writes, others read what is between two of its transactions and are woken by it: node readers.mjs
import {fork} from 'node:child_process';
import {once} from 'node:events';
import {fileURLToPath} from 'node:url';
import {openStore, t} from '@zlr/state-store';

const [name = 'example-readers', reader] = process.argv.slice(2);
const schema = {left: t.i32, right: t.i32, done: t.bool};

if (reader) {
  const store = await openStore({name, backend: 'sysv', schema, readonly: true});
  const changes = store.watch(root => ({sum: root.left + root.right, done: root.done}));
  let next = changes.next(); // from here on no commit is missed
  process.send('ready');
  let wrong = 0;
  for (;;) {
    const {value} = (await next).value;
    if (value.sum !== 0) wrong++;
    if (value.done) break;
    next = changes.next();
  }
  await changes.return();
  try {
    store.root.left = 1;
  } catch (error) {
    console.log(`reader: ${wrong} sums were wrong, a write gives ${error.code}`);
  }
  store.close();
} else {
  const store = await openStore({name, size: '1MB', backend: 'sysv', schema});
  const readers = [1, 2].map(() => fork(fileURLToPath(import.meta.url), [name, 'reader']));
  const ended = readers.map(each => once(each, 'exit'));
  await Promise.all(readers.map(each => once(each, 'message')));
  for (let i = 0; i < 100_000; i++)
    store.transaction(() => {
      store.root.left++;
      store.root.right--;
    });
  store.transaction(() => {
    store.root.done = true;
  });
  await Promise.all(ended);
  console.log('writer:', store.root.left, store.root.right);
  store.destroy();
}
//> reader: 0 sums were wrong, a write gives ERR_READONLY
//> reader: 0 sums were wrong, a write gives ERR_READONLY
//> writer: 100000 -100000
