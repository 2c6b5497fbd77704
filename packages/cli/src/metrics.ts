import {once} from 'node:events';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import type {Status} from '@zlr/kernel-shim';
import {type Command, parse, portNumber} from './command.js';
import {CliError} from './errors.js';
import {fetchAll} from './services.js';

export const metrics: Command = {
  name: 'metrics',
  usage: '[--port P [--host H]]',
  summary: 'tell Prometheus of all services',
  help: `Prints the metrics of every service and worker of this user in the text format of Prometheus, for a textfile collector; or serves them at /metrics.
It needs the package prom-client beside zlr: npm i prom-client.

  --port P  serve them until it is ended, and print where; 0 picks a free port
  --host H  the address to serve them at (default 127.0.0.1)`,

  async run(args) {
    const {values} = parse('metrics', {
      args,
      options: {port: {type: 'string'}, host: {type: 'string', default: '127.0.0.1'}},
    });
    const client = await load();
    if (values.port === undefined) {
      process.stdout.write((await collect(client)).text);
      return 0;
    }
    await serve(client, values.host, portNumber('metrics', values.port));
    return 0;
  },
};

type Client = typeof import('prom-client');

async function load(): Promise<Client> {
  try {
    return await import('prom-client');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new CliError(
      'PACKAGE_MISSING',
      'metrics need the package prom-client beside zlr: npm i prom-client',
    );
  }
}

/** What is told of each, in Prometheus' units; undefined: it is not known. */
const GAUGES: readonly [name: string, help: string, of: (status: Status) => number | undefined][] = [
  ['zlr_generation', 'The generation that serves', ({generation}) => generation],
  [
    'zlr_generation_start_time_seconds',
    'When it was started, since the epoch',
    ({startedAt}) => Date.parse(startedAt) / 1000,
  ],
  ['zlr_supervised', '1 while the supervisor lives', ({supervisorPid}) => (supervisorPid === null ? 0 : 1)],
  ['zlr_standby_ready', '1 while another generation stands by', ({standby}) => (standby?.isReady ? 1 : 0)],
  ['zlr_channels', 'Open listening sockets and connections', ({channels}) => channels ?? undefined],
  ['zlr_resident_memory_bytes', 'Resident memory', ({health}) => health?.rssBytes],
  ['zlr_heap_bytes', "V8's heap in use", ({health}) => health?.heapBytes],
  [
    'zlr_event_loop_delay_seconds',
    'By how much the event loop was late',
    ({health}) => (health ? health.delayMs / 1000 : undefined),
  ],
  [
    'zlr_last_down_seconds',
    'From the last fault to the first connection that was served again',
    ({faults}) => {
      const down = faults.at(-1)?.downMs;
      return down == null ? undefined : down / 1000;
    },
  ],
];

/** A registry of its own a time: a service that has ended is told of no more. */
async function collect({Registry, Gauge, Counter}: Client): Promise<{text: string; contentType: string}> {
  const registry = new Registry();
  const options = {labelNames: ['service'], registers: [registry]};
  const takeovers = new Counter({
    name: 'zlr_takeovers_total',
    help: 'Generations that ended, by a fault or a restart, and were followed by another',
    ...options,
  });
  const gauges = GAUGES.map(([name, help, of]) => ({gauge: new Gauge({name, help, ...options}), of}));
  for (const status of await fetchAll()) {
    const labels = {service: status.name};
    takeovers.inc(labels, status.faultCount);
    for (const {gauge, of} of gauges) {
      const value = of(status);
      if (value !== undefined) gauge.set(labels, value);
    }
  }
  return {text: await registry.metrics(), contentType: registry.contentType};
}

async function serve(client: Client, host: string, port: number): Promise<void> {
  const server = createServer((request, response) => {
    if (request.url !== '/metrics') {
      response.writeHead(404).end('the metrics are at /metrics\n');
      return;
    }
    collect(client).then(
      ({text, contentType}) => response.setHeader('Content-Type', contentType).end(text),
      (error: Error) => response.writeHead(500).end(`${error.message}\n`),
    );
  });
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new CliError('LISTEN_FAILED', `cannot listen: ${(error as Error).message}; choose another --port`);
  }
  const {address, family, port: own} = server.address() as AddressInfo;
  console.log(`metrics at http://${family === 'IPv6' ? `[${address}]` : address}:${own}/metrics`);
  await new Promise<void>(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, resolve);
  });
  server.close();
  server.closeAllConnections();
}
