/*
 * `node --import @zlr/kernel-shim/keep-ports server.js` under a supervisor, as `zlr run --keep-ports` starts it: the listening sockets of
 * any program outlive it, with those who wait in them, so that no client is refused while the next generation boots. What was
 * read and written over its connections is known to the program alone, so they end with it; one that had not been read from yet is
 * served by the next generation.
 */
import cluster from 'node:cluster';
import {Server, Socket} from 'node:net';
import {isMainThread} from 'node:worker_threads';
import {native} from './native.js';
import {childId, getreginfo, isSupervised, reportServed, reregist} from './registration.js';
import {say} from './say.js';
import {localAddress, readBooks} from './sockets.js';

/*
 * What is used of Node beyond its documentation. `_listen2` is how node:net opens a server's socket, and kept under that name for those who
 * wrap it (lib/net.js says so); `onconnection` is what libuv's side calls for each connection that is accepted.
 */
interface Handle {
  readonly fd: number;
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
const handleOf = (of: Server | Socket): {_handle: Handle | null} => of as unknown as {_handle: Handle | null};

/** A program that has not listened at a port again for so long after the first will not any more. */
const UNCLAIMED_MS = 10_000;

interface Left {
  fd: number;
  address: string;
  port: number;
}

const listeners: Left[] = [];
const fresh: Left[] = [];

function takeOver(): void {
  for (const fd of getreginfo()?.channels ?? []) {
    const where = localAddress(fd);
    const books = where?.listening ? undefined : readBooks(fd);
    const left = {fd, address: where?.address ?? '', port: where?.port ?? 0};
    if (where?.listening) listeners.push(left);
    else if (books && books.read === 0 && books.written === 0 && !books.dead) fresh.push(left);
    else end(fd);
  }
  for (const {fd} of getreginfo()?.files ?? []) native().close(fd);
}

/** In good order: what has come and nobody will read would make the kernel reset it, and destroy what is still on its way to the client. */
function end(fd: number): void {
  const rest = Buffer.allocUnsafe(1 << 16);
  while (native().readSocket(fd, rest, rest.length) > 0);
  native().close(fd);
}

/** The descriptor to listen on; undefined: Node opens one, or says what is wrong. */
function open(address: string | null, port: number): number | undefined {
  const addresses = address === null ? ['::', '0.0.0.0'] : [address];
  const known = listeners.findIndex(each => each.port === port && addresses.includes(each.address));
  if (known >= 0) return listeners.splice(known, 1)[0]!.fd;
  for (const each of addresses) {
    const fd = native().socketBind(each, port, childId() > 0 ? 1 : 0);
    if (fd >= 0) return fd;
  }
  return undefined;
}

function opened(server: Server, fd: number): void {
  const {port} = localAddress(fd)!;
  process.nextTick(() => {
    for (const left of fresh.filter(each => each.port === port)) {
      fresh.splice(fresh.indexOf(left), 1);
      giveConnection(server, left.fd);
    }
    reportServed();
  });
  forgetTheRestLater();
}

/** As if it had been accepted just now. */
function giveConnection(server: Server, fd: number): void {
  const carrier = new Socket({fd, readable: false, writable: false});
  const handle = handleOf(carrier)._handle!;
  handleOf(carrier)._handle = null; // the server makes a socket of its own for it
  handleOf(server)._handle?.onconnection?.(0, handle);
}

let isFirst = true;

/** Who connects to a port at which nobody listens any more is to be refused, not to wait. */
function forgetTheRestLater(): void {
  if (!isFirst) return;
  isFirst = false;
  setTimeout(() => {
    for (const {fd} of [...listeners.splice(0), ...fresh.splice(0)]) native().close(fd);
  }, UNCLAIMED_MS).unref();
}

function keepPorts(): void {
  takeOver();
  const prototype = Server.prototype as unknown as {_listen2: Listen2};
  const original = prototype._listen2;
  prototype._listen2 = function (address, port, addressType, backlog, fd, flags) {
    const isTcp = typeof port === 'number' && port > 0 && !(typeof fd === 'number' && fd >= 0) && !flags;
    const given = isTcp ? open(address, port) : undefined;
    if (given === undefined) return original.call(this, address, port, addressType, backlog, fd, flags);
    original.call(this, null, null, null, backlog, given, flags);
    if (handleOf(this)._handle?.fd === given) opened(this, given);
  };
  reregist();
}

if (!isMainThread || cluster.isWorker)
  say(`the ports of a ${isMainThread ? 'cluster worker' : 'worker thread'} are not kept: they end with it`);
else if (isSupervised()) keepPorts();
