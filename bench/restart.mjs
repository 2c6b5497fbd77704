/**
 * How long clients wait when their server is killed: from SIGKILL to the first byte that the next generation sends, at
 * 1, 100 and 1,000 connections in the middle of a download; and what it is made of.
 *
 * Goal: the gap that a cold restart makes, in boots of a bare Node process, and the price of being restartable. No
 * goal: throughput after the restart (bench/serve.mjs).
 *
 *   npm run bench -- restart [--json] [--rounds N]
 */
import {spawn} from 'node:child_process';
import {createHash} from 'node:crypto';
import {once} from 'node:events';
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
import {bootNode, bootServer, killRegistrant, spawnNode} from './restart/baselines.mjs';
import {holdHalfRequests, keeperBytes} from './restart/memory.mjs';
import {ALONE, LOAD_CORE, onCore, Servers} from './servers.mjs';

/** @typedef {import('./restart/clients.mjs').Outcome} Outcome */

const options = readOptions({rounds: 7});
const MB = 1024 * 1024;
/** Large enough that none is over before the kill, small enough that all come to their end soon. */
const FILES = options.small
  ? [{connections: 4, bytes: 8 * MB}]
  : [
      {connections: 1, bytes: 8 * MB},
      {connections: 100, bytes: 4 * MB},
      {connections: 1000, bytes: 4 * MB},
    ];
const HALF_REQUESTS = options.small ? 5 : 100;
const KILLS = options.small ? 1 : 5;
const CLIENTS_MS = 90_000;
const SERVED_MS = 5_000;
const SMALL_FILE = '/small.bin';

const clients = fileURLToPath(new URL('restart/clients.mjs', import.meta.url));

/**
 * @param {import('./servers.mjs').Server} server
 * @param {{connections: number, path: string, file: string}} task
 */
