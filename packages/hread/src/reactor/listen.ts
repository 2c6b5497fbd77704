import {lookup} from 'node:dns/promises';
import {isIP} from 'node:net';
import {listen, localAddress, ShimError} from '@zlr/kernel-shim';
import {native} from '@zlr/kernel-shim/internal';
import type {InheritedListener} from '../channels/inheritance.js';
import {HreadError} from '../errors.js';

export interface Address {
  address: string;
  port: number;
}

export async function resolveHost(host: string): Promise<string> {
  if (isIP(host)) return host;
  try {
    return (await lookup(host)).address;
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException;
    throw new HreadError('HOST_UNKNOWN', `cannot resolve the host '${host}' to listen on: ${code}`, code);
  }
}

/** @throws HreadError LISTEN_FAILED */
export function openListener(host: string, port: number): InheritedListener {
  try {
    const fd = listen(host, port);
    const {address, port: own} = localAddress(fd)!;
    return {fd, cookie: native().cookieOf(fd), address, port: own};
  } catch (error) {
    if (!(error instanceof ShimError) || error.code !== 'LISTEN_FAILED') throw error;
    throw new HreadError('LISTEN_FAILED', error.message, error.errno);
  }
}
