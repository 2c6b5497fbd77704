import {basename} from 'node:path';
import {usageError} from './command.js';

/** What `zlr run --http` hands on to @zlr/http/register. */
export interface HttpOptions {
  readonly name: string;
  readonly rerun: string;
  readonly attempts: string;
}

/** The store in which a service keeps its connections. */
export const exchangesOf = (service: string): string => `exchanges-${service}`;

export const RERUN_DEFAULT = 'idempotent';
export const ATTEMPTS_DEFAULT = '2';

function nodeOf([program = '', ...rest]: readonly string[], option: string): [string, string[]] {
  if (/^node(js|\d*)$/.test(basename(program))) return [program, rest];
  throw usageError(
    'run',
    `${option} starts node itself, not '${program}': zlr run ${option} -- node server.js`,
  );
}

/** The command with which `node server.js` is started so that its listening sockets outlive it. */
export function keepPorts(command: readonly string[]): string[] {
  const [program, rest] = nodeOf(command, '--keep-ports');
  return [program, '--import', import.meta.resolve('@zlr/kernel-shim/keep-ports'), ...rest];
}

/**
 * The command with which `node server.js` is started so that its HTTP connections outlive it. What it is to know goes along in this
 * process' environment, which the service has.
 */
export function keepHttp(command: readonly string[], {name, rerun, attempts}: HttpOptions): string[] {
  const [program, rest] = nodeOf(command, '--http');
  if (rerun !== 'idempotent' && rerun !== 'all')
    throw usageError('run', `--rerun takes idempotent or all, not '${rerun}'`);
  if (!/^\d{1,6}$/.test(attempts))
    throw usageError('run', `--attempts takes a number from 0 to 999999, not '${attempts}'`);
  Object.assign(process.env, {
    ZLR_HTTP_STORE: exchangesOf(name),
    ZLR_HTTP_RERUN: rerun,
    ZLR_HTTP_ATTEMPTS: attempts,
  });
  return [program, '--import', import.meta.resolve('@zlr/http/register'), ...rest];
}
