// Two ends of one TCP connection over loopback, as plain descriptors.
import {once} from 'node:events';
import {connect, createServer} from 'node:net';

/** @param {import('node:net').Socket} socket */
export function descriptorOf(socket) {
  const {_handle: handle} = /** @type {{_handle?: {fd: number}}} */ (/** @type {unknown} */ (socket));
  if (handle === undefined || handle.fd < 0) throw new Error('a connected socket was expected');
  return handle.fd;
}

/** Neither end is read by Node: whoever has the descriptors does. */
export async function socketPair() {
  const server = createServer({pauseOnConnect: true});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const {port} = /** @type {import('node:net').AddressInfo} */ (server.address());
  const feeder = connect({port, host: '127.0.0.1', noDelay: true});
  feeder.pause();
  const [[reader]] = await Promise.all([once(server, 'connection'), once(feeder, 'connect')]);
  server.close();
  const close = () => {
    feeder.destroy();
    /** @type {import('node:net').Socket} */ (reader).destroy();
  };
  return {reader: descriptorOf(reader), feeder: descriptorOf(feeder), close};
}
