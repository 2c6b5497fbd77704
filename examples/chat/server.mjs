// A chat with rooms and history. Lines of the client: `join ROOM NICK`, `say TEXT`; of the server: `ROOM NUMBER NICK: TEXT`.
//   npx zlr run --name chat -- node examples/chat/server.mjs 7000
import {createServer} from '@zlr/hread';
import {struct, t} from '@zlr/state-store';

const HISTORY = 20;
const Line = struct('Line', {room: t.string(32), number: t.u32, text: t.string(256)});

const server = await createServer({
  name: process.argv[3] ?? 'chat',
  state: {said: t.map(t.string(), t.u32), history: t.ring(Line, 1000)},
  connection: {room: t.string(32), nick: t.string(32)},
  open(client) {
    client.send('welcome\n');
  },
  // Not asynchronous, so each call is one transaction: the line is consumed, recorded and sent to all of the room, or
  // none of that has happened.
  input(client, {held}) {
    const end = held.indexOf('\n') + 1;
    if (end === 0) return;
    client.consume(end);
    const [command, ...words] = held.toString('utf8', 0, end - 1).split(' ');
    if (command === 'join' && words.length === 2) join(client, words[0], words[1]);
    else if (command === 'say' && client.data.room !== '') say(client, words.join(' '));
    else client.send('error: join ROOM NICK, or say TEXT\n');
  },
  poison(client, unit) {
    // Such as a text that its field has no room for.
    client.consume(unit.indexOf('\n') + 1).send('error: that is too long\n');
  },
});

function join(client, room, nick) {
  Object.assign(client.data, {room, nick});
  const known = [...server.state.history].filter(line => line.room === room).slice(-HISTORY);
  for (const {number, text} of known) client.send(`${room} ${number} ${text}\n`);
  client.send(`joined ${room}\n`);
}

function say(client, words) {
  const {room, nick} = client.data;
  const {said, history} = server.state;
  const number = (said.get(room) ?? 0) + 1;
  const text = `${nick}: ${words}`;
  said.set(room, number);
  history.push({room, number, text});
  for (const other of server.connections) {
    if (other.data.room === room) other.send(`${room} ${number} ${text}\n`);
  }
}

const {port} = await server.listen({port: Number(process.argv[2] ?? 0)});
if (server.generation === 1) console.log(`listening on ${port}`);
else console.error(`zlr: generation ${server.generation} goes on with ${server.recovered.recovered} clients`);
