import {once} from 'node:events';
import {connect, type Socket} from 'node:net';
import {standsBy} from '@zlr/kernel-shim';
import {native} from '@zlr/kernel-shim/internal';
import type {ChannelRecord} from '../channels/channel.js';
import {Inheritance} from '../channels/inheritance.js';
import type {ChannelLoop} from './loop.js';

/** V8 compiles a function when it is first called, and better when it was called often. */
const TAKEOVERS = 6;
const CLIENTS = 100;

/**
 * What a server does at a takeover is done before it: it serves clients in this process, is taken away, and goes on with those clients'
 * connections. So what is compiled when it first runs has been, and what runs in the first moments of a generation's turn is as fast as it
 * is later.
 *
 * It ends early when the turn comes, and has nothing in common with what goes on then.
 *
 * @param serve makes the server's loop over a store in this process' own memory, of the structs that the server's own has
 * @param request what the client sends; it is answered at once
 */
export async function rehearse<R extends ChannelRecord>(
  serve: (inheritance: Inheritance) => ChannelLoop<R>,
  request: string,
): Promise<void> {
  const HERE = {host: '127.0.0.1', port: 0};
  let loop = serve(Inheritance.of([]));
  try {
    loop.recover();
    const {port} = await loop.listen(HERE);
    const clients = Array.from({length: CLIENTS}, () => connect({port, host: HERE.host, noDelay: true}));
    try {
      await Promise.all(clients.map(client => once(client, 'connect')));
      const exchange = async (client: Socket): Promise<void> => {
        client.write(request);
        await once(client, 'data');
      };
      for (let taken = 0; taken < TAKEOVERS && standsBy(); taken++) {
        await Promise.all(clients.map(exchange));
        loop = serve(Inheritance.of(loop.abandon()));
        loop.recover();
        await loop.listen(HERE);
      }
    } finally {
      for (const client of clients) client.destroy();
    }
  } finally {
    for (const fd of loop.abandon()) native().close(fd);
  }
}
