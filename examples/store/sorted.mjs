// A sorted map: entries in the order of their keys, and ranges of them. Here, timers.
import {openStore, struct, t} from '@zlr/state-store';

const Timer = struct('Timer', {name: t.string()});
const store = await openStore({
  name: 'sorted',
  size: '1MB',
  backend: 'memory',
  schema: {timers: t.sorted(t.uint, Timer), words: t.sorted(t.string(), t.u32)},
});
const {timers, words} = store.root;

timers.set(300, {name: 'close'}).set(100, {name: 'ping'}).set(200, {name: 'flush'});
console.log(timers.first()[1].name, timers.last()[0]); //> ping 300

for (const [due, {name}] of timers.range({lte: 200})) {
  console.log('due at', due, name);
  timers.delete(due); // the entry at hand may go
}
//> due at 100 ping
//> due at 200 flush
console.log(timers.size); //> 1

for (const word of 'the quick brown fox jumps over the lazy dog'.split(' '))
  words.set(word, (words.get(word) ?? 0) + 1);
console.log([...words.range({gte: 'f', lt: 'p'})].join(' ')); //> fox,1 jumps,1 lazy,1 over,1
console.log([...words.range({reverse: true, limit: 2})].join(' ')); //> the,2 quick,1
store.destroy();
