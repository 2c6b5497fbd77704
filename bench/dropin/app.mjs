// A plain node:http program that answers from memory: /12, /1024 (JSON), /10240, /1048576, /stream.
import {createServer} from 'node:http';

const bodies = new Map([12, 10_240, 1_048_576].map(size => [`/${size}`, Buffer.alloc(size, 'a')]));
const record = {id: 1, name: 'x'.repeat(900), tags: ['a', 'b', 'c'], value: 12_345.678};

const server = createServer((request, response) => {
  const body = bodies.get(request.url ?? '');
  if (body) {
    response.setHeader('Content-Length', body.length);
    response.end(body);
  } else {
    const text = JSON.stringify(record);
    response.setHeader('Content-Type', 'application/json');
    response.setHeader('Content-Length', Buffer.byteLength(text));
    response.end(text);
  }
});
server.listen(0, '127.0.0.1', () => {
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  console.log(`listening on http://127.0.0.1:${address.port}`);
});
