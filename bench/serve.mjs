/**
 * Requests per second and response times of zlr-http with and without its supervisor, beside node:http serving the
 * same files; and what one SIGKILL under load costs.
 *
 * Goal: the price of zero loss while nothing fails, and of a fault under full load. No goal: the most that a machine
 * can do; server and load have one core each, and one process each.
 *
 *   npm run bench -- serve [--json] [--rounds N]
 */
import {createHash} from 'node:crypto';
import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {fetchStatus} from '@zlr/kernel-shim';
import {
  interleave,
  random,
  ratio,
  readOptions,
  report,
  show,
  summarize,
  table,
  withScratch,
} from './harness.mjs';
import {generator, load} from './serve/load.mjs';
import {cpuMs, Servers} from './servers.mjs';

/** @typedef {import('./serve/load.mjs').Load & {cpuUs: number}} Sample cpuUs: of the server, for a request */
/** @typedef {import('./servers.mjs').Server} Server */

const FILES = {'12 B': 12, '10 KiB': 10 * 1024, '1 MB': 1_000_000};
const FAULT = 'supervised, 1 SIGKILL';
const KINDS = ['unsupervised', 'supervised', FAULT, 'node:http', 'node:http, cached'];
/** One file's part of a round. The two whose difference is small come twice, so that a drift of the machine cancels. */
const TURNS = [
  'unsupervised',
  'supervised',
  'node:http',
  'node:http, cached',
  'supervised',
  'unsupervised',
  FAULT,
];
/** In every other round those two change places: what the first of all turns finds is not always one's. */
const OTHER = new Map([
  ['unsupervised', 'supervised'],
  ['supervised', 'unsupervised'],
]);

/** What a server has compiled after this long, it has compiled. */
const WARM_UP_SECONDS = 2;

const options = readOptions({rounds: 7});
const turns = options.small ? KINDS : TURNS;
const seconds = options.small ? 1 : 2;
/** Longer: a fault is to be an event in a round, not half of it. */
const faultSeconds = options.small ? 1 : 5;

/** @param {string} file */
const pathOf = file => `/${file.replaceAll(' ', '-')}.bin`;

/**
 * Whether a server serves what it shall.
 * @param {Server} server
 * @param {string} file
 * @param {Buffer} content
 */
