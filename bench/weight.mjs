/**
 * What the memory of a service costs the control plane: registering, replacing a keeper, noticing a death, starting the
 * next generation, for services of 100 MB, 1 GB and 4 GB; and a fault with 12,000 connections.
 *
 * Goal: that nothing of it grows with the service. No goal: the boot of the next generation; how long the kernel takes to
 * give back the memory of a dead process is measured beside it, with a process that nobody supervises.
 *
 *   npm run bench -- weight [--json] [--rounds N]
 */
import {once} from 'node:events';
import {mkdirSync, writeFileSync} from 'node:fs';
import {connect} from 'node:net';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {fetchStatus} from '@zlr/kernel-shim';
import {interleave, readOptions, report, show, summarize, table, withScratch} from './harness.mjs';
import {readProcess, Servers} from './servers.mjs';

const options = readOptions({rounds: 5});
const WEIGHTS_MB = options.small ? [64] : [100, 1000, 4000];
const CROWDS = options.small ? [50] : [1, 1000, 12_000];
const PATIENCE_MS = 60_000;
/** Short of what may wait to be accepted. */
const ARRIVALS = 200;
const heavy = fileURLToPath(new URL('weight/heavy.mjs', import.meta.url));

const nowMs = () => Number(process.hrtime.bigint()) / 1e6;

/**
 * Looks again and again, until something is there.
 * @template T
 * @param {string} what
 * @param {() => T | undefined | Promise<T | undefined>} look
 */
async function until(what, look) {
  for (const limit = nowMs() + PATIENCE_MS; nowMs() < limit; await delay(1)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Error(`${what} did not come within ${PATIENCE_MS} ms`);
}

/** Private bytes of a process. @param {number} pid */
function privateBytes(pid) {
  const rollup = readProcess(pid, 'smaps_rollup');
  const kB = (/** @type {string} */ field) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1]);
  return (kB('Private_Clean') + kB('Private_Dirty')) * 1024;
}

/** From SIGKILL to the moment in which the parent of a process hears of it. @param {Servers} servers @param {number} megabytes */
async function kernelsOwn(servers, megabytes) {
  const server = await servers.start(servers.name(), [heavy, `${megabytes}`], () => true);
  const killedAt = nowMs();
  process.kill(server.pid, 'SIGKILL');
  await server.ended;
  return nowMs() - killedAt;
}

/** One service's life: registered, bereft of a keeper, killed. @param {Servers} servers @param {number} megabytes */
async function live(servers, megabytes) {
  /** @type {{generation: number, pid: number, bornAt: number, reregistUs: number}[]} */
  const lives = [];
  /** @type {number[]} */
  const silences = [];
  const server = await servers.run([process.execPath, heavy, `${megabytes}`], line => {
    const said = JSON.parse(line);
    if ('longestMs' in said) silences.push(said.longestMs);
    else lives.push(said);
    return true;
  });
  const first = lives[0];
  if (first === undefined) throw new Error('the service said nothing');
  const both = await until('the second keeper', async () => {
    const {keepers} = await fetchStatus(server.name);
    return keepers.length === 2 ? keepers : undefined;
  });
  const sizes = both.map(privateBytes);
  const ask = async () => {
    const before = silences.length;
    process.kill(first.pid, 'SIGUSR2');
    return until('an answer of the service', () => silences[before]);
  };
  await ask();
  const begin = nowMs();
  process.kill(/** @type {number} */ (both[0]), 'SIGKILL');
  await until('another keeper', async () => {
    const {keepers} = await fetchStatus(server.name);
    return keepers.length === 2 && !keepers.includes(/** @type {number} */ (both[0])) ? true : undefined;
  });
  const replacedMs = nowMs() - begin;
  const silenceMs = await ask();

  const killedAt = nowMs();
  process.kill(first.pid, 'SIGKILL');
  const second = await until('the next generation', () => lives[1]);
  await server.stop();
  return {
    reregistUs: first.reregistUs,
    replacedMs,
    silenceMs,
    startMs: second.bornAt - killedAt,
    keeperBytes: Math.max(...sizes),
  };
}

/**
 * A server with so many keep-alive connections, each of which has had an answer, is killed, and all ask again at once.
 * @param {Servers} servers @param {string} folder @param {number} count
 */
