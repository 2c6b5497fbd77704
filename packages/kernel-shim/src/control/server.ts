import {createServer, type Server} from 'node:net';
import {ShimError} from '../errors.js';
import {native} from '../native.js';
import {onMessages, send} from './lines.js';
import type {Restarted, RestartOptions, Status} from './status.js';

/** What may be asked of a supervisor. */
export interface Commands {
  status(): Promise<Status>;
  restart(options?: RestartOptions): Promise<Restarted>;
  stop(): Promise<void>;
}

/** Answers commands at a socket, of this user and of root. Rejects where it cannot listen. */
export async function serveCommands(path: string, commands: Commands): Promise<Server> {
  const server = createServer(socket => {
    socket.on('error', () => socket.destroy()); // of a client that went away
    const {fd} = (socket as unknown as {_handle: {fd: number}})._handle;
    const {error, uid} = native().peer(fd);
    if (error < 0 || (uid !== process.getuid!() && uid !== 0)) {
      socket.destroy();
      return;
    }
    const answer = (message: Promise<{type: string}>): void => {
      message.then(
        given => {
          send(socket, given);
          socket.end();
        },
        (error: unknown) => {
          // Whatever else goes wrong with an answer must not end a supervisor: who asked hears nothing.
          if (error instanceof ShimError)
            send(socket, {type: 'refused', code: error.code, message: error.message});
          socket.end();
        },
      );
    };
    onMessages(socket, ({type, ...options}) => {
      if (type === 'status') answer(commands.status().then(status => ({type, status})));
      else if (type === 'restart') answer(commands.restart(options).then(restarted => ({type, restarted})));
      else if (type === 'stop') answer(commands.stop().then(() => ({type: 'stopped'})));
      else socket.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.unref();
  return server;
}
