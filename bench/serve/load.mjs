// Load on one server for a fixed time, by wrk where it is installed, else by a generator of our own.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {accessSync, constants} from 'node:fs';
import {delimiter, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {ALONE, LOAD_CORE, onCore} from '../servers.mjs';

/**
 * @typedef {object} Load
 * @property {number} perSecond requests answered
 * @property {number} requests
 * @property {number} meanMs response time
 * @property {number} p99Ms
 * @property {number} errors of any kind: refused, cut, never answered, another status than 2xx
 */

const CONNECTIONS = 64;
/** Late is not lost: an answer after a cold restart on a busy machine is no error. */
const PATIENCE = '15s';
/** What a load process may take beyond its time. */
const GRACE_MS = 20_000;

function findWrk() {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, 'wrk');
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not there
    }
  }
  return undefined;
}

const wrk = findWrk();

/** Who makes the load: figures of one are not to be compared with the other's. */
export const generator = wrk === undefined ? 'built-in' : 'wrk';

/**
 * @param {string} url
 * @param {number} seconds a whole number
 * @param {AbortSignal} signal
 * @returns {Promise<Load>}
 */
export async function load(url, seconds, signal) {
  const script = (/** @type {string} */ file) => fileURLToPath(new URL(file, import.meta.url));
  const command =
    wrk === undefined
      ? [process.execPath, script('generator.mjs'), url, String(CONNECTIONS), String(seconds)]
      : [
          wrk,
          '-t1',
          `-c${CONNECTIONS}`,
          `-d${seconds}s`,
          '--timeout',
          PATIENCE,
          '-s',
          script('report.lua'),
          url,
        ];
  const [file, ...args] = onCore(LOAD_CORE, command);
  const child = spawn(file, args, {
    ...ALONE,
    stdio: ['ignore', 'pipe', 'inherit'],
    signal: AbortSignal.any([signal, AbortSignal.timeout(seconds * 1000 + GRACE_MS)]),
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', text => {
    said += text;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`the load generator ended with ${code}: ${said}`);
  const {requests, us, errors, meanUs, p99Us} = JSON.parse(said.trimEnd().split('\n').at(-1) ?? '');
  if (requests === 0) throw new Error(`${url} answered no request in ${seconds} s: ${said}`);
  return {requests, perSecond: (requests * 1e6) / us, meanMs: meanUs / 1000, p99Ms: p99Us / 1000, errors};
}
