import {parseArgs} from 'node:util';
import {HreadError} from '@zlr/hread';
import {childId, EX_CONFIG, generation} from '@zlr/kernel-shim';
import {say, tell} from '@zlr/kernel-shim/internal';
import {StoreError} from '@zlr/state-store';
import {HttpError} from './errors.js';
import {startServing} from './serve-folder.js';

/*
 * The program of `zlr serve`: DIR --host H --port P --name NAME. It runs under a supervisor, or without one as an
 * ordinary server.
 */

interface Options {
  root: string;
  host: string;
  port: number;
  name: string;
}

/** @throws HttpError OPTION_INVALID */
function readOptions(): Options {
  try {
    const {positionals, values} = parseArgs({
      allowPositionals: true,
      options: {
        host: {type: 'string', default: '127.0.0.1'},
        port: {type: 'string', default: '0'},
        name: {type: 'string', default: 'zlr'},
      },
    });
    const [root = '.', ...more] = positionals;
    if (more.length > 0) throw new TypeError(`one folder can be served, not also '${more.join("', '")}'`);
    const {host, name} = values;
    const port = /^\d+$/.test(values.port) ? Number(values.port) : Number.NaN;
    if (!(port <= 65535)) throw new TypeError(`--port takes a number from 0 to 65535, not '${values.port}'`);
    return {root, host, port, name};
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // parseArgs' own are TypeErrors too
    throw new HttpError('OPTION_INVALID', error.message);
  }
}

async function main(): Promise<void> {
  const {address, port} = await startServing(readOptions());
  if (generation() === 1 && childId() <= 1) {
    tell(`listening on http://${address.includes(':') ? `[${address}]` : address}:${port}`);
  }
}

main().catch((error: unknown) => {
  const isSetUp = error instanceof HttpError || error instanceof HreadError || error instanceof StoreError;
  if (!isSetUp) throw error;
  // What the next generation would meet in the same way is not worth a restart.
  say(`${error.message}`);
  process.exit(EX_CONFIG);
});
