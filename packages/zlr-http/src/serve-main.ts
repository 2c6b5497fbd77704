import {parseArgs} from 'node:util';
import {HreadError} from '@zlr/hread';
import {EX_CONFIG, generation} from '@zlr/kernel-shim';
import {StoreError} from '@zlr/state-store';
import {HttpError} from './errors.js';
import {StaticServer} from './server.js';

/*
 * The program of `zlr serve`: DIR --host H --port P --name NAME. It runs under a supervisor, or without one as an
 * ordinary server.
 */

async function main(): Promise<void> {
  const {positionals, values} = parseArgs({
    allowPositionals: true,
    options: {
      host: {type: 'string', default: '127.0.0.1'},
      port: {type: 'string', default: '0'},
      name: {type: 'string', default: 'zlr'},
    },
  });
  const [root = '.'] = positionals;
  const server = await StaticServer.open({root, name: values.name});
  // Before recover, which registers: from there on the supervisor may send it.
  let listening: Promise<{address: string; port: number}> | undefined;
  const end = async (): Promise<void> => {
    await listening;
    await server.close();
    process.exit(0);
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);

  const {recovered, adopted, dropped, stages} = server.recover();
  if (generation() > 1) {
    const {reading, processing, sending} = stages;
    console.error(
      `zlr: generation ${generation()} goes on with ${recovered} connections (at the fault: ${reading} reading, ` +
        `${processing} processing, ${sending} sending), ${adopted} new, ${dropped} gone`,
    );
  }
  listening = server.listen(values.host, Number(values.port));
  const {address, port} = await listening;
  if (generation() === 1) {
    console.log(`listening on http://${address.includes(':') ? `[${address}]` : address}:${port}`);
  }
}

main().catch((error: unknown) => {
  const isSetUp = error instanceof HttpError || error instanceof HreadError || error instanceof StoreError;
  if (!isSetUp) throw error;
  // What the next generation would meet in the same way is not worth a restart.
  console.error(`zlr: ${error.message}`);
  process.exit(EX_CONFIG);
});
