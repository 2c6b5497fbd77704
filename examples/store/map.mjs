// A map: the names of JS Map. Values are plain, or live records when they are structs.
import {openStore, struct, t} from '@zlr/state-store';

const Session = struct('Session', {user: t.string(), clicks: t.u32, seen: t.timestamp});
const store = await openStore({
  name: 'map',
  size: '1MB',
  backend: 'memory',
  schema: {sessions: t.map(t.string(), Session), names: t.map(t.u32, t.string())},
});
const {sessions, names} = store.root;

sessions.set('c0ffee', {user: 'ada', seen: new Date(0)}).set('beef', {user: 'grace'});
const session = sessions.get('c0ffee');
session.clicks++; // writes the map's own bytes
console.log(sessions.get('c0ffee').clicks, sessions.has('dead'), sessions.size); //> 1 false 2

names.set(7, 'seven').set(7, 'sieben');
console.log(names.get(7), names.get(8)); //> sieben undefined

console.log(sessions.delete('c0ffee'), sessions.delete('c0ffee')); //> true false
try {
  session.clicks++;
} catch (error) {
  console.log(error.code); //> ERR_STALE
}
for (const [key, {user}] of sessions) console.log(key, user); //> beef grace
store.destroy();
