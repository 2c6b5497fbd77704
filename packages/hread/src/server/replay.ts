import {connect} from 'node:net';
import {type Capsule, readCapsule} from './capsule.js';

/**
 * The capsule that this process is to process again, and nothing else (`zlr replay`): on a state of its own, with the
 * fields that the connection had, and so that what it throws ends the process, as an uncaught error that a debugger sees.
 */
export function capsuleToReplay(): Capsule | undefined {
  const {ZLR_REPLAY} = process.env;
  return ZLR_REPLAY === undefined ? undefined : readCapsule(ZLR_REPLAY);
}

/** Sends it as its client did, and shows what is answered; resolves when the connection ends. */
export function feed(where: {address: string; port: number}, unit: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({host: where.address, port: where.port});
    socket.on('data', chunk => process.stdout.write(chunk));
    socket.on('error', reject);
    socket.on('close', () => resolve());
    socket.end(unit);
  });
}