async function verify(server, file, content) {
  const response = await fetch(`http://127.0.0.1:${server.port}${pathOf(file)}`, {
    headers: {Connection: 'close'},
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  if (response.status !== 200 || !bytes.equals(content))
    throw new Error(`${server.name} serves another ${file}`);
}

/**
 * Load with a SIGKILL of the serving process in the middle.
 * @param {Server} server
 * @param {string} file
 * @param {Buffer} content
 */
async function loadWithFault(server, file, content) {
  const {pid, generation} = await fetchStatus(server.name);
  const running = load(`http://127.0.0.1:${server.port}${pathOf(file)}`, faultSeconds, options.signal);
  await Promise.race([delay((faultSeconds * 1000) / 2), running]);
  process.kill(pid, 'SIGKILL');
  const sample = await running;
  // Answered by the next generation, so also: the next fault does not meet it before it serves.
  await verify(server, file, content);
  const now = await fetchStatus(server.name);
  if (now.generation !== generation + 1) throw new Error(`${server.name} is at generation ${now.generation}`);
  return sample;
}

const {samples, sha256} = await withScratch(async ({folder, defer}) => {
  const files = join(folder, 'files');
  mkdirSync(files);
  const next = random(options.seed);
  const contents = Object.entries(FILES).map(([file, size]) => {
    const content = Buffer.from(Array.from({length: size}, () => Math.floor(next() * 256)));
    writeFileSync(join(files, pathOf(file)), content);
    return {file, content};
  });

  const servers = new Servers(join(folder, 'run'), options.signal);
  defer(() => servers.stopAll());
  const nodeHttp = fileURLToPath(new URL('serve/node-http.mjs', import.meta.url));
  /** @type {Record<string, Server>} */
  const byKind = {
    unsupervised: await servers.unsupervised(files),
    supervised: await servers.supervised(files),
    // Of its own: the others' code stays as warm as it is.
    [FAULT]: await servers.supervised(files),
    'node:http': await servers.start(servers.name(), [nodeHttp, files]),
    'node:http, cached': await servers.start(servers.name(), [nodeHttp, files, '--cached']),
  };

  /** @param {string} kind @param {string} file @param {Buffer} content */
  async function measure(kind, file, content) {
    const server = /** @type {Server} */ (byKind[kind]);
    // Of a generation that was killed nobody knows any more what it has used.
    if (kind === FAULT) return {...(await loadWithFault(server, file, content)), cpuUs: Number.NaN};
    const before = cpuMs(server.pid);
    const sample = await load(`http://127.0.0.1:${server.port}${pathOf(file)}`, seconds, options.signal);
    return {...sample, cpuUs: ((cpuMs(server.pid) - before) * 1000) / sample.requests};
  }

  for (const {file, content} of contents) {
    for (const kind of KINDS) {
      const server = /** @type {Server} */ (byKind[kind]);
      await verify(server, file, content);
      if (!options.small)
        await load(`http://127.0.0.1:${server.port}${pathOf(file)}`, WARM_UP_SECONDS, options.signal);
    }
  }
  /** @type {Record<string, (round: number) => Promise<Record<string, Sample[]>>>} */
  const contenders = {};
  for (const {file, content} of contents) {
    contenders[file] = async round => {
      /** @type {Record<string, Sample[]>} */
      const loads = Object.fromEntries(KINDS.map(kind => [kind, []]));
      for (const kind of round % 2 === 0 ? turns : turns.map(turn => OTHER.get(turn) ?? turn))
        loads[kind]?.push(await measure(kind, file, content));
      return loads;
    };
  }
  const measured = await interleave(options, contenders);
  for (const {file, content} of contents) {
    for (const kind of KINDS) await verify(/** @type {Server} */ (byKind[kind]), file, content);
  }
  const hashes = contents.map(({file, content}) => [
    file,
    createHash('sha256').update(content).digest('hex'),
  ]);
  return {samples: measured, sha256: Object.fromEntries(hashes)};
});

const results = Object.keys(FILES).flatMap(file =>
  KINDS.map(kind => {
    /** A number for each round. @param {string} each @param {'perSecond' | 'meanMs' | 'p99Ms' | 'cpuUs'} figure */
    const of = (each, figure) =>
      (samples[file] ?? []).map(loads => {
        const taken = loads[each] ?? [];
        return taken.reduce((sum, turn) => sum + turn[figure], 0) / taken.length;
      });
    const rates = (/** @type {string} */ each) => of(each, 'perSecond');
    const means = (/** @type {string} */ each) => of(each, 'meanMs');
    return {
      file,
      server: kind,
      seconds: kind === FAULT ? faultSeconds : seconds,
      perSecond: summarize(rates(kind)),
      meanMs: summarize(means(kind)),
      p99Ms: summarize(of(kind, 'p99Ms')),
      errors: (samples[file] ?? [])
        .flatMap(loads => loads[kind] ?? [])
        .reduce((sum, {errors}) => sum + errors, 0),
      ...(kind === FAULT
        ? {}
        : {
            cpuUs: summarize(of(kind, 'cpuUs')),
            cpuToUnsupervised: ratio(of(kind, 'cpuUs'), of('unsupervised', 'cpuUs')),
            cpuToNodeHttp: ratio(of(kind, 'cpuUs'), of('node:http', 'cpuUs')),
          }),
      rateToUnsupervised: ratio(rates(kind), rates('unsupervised')),
      timeToUnsupervised: ratio(means(kind), means('unsupervised')),
      rateToNodeHttp: ratio(rates(kind), rates('node:http')),
    };
  }),
);

report(options, 'serve', {generator, connections: 64, sha256, results}, () =>
  [
    `load by ${generator}, 64 connections, ${seconds} s a sample (${faultSeconds} s with a SIGKILL in the middle)`,
    table(
      ['server', 'file', 'requests/s', 'mean, ms', 'p99, ms', 'CPU a request, us', 'errors'],
      results.map(each => [
        each.server,
        each.file,
        show(each.perSecond, 0),
        show(each.meanMs, 2),
        show(each.p99Ms, 2),
        each.cpuUs ? show(each.cpuUs, 1) : '',
        String(each.errors),
      ]),
    ),
    table(
      [
        'as a ratio',
        'file',
        'rate / unsup.',
        'mean / unsup.',
        'CPU / unsup.',
        'rate / node:http',
        'CPU / node:http',
      ],
      results
        .filter(each => each.server !== 'unsupervised')
        .map(each => [
          each.server,
          each.file,
          show(each.rateToUnsupervised, 3),
          show(each.timeToUnsupervised, 3),
          each.cpuToUnsupervised ? show(each.cpuToUnsupervised, 3) : '',
          show(each.rateToNodeHttp, 2),
          each.cpuToNodeHttp ? show(each.cpuToNodeHttp, 2) : '',
        ]),
    ),
  ].join('\n\n'),
);
