// A ring: the last values pushed, oldest first. What a service wants to say about its last minutes.
import {openStore, struct, t} from '@zlr/state-store';

const Event = struct('Event', {what: t.string(), status: t.u16});
const store = await openStore({
  name: 'ring',
  size: '1MB',
  backend: 'memory',
  schema: {log: t.ring(Event, 3), latencies: t.ring(t.f32, 1024)},
});
const {log, latencies} = store.root;

for (const [what, status] of [
  ['GET /', 200],
  ['GET /x', 404],
  ['POST /', 201],
  ['GET /y', 404],
])
  log.push({what, status});
console.log(log.length, log.pushed, log.capacity); //> 3 4 3
for (const {what, status} of log) console.log(status, what);
//> 404 GET /x
//> 201 POST /
//> 404 GET /y
console.log(log.at(-1).what, log.at(3)); //> GET /y undefined

for (let i = 0; i < 5000; i++) latencies.push(i / 4);
console.log(latencies.at(0), latencies.at(-1)); //> 994 1249.75
store.destroy();
