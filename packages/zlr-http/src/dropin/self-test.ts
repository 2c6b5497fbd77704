import {once} from 'node:events';
import {type AddressInfo, connect, createServer, type Socket} from 'node:net';
import {native} from '@zlr/kernel-shim/internal';
import {descriptorOf} from './node-server.js';

const REQUEST = 'GET / HTTP/1.1\r\nHost: self-test\r\n\r\n';
const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/**
 * Sends one request over a connection of this process with itself, and looks whether each of libuv's calls was seen. What this Node
 * does differently is found here, and not when a connection is to be saved.
 *
 * @returns what was not seen as it should be; undefined: all is well
 */
export async function selfTest(): Promise<string | undefined> {
  const before = native().exchangeTally();
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [[socket]] = (await Promise.all([once(server, 'connection'), once(client, 'connect')])) as [
    [Socket],
    unknown,
  ];
  native().exchangeBegin(descriptorOf(socket));
  client.write(REQUEST);
  await once(socket, 'data');
  socket.write(ANSWER);
  await once(client, 'data');
  const closed = Promise.all([once(socket, 'close'), once(client, 'close'), once(server, 'close')]);
  client.destroy();
  socket.destroy();
  server.close();
  await closed;
  const after = native().exchangeTally();
  const missing = (['reads', 'writes', 'answers', 'closes'] as const).filter(
    each => after[each] === before[each],
  );
  if (missing.length > 0) return `of a connection with itself no ${missing.join(', ')} were seen`;
  const left = (['freeRecords', 'freeSlots'] as const).filter(each => after[each] !== before[each]);
  return left.length > 0 ? `a connection with itself left ${left.join(', ')} changed` : undefined;
}
