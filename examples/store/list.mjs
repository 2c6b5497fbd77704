// A linked list: each value has an id by which it is found and removed, wherever its neighbours go. Here, what was used last.
import {openStore, t} from '@zlr/state-store';

const store = await openStore({
  name: 'list',
  size: '1MB',
  backend: 'memory',
  schema: {recent: t.list(t.string()), where: t.map(t.string(), t.uint)},
});
const {recent, where} = store.root;

function use(page) {
  store.transaction(() => {
    const id = where.get(page);
    if (id !== undefined) recent.remove(id);
    where.set(page, recent.unshift(page));
    if (recent.size > 3) where.delete(recent.pop());
  });
}
for (const page of ['a', 'b', 'c', 'a', 'd']) use(page);
console.log([...recent].join(), recent.first, recent.last, where.has('b')); //> d,a,c d c false

const id = where.get('a');
recent.insertAfter(id, 'after a');
recent.insertBefore(id, 'before a');
console.log([...recent].join()); //> d,before a,a,after a,c
console.log(recent.remove(id), recent.remove(id), recent.get(id)); //> true false undefined
store.destroy();
