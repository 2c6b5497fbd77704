import {once} from 'node:events';
import type {Server} from 'node:http';
import type {AddressInfo} from 'node:net';
import {isSupervised, ownName} from '@zlr/kernel-shim';
import {anything, complaint, integer, optional, port, systemText, text} from '@zlr/kernel-shim/internal';
import {HttpError} from '../errors.js';
import {becomeSupervisor} from '../self-supervision.js';
import type {Policy} from './judge.js';
import {startKeeping} from './keep.js';

/** Of `serve`. */
export interface ServeOptions {
  port: number;
  /** Default: every address. */
  host?: string;
  /** Names the service for `zlr status` and `zlr stop`, and what it keeps; default 'zlr'. */
  name?: string;
  /** Which requests are run again after a fault; default 'idempotent'. */
  rerun?: Policy['rerun'];
  /** How often one request is run again, the last time with no other beside it; what ends the process then is answered 500. Default 2. */
  attempts?: number;
}

const OPTIONS = {
  port,
  host: optional(text),
  name: optional(systemText),
  rerun: optional({
    what: "'idempotent' or 'all'",
    fits: value => value === 'idempotent' || value === 'all',
  }),
  attempts: optional(integer(0, 999_999)),
};

/**
 * Serves with an HTTP server of Node, whose connections and unanswered requests outlive the process: what `zlr run --http` does to a program,
 * as a call in it.
 *
 * The program is started twice: where no supervisor started it, this call becomes one, starts the program once more, and ends
 * this process when that one has ended for good. So call it before what must be there once only.
 *
 * @returns where it listens; never in the supervisor
 * @throws HttpError OPTION_INVALID
 */
export async function serve(server: Server, options: ServeOptions): Promise<AddressInfo> {
  const wrong = complaint('serve', {server, ...options}, {server: anything, ...OPTIONS});
  if (wrong !== undefined) throw new HttpError('OPTION_INVALID', wrong);
  const {port, host, name = 'zlr', rerun = 'idempotent', attempts = 2} = options;
  if (!isSupervised()) return becomeSupervisor(name);
  await startKeeping(ownName(`exchanges-${name}`), {rerun, attempts});
  server.listen(port, host);
  await once(server, 'listening');
  return server.address() as AddressInfo;
}
