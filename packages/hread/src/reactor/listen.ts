import {lookup} from 'node:dns/promises';
import {isIP} from 'node:net';
import {errnoName, native} from '@zlr/kernel-shim/native';
import {HreadError} from '../errors.js';

export interface Address {
  address: string;
  port: number;
}

export interface ListeningSocket extends Address {
  fd: number;
}

/** Connections that may wait to be accepted; the kernel lowers it to net.core.somaxconn. */
const BACKLOG = 4096;

export async function resolveHost(host: string): Promise<string> {
  if (isIP(host)) return host;
  try {
    return (await lookup(host)).address;
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException;
    throw new HreadError('HOST_UNKNOWN', `cannot resolve the host '${host}' to listen on: ${code}`, code);
  }
}

const hints: Record<string, string> = {
  EADDRINUSE: 'another process listens there already; choose another port, or 0 for any',
  EACCES: 'ports below 1024 need a privilege; choose a higher one',
  EADDRNOTAVAIL: 'this machine has no such address',
};

/** @throws HreadError LISTEN_FAILED */
export function openListener(address: string, port: number): ListeningSocket {
  const fd = native.listen(address, port, BACKLOG);
  if (fd < 0) {
    const name = errnoName(fd);
    const hint = hints[name] ? `; ${hints[name]}` : '';
    throw new HreadError('LISTEN_FAILED', `cannot listen on ${address} port ${port}: ${name}${hint}`, name);
  }
  return {fd, ...localAddress(fd)!};
}

/** The local address of a TCP socket; undefined for anything else. */
export function localAddress(fd: number): (Address & {listening: boolean}) | undefined {
  const {error, address, port, listening} = native.localAddress(fd);
  return error < 0 ? undefined : {address, port, listening: listening === 1};
}
