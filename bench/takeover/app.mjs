// A node:http program with its answer in memory.
import {createServer} from 'node:http';

const server = createServer((_request, response) => response.end('twelve bytes'));
server.listen(Number(process.argv[2] ?? process.env['PORT']), '127.0.0.1', () => {
  const {port} = /** @type {import('node:net').AddressInfo} */ (server.address());
  console.log(`listening on http://127.0.0.1:${port}`);
});
