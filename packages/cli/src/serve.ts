import {lookup} from 'node:dns/promises';
import {stat} from 'node:fs/promises';
import {resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {localAddress} from '@zlr/kernel-shim';
import {errnoName, native} from '@zlr/kernel-shim/internal';
import {type Command, parse, portNumber, secondsToMs, usageError, workerCount} from './command.js';
import {CliError} from './errors.js';
import {DEFAULT_NAME, DEFAULT_PATIENCE, DEFAULT_THRESHOLD, superviseInForeground} from './foreground.js';

export const serve: Command = {
  name: 'serve',
  usage:
    'DIR --port P [--host H] [--name NAME] [--threshold SECONDS] [--patience SECONDS] [--workers N] [--standby]',
  summary: 'serve the files of a folder with zero loss',
  help: `Serves the files below DIR over HTTP/1.1. Prints "listening on http://H:P" when it accepts connections.

  --port P             the port to listen on; 0 picks a free one
  --host H             the address to listen on (default 127.0.0.1)
  --name NAME          the service's name for status and stop (default ${DEFAULT_NAME})
  --threshold SECONDS  a fault sooner than this after the last restart counts as a software bug, and too many
                       of them in a row end the service (default ${DEFAULT_THRESHOLD}; 0: every fault is transient)
  --patience SECONDS   for so long it is tried again when a next generation does not come up (default ${DEFAULT_PATIENCE})
  --workers N          so many processes, NAME.1 to NAME.N, that listen at the same port, each restarted for itself (default 1)
  --standby            the next generation is started in advance, and at a fault goes on at once; it takes the memory of another process`,

  async run(args) {
    const {values, positionals} = parse('serve', {
      args,
      allowPositionals: true,
      options: {
        port: {type: 'string'},
        host: {type: 'string', default: '127.0.0.1'},
        name: {type: 'string', default: DEFAULT_NAME},
        threshold: {type: 'string', default: DEFAULT_THRESHOLD},
        patience: {type: 'string', default: DEFAULT_PATIENCE},
        workers: {type: 'string', default: '1'},
        standby: {type: 'boolean', default: false},
      },
    });
    const [folder, ...more] = positionals;
    if (folder === undefined) throw usageError('serve', 'no folder to serve was given');
    if (more.length > 0)
      throw usageError('serve', `one folder can be served, not also '${more.join("', '")}'`);
    if (values.port === undefined) throw usageError('serve', '--port is missing');
    const workers = workerCount('serve', values.workers);
    const asked = portNumber('serve', values.port);
    const thresholdMs = secondsToMs('serve', 'threshold', values.threshold);
    const patienceMs = secondsToMs('serve', 'patience', values.patience);
    await expectFolder(folder);

    const server = fileURLToPath(import.meta.resolve('@zlr/http/serve-main'));
    const {host, name, standby} = values;
    const port = workers > 1 && asked === 0 ? await reservePort(host) : asked;
    const where = ['--host', host, '--port', `${port}`, '--name', name];
    const command = [process.execPath, server, resolve(folder), ...where];
    return superviseInForeground({name, command, thresholdMs, patienceMs, standby}, workers);
  },
};

/** A free port, bound for as long as this process lives, at which workers may listen and nobody else. */
async function reservePort(host: string): Promise<number> {
  const {address} = await lookup(host).catch(({code}: NodeJS.ErrnoException) => {
    throw new CliError('HOST_UNKNOWN', `cannot resolve the host '${host}' to listen on: ${code}`);
  });
  const fd = native().socketBind(address, 0, 1);
  if (fd < 0) throw new CliError('HOST_UNKNOWN', `cannot listen on ${host}: ${errnoName(fd)}`);
  return localAddress(fd)!.port;
}

/** Asked here, because a server that cannot start would look like one that keeps crashing. */
async function expectFolder(path: string): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new CliError(
      'NOT_A_DIRECTORY',
      `cannot serve '${path}': ${error.message}; give a folder that exists`,
    );
  });
  if (!found.isDirectory()) {
    throw new CliError(
      'NOT_A_DIRECTORY',
      `cannot serve '${path}': it is not a folder; give the folder it is in`,
    );
  }
}
