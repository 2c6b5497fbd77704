// What a restart is made of, measured apart: starting processes, noticing a death, registering.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {ALONE, cpuMs, onCore, SERVER_CORE} from '../servers.mjs';

/** @typedef {import('../servers.mjs').Servers} Servers */

const registrant = fileURLToPath(new URL('registrant.mjs', import.meta.url));
const NEXT_MS = 15_000;

/** On the clock that all processes share. */
const nowMs = () => Number(process.hrtime.bigint()) / 1e6;

/** From asking for a process to the end of one that does nothing. @param {AbortSignal} signal */
export async function bootNode(signal) {
  const [file, ...args] = onCore(SERVER_CORE, [process.execPath, '-e', '0']);
  const begin = nowMs();
  const [code] = await once(spawn(file, args, {...ALONE, stdio: 'ignore', signal}), 'exit');
  if (code !== 0) throw new Error(`node -e 0 ended with ${code}`);
  return nowMs() - begin;
}

/**
 * From asking for a process to its beginning, as it is told by itself, and the CPU time of its boot.
 * @param {AbortSignal} signal
 */
export async function spawnNode(signal) {
  const look = () => Number(process.hrtime.bigint()) / 1e6 - performance.now();
  const script = `const {user, system} = process.cpuUsage();
    const bornAt = Math.max(...Array.from({length: 9}, ${look}));
    console.log(JSON.stringify({bornAt, cpuMs: (user + system) / 1000}))`;
  const [file, ...args] = onCore(SERVER_CORE, [process.execPath, '-e', script]);
  const begin = nowMs();
  const child = spawn(file, args, {...ALONE, stdio: ['ignore', 'pipe', 'ignore'], signal});
  let said = '';
  child.stdout.setEncoding('utf8').on('data', text => {
    said += text;
  });
  await once(child, 'close');
  const {bornAt, cpuMs: spentMs} = JSON.parse(said);
  return {spawnMs: bornAt - begin, cpuMs: spentMs};
}

/**
 * From asking for the server, without supervisor, to the first byte of an answer, and the CPU time until then.
 * @param {Servers} servers
 * @param {string} folder
 * @param {string} path
 */
export async function bootServer(servers, folder, path) {
  const begin = nowMs();
  const server = await servers.unsupervised(folder);
  const listeningMs = nowMs() - begin;
  const response = await fetch(`http://127.0.0.1:${server.port}${path}`, {headers: {Connection: 'close'}});
  const firstByteMs = nowMs() - begin;
  await response.arrayBuffer();
  const spentMs = cpuMs(server.pid);
  await server.stop();
  return {listeningMs, firstByteMs, cpuMs: spentMs};
}

/**
 * Kills a service that only registers, some times over.
 * @param {Servers} servers
 * @param {number} kills
 * @returns {Promise<{reregistUs: number[], reactionMs: number[]}>} reaction: from the kill to the beginning of the
 *   next generation's process
 */
export async function killRegistrant(servers, kills) {
  /** @type {{generation: number, pid: number, bornAt: number, reregistUs: number}[]} */
  const lives = [];
  const service = await servers.run([process.execPath, registrant], line => {
    lives.push(JSON.parse(line));
    return true;
  });
  const reactionMs = [];
  for (let kill = 0; kill < kills; kill++) {
    const life = lives.at(-1);
    if (life === undefined) throw new Error('the registrant said nothing');
    // The keeper drops its memory right after it stands; that is not to fall into the reaction.
    await delay(50);
    const killedAt = nowMs();
    process.kill(life.pid, 'SIGKILL');
    while (lives.at(-1) === life) {
      if (nowMs() - killedAt > NEXT_MS) throw new Error('no next generation came');
      await delay(5);
    }
    reactionMs.push((lives.at(-1)?.bornAt ?? Number.NaN) - killedAt);
  }
  await service.stop();
  return {reregistUs: lives.map(life => life.reregistUs), reactionMs};
}
