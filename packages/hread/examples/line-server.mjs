// Answers each line with its number and itself. Kill the process as you like: no line is lost, none counted twice.
//   npx zlr run --name lines -- node line-server.mjs 7000
import {createServer} from '@zlr/hread';
import {t} from '@zlr/state-store';

const server = await createServer({
  name: 'lines',
  state: {lines: t.uint},
  input(connection, {held}) {
    const end = held.indexOf('\n');
    if (end < 0) return; // held until the rest is there
    server.state.lines++;
    connection.consume(end + 1).send(`${server.state.lines} ${held.toString('utf8', 0, end)}\n`);
  },
});
const {address, port} = await server.listen({port: Number(process.argv[2] ?? 0)});
if (server.generation === 1) console.log(`listening on ${address} ${port}`);
