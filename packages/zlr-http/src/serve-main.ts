import {parseArgs} from 'node:util';
import {HreadError} from '@zlr/hread';
import {EX_CONFIG, generation} from '@zlr/kernel-shim';
import {say, tell} from '@zlr/kernel-shim/internal';
import {StoreError} from '@zlr/state-store';
import {HttpError} from './errors.js';
import {StaticServer} from './server.js';

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
  const {root, host, port: wanted, name} = readOptions();
  const server = await StaticServer.open({root, name});
  // Before recover, which registers: from there on the supervisor may send it.
  let listening: Promise<{address: string; port: number}> | undefined;
  let isEnding = false;
  const end = async (): Promise<void> => {
    // The handlers stay: a second signal must not cut short what the first one began.
    if (isEnding) return;
    isEnding = true;
    try {
      await listening;
    } catch {
      return; // main() says why it cannot listen, and ends
    }
    await server.close();
    process.exit(0);
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);

  const {recovered, adopted, dropped, stages} = server.recover();
  if (generation() > 1) {
    const {reading, processing, sending} = stages;
    say(
      `generation ${generation()} goes on with ${recovered} connections (at the fault: ${reading} reading, ` +
        `${processing} processing, ${sending} sending), ${adopted} new, ${dropped} gone`,
    );
  }
  listening = server.listen(host, wanted);
  const {address, port} = await listening.catch(async (error: unknown) => {
    await server.close(); // or its segment would stay behind
    throw error;
  });
  if (generation() === 1) {
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
