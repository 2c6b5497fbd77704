// The runner's own counts, carried out of its process while it runs: what it prints is for humans.
import {writeSync} from 'node:fs';

/** The variable that names the file descriptor the record is written to. */
export const RECORD_FD = 'ZLR_TEST_RECORD_FD';

/**
 * @typedef {object} Counts
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 */

/**
 * What of ava's run statistics counts.
 * @typedef {object} RunStats
 * @property {number} passedTests
 * @property {number} passedKnownFailingTests
 * @property {number} skippedTests
 * @property {number} failedTests
 * @property {number} failedHooks
 * @property {number} failedWorkers files whose process crashed or exited with an error
 * @property {number} internalErrors
 * @property {number} todoTests
 * @property {number} remainingTests
 * @property {Map<string, {declaredTests: number}>} byFile
 */

/**
 * @typedef {object} RunEvent
 * @property {string} type
 * @property {RunStats} [stats]
 * @property {string} [testFile]
 * @property {boolean} [forcedExit]
 */

/**
 * @param {RunStats} stats at the end of the run, or part-way
 * @param {boolean} ended
 * @param {number} filesWithoutTests that did not crash either: their tests got lost
 * @returns {Counts}
 */
function countStats(stats, ended, filesWithoutTests) {
  return {
    passed: stats.passedTests + stats.passedKnownFailingTests,
    skipped: stats.skippedTests,
    // A test that is only declared has not passed, nor has one that a crashed file never came to.
    failed:
      stats.failedTests +
      stats.todoTests +
      stats.failedHooks +
      stats.failedWorkers +
      stats.internalErrors +
      filesWithoutTests +
      (ended ? stats.remainingTests : 0),
  };
}

/**
 * ava calls this in its main process, with everything that happens in a run.
 * @param {{events: AsyncIterable<RunEvent>}} run
 */
export async function recordRun({events}) {
  const fd = Number(process.env[RECORD_FD]);
  /** @type {RunStats | undefined} */
  let stats;
  let filesWithoutTests = 0;
  for await (const event of events) {
    if (event.type === 'stats') stats = event.stats;
    if (event.type === 'worker-finished' && !event.forcedExit) {
      if (stats?.byFile.get(event.testFile ?? '')?.declaredTests === 0) filesWithoutTests++;
    }
    const ended = event.type === 'end';
    if (stats === undefined || !(ended || event.type === 'stats')) continue;
    writeSync(fd, `${JSON.stringify({counts: countStats(stats, ended, filesWithoutTests), ended})}\n`);
  }
}

/**
 * What the last line of a record says. A runner that ended without its last word, or with an error that no count
 * shows, has failed.
 * @param {string} record
 * @param {boolean} runnerSucceeded
 * @returns {Counts}
 */
export function readRecord(record, runnerSucceeded) {
  const last =
    record.trimEnd().split('\n').pop() || '{"counts":{"passed":0,"failed":0,"skipped":0},"ended":false}';
  const {counts, ended} = JSON.parse(last);
  const unseen = !ended || (!runnerSucceeded && counts.failed === 0);
  return {...counts, failed: counts.failed + (unseen ? 1 : 0)};
}

/**
 * The line that closes a run, in the form that machines read.
 * @param {Counts} counts
 */
export function countsLine({passed, failed, skipped}) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