async function killBeforeACrowd(servers, folder, count) {
  const server = await servers.supervised(folder);
  const request = 'GET /small.txt HTTP/1.1\r\nHost: crowd\r\n\r\n';
  let answers = 0;
  let wake = () => {};
  /** @param {number} wanted */
  const untilAnswered = async wanted => {
    while (answers < wanted) await new Promise(resolve => (wake = () => resolve(undefined)));
  };
  /** @type {import('node:net').Socket[]} */
  const sockets = [];
  while (sockets.length < count) {
    const arrivals = Array.from({length: Math.min(ARRIVALS, count - sockets.length)}, () => {
      const socket = connect({port: server.port, host: '127.0.0.1', noDelay: true});
      socket.on('data', data => {
        if (data.indexOf('small') < 0) throw new Error(`not the answer: ${data}`);
        answers++;
        wake();
      });
      socket.write(request);
      return socket;
    });
    sockets.push(...arrivals);
    await untilAnswered(sockets.length);
  }
  const before = await until('the second keeper', async () => {
    const status = await fetchStatus(server.name);
    return status.keepers.length === 2 ? status : undefined;
  });
  answers = 0;
  const killedAt = nowMs();
  process.kill(before.pid, 'SIGKILL');
  for (const socket of sockets) socket.write(request);
  await untilAnswered(1);
  const firstMs = nowMs() - killedAt;
  await untilAnswered(count);
  const lastMs = nowMs() - killedAt;
  const {channels, keepers} = await until('two keepers', async () => {
    const status = await fetchStatus(server.name);
    return status.keepers.length === 2 && status.generation === 2 ? status : undefined;
  });
  if (channels === null || channels < count) throw new Error(`of ${count} channels ${channels} are left`);
  const keeperBytes = Math.max(...keepers.map(privateBytes));
  for (const socket of sockets) socket.destroy();
  await Promise.all(sockets.map(socket => socket.closed || once(socket, 'close')));
  await server.stop();
  return {firstMs, lastMs, keeperBytes};
}

const {measured, crowds} = await withScratch(async ({folder, defer}) => {
  const servers = new Servers(join(folder, 'run'), options.signal);
  defer(() => servers.stopAll());
  const served = join(folder, 'files');
  mkdirSync(served);
  writeFileSync(join(served, 'small.txt'), 'small');
  /** @type {{count: number, faults: Awaited<ReturnType<typeof killBeforeACrowd>>[]}[]} */
  const crowds = CROWDS.map(count => ({count, faults: []}));
  /** @type {{megabytes: number, lives: Awaited<ReturnType<typeof live>>[], deathsMs: number[]}[]} */
  const all = WEIGHTS_MB.map(megabytes => ({megabytes, lives: [], deathsMs: []}));
  /** @type {Record<string, () => Promise<unknown>>} */
  const contenders = {};
  for (const each of all) {
    contenders[`${each.megabytes} MB`] = async () => each.lives.push(await live(servers, each.megabytes));
    contenders[`${each.megabytes} MB alone`] = async () =>
      each.deathsMs.push(await kernelsOwn(servers, each.megabytes));
  }
  for (const each of crowds)
    contenders[`${each.count} connections`] = async () =>
      each.faults.push(await killBeforeACrowd(servers, served, each.count));
  await interleave(options, contenders);
  return {measured: all, crowds};
});

const weights = measured.map(({megabytes, lives, deathsMs}) => {
  const of = (/** @type {keyof Awaited<ReturnType<typeof live>>} */ figure) =>
    summarize(lives.map(each => each[figure]));
  return {
    megabytes,
    reregistUs: of('reregistUs'),
    replacedMs: of('replacedMs'),
    silenceMs: of('silenceMs'),
    startMs: of('startMs'),
    deathMs: summarize(deathsMs),
    keeperBytes: of('keeperBytes'),
  };
});

const faults = crowds.map(({count, faults}) => {
  const of = (/** @type {keyof Awaited<ReturnType<typeof killBeforeACrowd>>} */ figure) =>
    summarize(faults.map(each => each[figure]));
  return {
    connections: count,
    firstMs: of('firstMs'),
    lastMs: of('lastMs'),
    keeperBytes: of('keeperBytes'),
  };
});

/** @param {ReturnType<typeof summarize>} bytes */
const inKb = ({median, min, max}) => show({median: median / 1024, min: min / 1024, max: max / 1024}, 0);

report(options, 'weight', {weights, faults}, () =>
  [
    table(
      [
        'service',
        'reregist(), us',
        'a keeper replaced, ms',
        'its loop stood meanwhile, ms',
        'kill to the next process, ms',
        'kill to death, unsupervised, ms',
        'a keeper, kB',
      ],
      weights.map(each => [
        `${each.megabytes.toLocaleString('en-US')} MB`,
        show(each.reregistUs, 0),
        show(each.replacedMs, 1),
        show(each.silenceMs, 1),
        show(each.startMs, 1),
        show(each.deathMs, 1),
        inKb(each.keeperBytes),
      ]),
    ),
    table(
      ['connections', 'kill to the first answer, ms', 'to the last, ms', 'a keeper, kB'],
      faults.map(each => [
        each.connections.toLocaleString('en-US'),
        show(each.firstMs, 0),
        show(each.lastMs, 0),
        inKb(each.keeperBytes),
      ]),
    ),
  ].join('\n\n'),
);