async function killUnderDownloads(server, task) {
  const before = await fetchStatus(server.name);
  const argument = JSON.stringify({...task, port: server.port, pid: before.pid});
  const [program, ...args] = onCore(LOAD_CORE, [process.execPath, clients, argument]);
  const child = spawn(program, args, {
    ...ALONE,
    stdio: ['ignore', 'pipe', 'inherit'],
    signal: AbortSignal.any([options.signal, AbortSignal.timeout(CLIENTS_MS)]),
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', text => {
    said += text;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`the clients of ${task.connections} connections ended with ${code}`);
  /** @type {Outcome} */
  const outcome = JSON.parse(said);
  const limit = performance.now() + SERVED_MS;
  for (;;) {
    const {generation, faults} = await fetchStatus(server.name);
    const fault = faults.at(-1);
    if (generation === before.generation + 1 && fault && fault.downMs !== null) {
      if (fault.channels < task.connections)
        throw new Error(`only ${fault.channels} channels were handed over`);
      return {...outcome, downMs: fault.downMs};
    }
    if (performance.now() > limit) throw new Error('no recovered channel was served, says the supervisor');
    await delay(10);
  }
}

const {downloads, nodeBoots, nodeSpawns, serverBoots, registrations, keepers, held, sha256} =
  await withScratch(async ({folder, defer}) => {
    const served = join(folder, 'files');
    mkdirSync(served);
    const next = random(options.seed);
    const bytes = Buffer.alloc(Math.max(...FILES.map(file => file.bytes)));
    for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(Math.floor(next() * 2 ** 32), at);
    writeFileSync(join(served, SMALL_FILE), bytes.subarray(0, 12));
    const tasks = FILES.map(({connections, bytes: size}) => {
      const path = `/${connections}.bin`;
      writeFileSync(join(served, path), bytes.subarray(0, size));
      return {connections, path, file: join(served, path)};
    });

    const servers = new Servers(join(folder, 'run'), options.signal);
    defer(() => servers.stopAll());
    const server = await servers.supervised(served);

    /** @type {Awaited<ReturnType<typeof killUnderDownloads>>[][]} */
    const outcomes = FILES.map(() => []);
    /** @type {number[]} */
    const keeperSizes = [];
    /** @type {number[]} */
    const boots = [];
    /** @type {Awaited<ReturnType<typeof spawnNode>>[]} */
    const spawns = [];
    /** @type {Awaited<ReturnType<typeof bootServer>>[]} */
    const boot = [];
    /** @type {Awaited<ReturnType<typeof killRegistrant>>[]} */
    const lives = [];
    /** @type {Awaited<ReturnType<typeof holdHalfRequests>>[]} */
    const holds = [];
    /** @type {Record<string, () => Promise<unknown>>} */
    const contenders = {
      'node -e 0': async () => boots.push(await bootNode(options.signal)),
      'spawn node': async () => spawns.push(await spawnNode(options.signal)),
      'boot of the server': async () => boot.push(await bootServer(servers, served, SMALL_FILE)),
      registrant: async () => lives.push(await killRegistrant(servers, KILLS)),
      'half requests': async () =>
        holds.push(await holdHalfRequests(servers, served, SMALL_FILE, HALF_REQUESTS)),
    };
    for (const [index, task] of tasks.entries()) {
      contenders[`${task.connections} connections`] = async () => {
        outcomes[index]?.push(await killUnderDownloads(server, task));
        keeperSizes.push(keeperBytes(server));
      };
    }
    await interleave(options, contenders);
    return {
      downloads: outcomes,
      nodeBoots: boots,
      nodeSpawns: spawns,
      serverBoots: boot,
      registrations: lives,
      keepers: keeperSizes,
      held: holds,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    };
  });

const firstByteBoots = serverBoots.map(boot => boot.firstByteMs);
const restarts = FILES.map(({connections}, index) => {
  const of = downloads[index] ?? [];
  const firsts = of.map(each => each.firstMs);
  return {
    connections,
    firstMs: summarize(firsts),
    lastMs: summarize(of.map(each => each.lastMs)),
    downMs: summarize(of.map(each => each.downMs)),
    drainedMs: summarize(of.map(each => each.drainedMs)),
    verifiedBytes: of.reduce((sum, each) => sum + each.verifiedBytes, 0),
    firstToNodeBoot: ratio(firsts, nodeBoots),
    firstToServerBoot: ratio(firsts, firstByteBoots),
  };
});
const perRound = (/** @type {'reactionMs' | 'reregistUs'} */ figure) =>
  registrations.map(each => summarize(each[figure]).median);
const results = {
  sha256,
  restarts,
  nodeBootMs: summarize(nodeBoots),
  serverListeningMs: summarize(serverBoots.map(boot => boot.listeningMs)),
  serverFirstByteMs: summarize(firstByteBoots),
  /** CPU time does not grow when the machine is busy with something else. */
  cpu: {
    nodeBootMs: summarize(nodeSpawns.map(each => each.cpuMs)),
    serverBootMs: summarize(serverBoots.map(boot => boot.cpuMs)),
    ratio: ratio(
      serverBoots.map(boot => boot.cpuMs),
      nodeSpawns.map(each => each.cpuMs),
    ),
  },
  reaction: {
    /** From asking for a process to its beginning, with nobody killed. */
    spawnMs: summarize(nodeSpawns.map(each => each.spawnMs)),
    /** From the kill to the beginning of the next generation. */
    killMs: summarize(perRound('reactionMs')),
    ratio: ratio(
      perRound('reactionMs'),
      nodeSpawns.map(each => each.spawnMs),
    ),
  },
  reregist: {
    microseconds: summarize(perRound('reregistUs')),
    toNodeBoot: ratio(
      perRound('reregistUs').map(us => us / 1000),
      nodeBoots,
    ),
  },
  keeperPrivateBytes: summarize(keepers),
  halfRequests: {
    clients: HALF_REQUESTS,
    heldBytes: summarize(held.map(each => each.heldBytes)),
    segmentBytes: summarize(held.map(each => each.segmentBytes)),
  },
};

report(options, 'restart', results, () => {
  const {cpu, reaction, reregist, halfRequests} = results;
  return [
    table(
      [
        'connections',
        'first byte, ms',
        'last client, ms',
        'downMs',
        'drained, ms',
        '/ node -e 0',
        '/ boot to first byte',
        'verified',
      ],
      restarts.map(each => [
        each.connections.toLocaleString('en-US'),
        show(each.firstMs, 0),
        show(each.lastMs, 0),
        show(each.downMs, 0),
        show(each.drainedMs, 0),
        show(each.firstToNodeBoot, 2),
        show(each.firstToServerBoot, 2),
        `${(each.verifiedBytes / 1e6).toLocaleString('en-US', {maximumFractionDigits: 0})} MB`,
      ]),
    ),
    table(
      ['beside it', ''],
      [
        ['node -e 0, ms', show(results.nodeBootMs, 0)],
        ['the server unsupervised, until it listens, ms', show(results.serverListeningMs, 0)],
        ['the server unsupervised, until its first byte, ms', show(results.serverFirstByteMs, 0)],
        ['CPU time of a bare Node boot, ms', show(cpu.nodeBootMs, 0)],
        ['CPU time of the server until its first byte, ms', show(cpu.serverBootMs, 0)],
        ['the same / the bare boot', show(cpu.ratio, 2)],
        ['kill to the beginning of the next process, ms', show(reaction.killMs, 1)],
        ['spawn to the beginning of a process, ms', show(reaction.spawnMs, 1)],
        ['reregist(), us', show(reregist.microseconds, 0)],
        ['reregist() / node -e 0', show(reregist.toNodeBoot, 4)],
        ["the keeper's private memory, bytes", show(results.keeperPrivateBytes, 0)],
        [`held of ${halfRequests.clients} half requests, bytes`, show(halfRequests.heldBytes, 0)],
        ['the segment grew by, bytes', show(halfRequests.segmentBytes, 0)],
      ],
    ),
  ].join('\n\n');
});
