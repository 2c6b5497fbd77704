// A vector: values in a row, which doubles its room when it is full.
import {openStore, struct, t} from '@zlr/state-store';

const Point = struct('Point', {x: t.f64, y: t.f64});
const store = await openStore({
  name: 'vector',
  size: '1MB',
  backend: 'memory',
  schema: {queue: t.vector(t.u32), path: t.vector(Point)},
});
const {queue, path} = store.root;

console.log(queue.push(3, 1, 2), queue.at(-1)); //> 3 2
queue.set(0, 30);
console.log([...queue].join(), queue.pop(), queue.length); //> 30,1,2 2 2

path.push({x: 1, y: 2}, {x: 3, y: 4});
path.at(1).y += 0.5;
console.log(JSON.stringify(path)); //> [{"x":1,"y":2},{"x":3,"y":4.5}]

try {
  store.transaction(() => {
    queue.push(1000);
    path.pop();
    throw new Error('no');
  });
} catch {
  console.log(queue.length, path.length); //> 2 2
}
store.destroy();
