// A table: records of one struct, named by ids that are never used again.
import {openStore, struct, t} from '@zlr/state-store';

const Conn = struct('Conn', {
  fd: t.i32,
  stage: t.enum('reading', 'processing', 'sending'),
  sent: t.uint,
  path: t.string(),
  behind: t.ref(() => Conn),
});
const store = await openStore({
  name: 'table',
  size: '1MB',
  backend: 'memory',
  schema: {conns: t.table(Conn)},
});
const {conns} = store.root;

const first = conns.insert({fd: 12, path: '/'});
const second = conns.insert({fd: 13, path: '/cart', behind: first});
first.sent += 1024;
console.log(first.stage, first.sent, second.behind?.path); //> reading 1024 /

const {$id} = first;
conns.remove(first);
console.log(conns.get($id), second.behind, conns.size); //> undefined null 1

const third = conns.insert({fd: 14}); // takes the slot of the first, under another id
console.log(third.$index, third.$id === $id); //> 0 false
try {
  first.sent += 1; // the handle of the removed record never touches the new one
} catch (error) {
  console.log(error.code, third.sent); //> ERR_STALE 0
}

try {
  third.fd = 2 ** 40;
} catch (error) {
  console.log(error.message); //> conns.fd: 1099511627776 (number) does not fit; expected an integer from -2147483648 to 2147483647.
}

for (const conn of conns) console.log(JSON.stringify(conn));
//> {"fd":14,"stage":"reading","sent":0,"path":"","behind":null}
//> {"fd":13,"stage":"reading","sent":0,"path":"/cart","behind":null}
store.destroy();
