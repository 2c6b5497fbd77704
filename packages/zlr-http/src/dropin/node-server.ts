import {Server} from 'node:http';
import {Socket} from 'node:net';
import {say} from '@zlr/kernel-shim/internal';

/*
 * What is used of Node beyond its documentation, all of it here. `_listen2` is how node:net opens a server's socket, and kept under that
 * name for those who wrap it (lib/net.js says so); `onconnection` is what libuv's side calls for each connection that is accepted;
 * `readStop` is what net.Socket calls to pause.
 */
interface Handle {
  readonly fd: number;
  readStop?(): number;
  onconnection?(error: number, handle: Handle): void;
}

type Listen2 = (
  this: Server,
  address: string | null,
  port: number | null,
  addressType: number | null,
  backlog: number,
  fd: number | undefined,
  flags?: number,
) => void;

type Inner = {_handle: Handle | null};
const inner = (of: Server | Socket): Inner => of as unknown as Inner;

/** Where `server` is about to listen; what is returned is the descriptor to use, undefined: let Node open one. */
export type OpenListener = (
  server: Server,
  where: {address: string | null; port: number; flags: number},
) => number | undefined;

/** Who was to listen and waits for it; undefined: nobody waits. */
let late: (() => void)[] | undefined;

/** From here on no HTTP server of this process listens before `listenNow`: another process has its port. `asked` is called when one would. */
export function listenLater(asked: () => void): void {
  const prototype = Server.prototype as unknown as {_listen2: Listen2};
  const original = prototype._listen2;
  late = [];
  prototype._listen2 = function (...where) {
    if (!late) {
      original.apply(this, where);
      return;
    }
    late.push(() => prototype._listen2.apply(this, where));
    asked();
  };
}

export function listenNow(): void {
  const waiting = late ?? [];
  late = undefined;
  for (const listen of waiting) listen();
}

/** Has every HTTP server of this process ask for its listening socket. `opened` follows when it listens on the one given. */
export function onListen(open: OpenListener, opened: (server: Server, fd: number) => void): void {
  const prototype = Server.prototype as unknown as {_listen2: Listen2};
  const original = prototype._listen2;
  prototype._listen2 = function (address, port, addressType, backlog, fd, flags) {
    const isOurs = typeof port === 'number' && port >= 0 && !(typeof fd === 'number' && fd >= 0);
    const given = isOurs ? open(this, {address, port, flags: flags ?? 0}) : undefined;
    if (given === undefined) return original.call(this, address, port, addressType, backlog, fd, flags);
    original.call(this, null, null, null, backlog, given, flags);
    if (inner(this)._handle?.fd === given) opened(this, given);
  };
}

/** Has each HTTP server of this process that listens say that its connections are not kept. */
export function sayWhatIsNotKept(why: string): void {
  onListen(
    () => {
      say(`the connections of an HTTP server ${why} are not kept: they end with it`);
      return undefined;
    },
    () => {},
  );
}

/** The descriptor of a connection; -1: it is closed. */
export function descriptorOf(socket: Socket): number {
  return inner(socket)._handle?.fd ?? -1;
}

/** What comes from here on waits in the kernel, for whoever has the connection next. */
export function stopReading(socket: Socket): void {
  inner(socket)._handle?.readStop?.();
}

/** Of servers whose connections are held back: what takes them otherwise. */
const heldBack = new WeakMap<Server, NonNullable<Handle['onconnection']>>();

/** From here on a server is given nobody but whom `giveConnection` gives it; the others wait until what this returns is called. */
export function holdBack(server: Server): () => void {
  const handle = inner(server)._handle!;
  const take = handle.onconnection!;
  const waiting: [error: number, handle: Handle][] = [];
  heldBack.set(server, take);
  handle.onconnection = (...connection) => waiting.push(connection);
  return () => {
    handle.onconnection = take;
    heldBack.delete(server);
    for (const connection of waiting) take.call(handle, ...connection);
  };
}

/** Gives a server a connection, as if it had been accepted just now; `held` is what was read from it before. Undefined: it refused. */
export function giveConnection(server: Server, fd: number, held: Buffer): Socket | undefined {
  const carrier = new Socket({fd, readable: false, writable: false});
  const handle = inner(carrier)._handle!;
  inner(carrier)._handle = null; // the server makes a socket of its own for it
  let given: Socket | undefined;
  const replay = (socket: Socket): void => {
    given = socket;
    if (held.length > 0) socket.unshift(held);
  };
  server.prependListener('connection', replay);
  try {
    const its = inner(server)._handle!;
    (heldBack.get(server) ?? its.onconnection!).call(its, 0, handle);
  } finally {
    server.removeListener('connection', replay);
  }
  return given;
}
