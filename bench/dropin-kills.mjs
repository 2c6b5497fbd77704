/**
 * What a SIGKILL of the process that works on the requests costs the clients of the same node:http program: under `zlr run --http`,
 * merely started again (as systemd's Restart= does), and as two workers of node:cluster (PM2's cluster mode is that too).
 *
 * 16 clients ask for an answer that takes 50 ms, over keep-alive connections; as soon as one is cut or refused, it tries again.
 *
 *   npm run bench -- dropin-kills [--json] [--rounds N]
 */
import {once} from 'node:events';
import {Agent, get} from 'node:http';
import {createServer} from 'node:net';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {interleave, readOptions, report, show, summarize, table, withScratch} from './harness.mjs';
import {childrenOf, Servers} from './servers.mjs';

const CLIENTS = 16;
const options = readOptions({rounds: 5});
const seconds = options.small ? 1 : 4;
const app = fileURLToPath(new URL('dropin/slow-app.mjs', import.meta.url));

/**
 * @typedef {object} Outcome
 * @property {number} answered
 * @property {number} lost requests that were cut
 * @property {number} refused connections that were refused
 * @property {number} worstMs the longest that a client waited from its first try to an answer
 */

/**
 * @param {number} port
 * @param {() => boolean} isOver
 * @returns {Promise<Outcome>}
 */
async function live(port, isOver) {
  const agent = new Agent({keepAlive: true, maxSockets: 1});
  const outcome = {answered: 0, lost: 0, refused: 0, worstMs: 0};
  while (!isOver()) {
    const start = performance.now();
    for (;;) {
      try {
        const [response] = await once(get({port, agent, path: '/'}), 'response');
        for await (const _ of response);
        break;
      } catch (error) {
        const {code} = /** @type {NodeJS.ErrnoException} */ (error);
        if (code === 'ECONNREFUSED') outcome.refused++;
        else outcome.lost++;
        options.signal.throwIfAborted();
        await delay(5);
      }
    }
    outcome.answered++;
    outcome.worstMs = Math.max(outcome.worstMs, performance.now() - start);
  }
  agent.destroy();
  return outcome;
}

/** The deepest descendant: the process that serves. @param {number} pid @returns {number} */
function server(pid) {
  // Keepers have no listening program of their own: the oldest child is the generation, or the worker.
  const [child] = childrenOf(pid);
  return child === undefined ? pid : server(child);
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const {port} = /** @type {import('node:net').AddressInfo} */ (probe.address());
  probe.close();
  await once(probe, 'close');
  return port;
}

/** @param {{port: number, pid: number}} started @returns {Promise<Outcome>} */
async function measure({port, pid}) {
  let over = false;
  const clients = Array.from({length: CLIENTS}, () => live(port, () => over));
  await delay((seconds * 1000) / 4);
  process.kill(server(pid), 'SIGKILL');
  await delay((seconds * 1000 * 3) / 4);
  over = true;
  const outcomes = await Promise.all(clients);
  const sum = (/** @type {keyof Outcome} */ key) => outcomes.reduce((total, each) => total + each[key], 0);
  return {
    answered: sum('answered'),
    lost: sum('lost'),
    refused: sum('refused'),
    worstMs: Math.max(...outcomes.map(each => each.worstMs)),
  };
}

const samples = await withScratch(async ({folder, defer}) => {
  const servers = new Servers(join(folder, 'run'), options.signal);
  defer(() => servers.stopAll());
  const kept = await servers.kept(app);
  // Who is merely started again must come back to the port its clients know.
  const restarted = await servers.run([process.execPath, app, String(await freePort())], () => false);
  const cluster = await servers.start(servers.name(), [app, '--cluster']);
  return interleave(options, {
    'zlr run --http': () => measure(kept),
    'started again': () => measure(restarted),
    'node:cluster, 2 workers': () => measure(cluster),
  });
});

const results = Object.entries(samples).map(([kind, outcomes]) => ({
  kind,
  answered: summarize(outcomes.map(each => each.answered)),
  lost: summarize(outcomes.map(each => each.lost)),
  refused: summarize(outcomes.map(each => each.refused)),
  worstMs: summarize(outcomes.map(each => each.worstMs)),
}));

report(options, 'dropin-kills', {clients: CLIENTS, results}, () =>
  table(
    ['one SIGKILL', 'answered', 'requests lost', 'connections refused', 'longest wait, ms'],
    results.map(each => [
      each.kind,
      show(each.answered, 0),
      show(each.lost, 0),
      show(each.refused, 0),
      show(each.worstMs, 0),
    ]),
  ),
);
