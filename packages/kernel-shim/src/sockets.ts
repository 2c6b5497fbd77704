import {assertFits, errnoName, ShimError} from './errors.js';
import {native} from './native.js';
import {descriptor, integer, port as portNumber, systemText} from './options.js';
import {childId} from './registration.js';

export interface LocalAddress {
  address: string;
  port: number;
  /** A socket that listens; false: one of a connection. */
  listening: boolean;
}

const hints: Record<string, string> = {
  EADDRINUSE: 'another process listens there already; choose another port, or 0 for any',
  EACCES: 'ports below 1024 need a privilege; choose a higher one',
  EADDRNOTAVAIL: 'this machine has no such address',
  EINVAL: 'expected an IPv4 or IPv6 address',
};

/**
 * A non-blocking TCP socket that listens; it and the connections it accepts live on in the next generation. Several workers of one service
 * (`zlr run --workers`) may each have one at the same port, and the kernel deals the connections out.
 *
 * @param address IPv4 or IPv6, no name of a host
 * @param port 0: any free one, which `localAddress` tells
 * @param backlog connections that may wait to be accepted; the kernel lowers it to net.core.somaxconn
 * @returns its descriptor
 * @throws ShimError OPTION_INVALID, LISTEN_FAILED
 */
export function listen(address: string, port: number, backlog = 4096): number {
  assertFits(
    'listen',
    {address, port, backlog},
    {address: systemText, port: portNumber, backlog: integer(1, 2 ** 31 - 1)},
  );
  const fd = native().listen(address, port, backlog, childId() > 0 ? 1 : 0);
  if (fd < 0) {
    const name = errnoName(fd);
    const hint = hints[name] ? `; ${hints[name]}` : '';
    throw new ShimError('LISTEN_FAILED', `cannot listen on ${address} port ${port}: ${name}${hint}`, name);
  }
  return fd;
}

/** The local address of a TCP socket; undefined for any other descriptor. @throws ShimError OPTION_INVALID */
export function localAddress(fd: number): LocalAddress | undefined {
  assertFits('localAddress', {fd}, {fd: descriptor});
  const {error, address, port, listening} = native().localAddress(fd);
  return error < 0 ? undefined : {address, port, listening: listening === 1};
}

/** Where a TCP stream stands, exactly, from the kernel's own books; valid in any process that has the socket. */
export interface Books {
  cookie: bigint;
  /** Bytes that send() has ever accepted on this socket. */
  written: number;
  /** Bytes that recv() has ever returned on this socket. */
  read: number;
  /** Bytes that wait to be received. */
  unread: number;
  peerEnded: boolean;
  /** Reset or wholly closed: nothing can be sent any more. */
  dead: boolean;
}

const numbers = new Float64Array(7);

/** undefined: not a TCP socket. @throws ShimError OPTION_INVALID */
export function readBooks(fd: number): Books | undefined {
  assertFits('readBooks', {fd}, {fd: descriptor});
  if (native().books(fd, numbers) < 0) return undefined;
  const [low, high, written, read, unread, peerEnded, dead] = numbers as unknown as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const cookie = (BigInt(high) << 32n) | BigInt(low);
  return {cookie, written, read, unread, peerEnded: peerEnded === 1, dead: dead === 1};
}
