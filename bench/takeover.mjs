/**
 * What clients notice when a process dies, and when a new version comes: `zlr serve` and `zlr run --http` cold, with a standby and by `zlr restart`, beside a
 * program that is merely started again (what Restart=always with a socket unit of systemd does), and nginx' binary upgrade and `pm2 reload`, where those are
 * installed.
 *
 * Clients ask over keep-alive connections, all together 2,000 times a second; one that is cut or refused tries again at once.
 *
 * Goal: the longest silence after a fault, and what it costs others. No goal: throughput.
 *
 *   npm run bench -- takeover [--json] [--rounds N]
 */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {fetchStatus, requestRestart} from '@zlr/kernel-shim';
import {interleave, readOptions, report, show, summarize, table, withScratch} from './harness.mjs';
import {ALONE, LOAD_CORE, onCore, Servers} from './servers.mjs';
import {app, find, freePort, startNginx, startPm2} from './takeover/peers.mjs';

/** @typedef {import('./takeover/clients.mjs').Outcome} Outcome */
/** @typedef {import('./takeover/peers.mjs').Peer} Peer */

const options = readOptions({rounds: 9});
const CONNECTIONS = options.small ? [5] : [1, 100, 1_000, 10_000];
/** Where a node:http program has so many, its own work is what is measured. */
const FEW = CONNECTIONS.filter(count => count <= 1_000);
const AFTER_MS = options.small ? 100 : 1_000;
const READY_MS = 20_000;
const clients = fileURLToPath(new URL('takeover/clients.mjs', import.meta.url));

/**
 * @param {number} port
 * @param {number} connections
 * @param {() => Promise<void>} event resolves when it is over
 * @returns {Promise<Outcome>}
 */
async function during(port, connections, event) {
  const task = JSON.stringify({port, connections, path: '/small.txt'});
  const [file, ...args] = onCore(LOAD_CORE, [process.execPath, clients, task]);
  const child = spawn(file, args, {...ALONE, stdio: ['pipe', 'pipe', 'inherit'], signal: options.signal});
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const line = async () => {
    const {value, done} = await lines.next();
    if (done) throw new Error(`the clients of ${connections} connections ended early`);
    return value;
  };
  const closed = once(child, 'close');
  await line();
  await delay(AFTER_MS / 2);
  child.stdin.write('event\n');
  await event();
  await delay(AFTER_MS);
  child.stdin.write('end\n');
  const outcome = JSON.parse(await line());
  await closed;
  return outcome;
}

/** @param {string} name @param {boolean} standby */
async function ready(name, standby) {
  for (const limit = performance.now() + READY_MS; ; await delay(10)) {
    const status = await fetchStatus(name);
    if (status.keepers.length === 2 && (!standby || status.standby?.isReady)) return status;
    if (performance.now() > limit) throw new Error(`${name} was not ready in time`);
  }
}

/** @param {import('./servers.mjs').Server} server @param {boolean} standby @param {boolean} isPlain @returns {Peer} */
function ours(server, standby, isPlain = false) {
  const {name, port} = server;
  return {
    port,
    async kill() {
      const {pid, generation} = await fetchStatus(name);
      process.kill(pid, 'SIGKILL');
      while ((await fetchStatus(name)).generation === generation) await delay(5);
      if (!isPlain) await ready(name, standby);
    },
    async renew() {
      await requestRestart(name, {probationMs: 0});
    },
    stop: () => server.stop(),
  };
}

const {samples, cells} = await withScratch(async ({folder, defer}) => {
  const root = join(folder, 'files');
  mkdirSync(root);
  writeFileSync(join(root, 'small.txt'), 'twelve bytes');
  const servers = new Servers(join(folder, 'run'), options.signal);
  defer(() => servers.stopAll());
  const program = async (/** @type {string[]} */ ...how) =>
    servers.program(how, [process.execPath, app, `${await freePort()}`]);

  /** @type {Record<string, Peer>} */
  const peers = {
    'zlr serve': ours(await servers.supervised(root), false),
    'zlr serve --standby': ours(await servers.supervised(root, ['--standby']), true),
    'zlr run --http': ours(await program('--http'), false),
    'zlr run --http --standby': ours(await program('--http', '--standby'), true),
    'started again': ours(await program('--keep-ports'), false, true),
  };
  const [nginx, pm2] = [find('nginx'), find('pm2')];
  for (const [name, start] of /** @type {const} */ ([
    ['nginx', nginx && (() => startNginx(nginx, folder, root))],
    ['PM2, 2 workers', pm2 && (() => startPm2(pm2, folder))],
  ])) {
    if (!start) continue;
    const peer = await start();
    defer(() => peer.stop());
    peers[name] = peer;
  }
  for (const name of ['zlr serve --standby', 'zlr run --http --standby']) {
    const {port} = /** @type {Peer} */ (peers[name]);
    await during(port, 1, async () => {});
  }

  /** @type {{server: string, event: 'kill' | 'renew', connections: number}[]} */
  const list = [];
  for (const server of Object.keys(peers)) {
    for (const connections of server.startsWith('zlr serve') || server === 'nginx' ? CONNECTIONS : FEW) {
      list.push({server, event: 'kill', connections});
      if (server !== 'started again' && !server.includes('standby'))
        list.push({server, event: 'renew', connections});
    }
  }
  /** @type {Record<string, () => Promise<Outcome>>} */
  const contenders = {};
  for (const {server, event, connections} of list) {
    const peer = /** @type {Peer} */ (peers[server]);
    contenders[`${server} ${event} ${connections}`] = () => during(peer.port, connections, peer[event]);
  }
  return {samples: await interleave(options, contenders), cells: list};
});

const results = cells.map(({server, event, connections}) => {
  const outcomes = samples[`${server} ${event} ${connections}`] ?? [];
  const of = (/** @type {keyof Outcome} */ key) => summarize(outcomes.map(each => each[key]));
  return {
    server,
    event: event === 'kill' ? 'SIGKILL' : 'new version',
    connections,
    gapMs: of('gapMs'),
    worstMs: of('worstMs'),
    cut: of('cut'),
    refused: of('refused'),
  };
});

report(options, 'takeover', {results}, () =>
  table(
    ['', 'event', 'connections', 'longest silence, ms', 'longest wait, ms', 'cut', 'refused'],
    results.map(each => [
      each.server,
      each.event,
      each.connections.toLocaleString('en-US'),
      show(each.gapMs, 0),
      show(each.worstMs, 0),
      show(each.cut, 0),
      show(each.refused, 0),
    ]),
  ),
);
