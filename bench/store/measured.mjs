// A contender in a process of its own: its own heap, its own type feedback. It is asked for one slice at a time.
import {fork} from 'node:child_process';
import {once} from 'node:events';
import {fileURLToPath} from 'node:url';

/**
 * What a contender does: `operations` of them, going on where the last call stopped. The sum it returns depends on every
 * value read, so that nothing can be left out and contenders can be compared.
 * @typedef {(operations: number) => number} Pass
 */

/**
 * @typedef {object} Place where a contender works
 * @property {() => number} random the same numbers for every contender of a setting
 * @property {string} folder on a tmpfs; removed afterwards
 * @property {string} name of a store nobody else has
 * @property {(undo: () => unknown) => void} defer
 */

/** @typedef {{name: string, records: number, unit?: number} & Record<string, unknown>} Setting */

/**
 * @typedef {object} Goal
 * @property {string} text
 * @property {string} setting
 * @property {string} of the contender that is to reach it
 * @property {string} [beside] the contender it is measured by; without one the goal is in nanoseconds
 * @property {number} atMost
 */

/**
 * @typedef {object} TimedCase
 * @property {string} title
 * @property {string} unit
 * @property {string} baseline the contender that all are put in relation to
 * @property {(small: boolean) => Setting[]} settings
 * @property {Record<string, (setting: Setting, place: Place) => Pass | Promise<Pass>>} contenders
 * @property {(setting: Setting, contender: string) => boolean} [leftOut]
 * @property {readonly string[]} [bounds] contenders that do less than the work and are shown for that; their sums differ
 * @property {Goal[]} goals
 */

const worker = fileURLToPath(new URL('./worker.mjs', import.meta.url));

/**
 * @param {{caseName: string, setting: string, contender: string, seed: number, small: boolean, folder: string}} job
 */
export async function startContender(job) {
  const child = fork(worker, [JSON.stringify(job)], {execArgv: ['--expose-gc']});
  const exited = once(child, 'exit');
  /** @returns {Promise<any>} */
  const answer = async () => {
    const [message] = await Promise.race([
      once(child, 'message'),
      exited.then(([code, signal]) => {
        throw new Error(
          `${job.caseName}, ${job.setting}, ${job.contender}: its process ended (${signal ?? code})`,
        );
      }),
    ]);
    return message;
  };
  const {checksum} = await answer();
  return {
    checksum: /** @type {number} */ (checksum),
    /** Nanoseconds of processor time per operation of one slice. */
    async measure() {
      child.send('measure');
      return /** @type {number} */ ((await answer()).nanoseconds);
    },
    async end() {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}
