import {native} from '@zlr/kernel-shim/native';

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

/** undefined: not a TCP socket. */
export function readBooks(fd: number): Books | undefined {
  if (native.books(fd, numbers) < 0) return undefined;
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
