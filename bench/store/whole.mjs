// What cases share whose measurements are whole processes.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {fileURLToPath} from 'node:url';

/**
 * @typedef {object} WholeCase
 * @property {string} title
 * @property {string} unit
 * @property {string} baseline
 * @property {(options: WholeOptions, folder: string) => Promise<import('./result.mjs').SettingResult[]>} run
 */
/** @typedef {import('../harness.mjs').Options & {long: boolean}} WholeOptions */

/**
 * Runs a script of this folder to its end, or to its death when that is what is asked for.
 * @param {string} script @param {object} job @param {{dies?: boolean, signal?: AbortSignal}} [how]
 * @returns {Promise<any>} what it printed, as JSON
 */
export async function run(script, job, {dies = false, signal} = {}) {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, ['--expose-gc', path, JSON.stringify(job)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', text => {
    output += text;
  });
  const [code, killedBy] = await once(child, 'close');
  signal?.throwIfAborted();
  if (dies ? killedBy !== 'SIGKILL' : code !== 0)
    throw new Error(`${script} ${JSON.stringify(job)} ended with ${killedBy ?? code}`);
  return output === '' ? undefined : JSON.parse(output);
}
