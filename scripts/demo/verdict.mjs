// What must hold for the demo to succeed, and the table that shows it.

/** @typedef {import('./scenarios.mjs').Result} Result */

/**
 * @param {Result} result
 * @param {string} sha256 of the file
 * @returns {string[]} what did not hold, empty if all did
 */
export function shortcomings({scenario, generationBefore, generationAfter, newFaults, download}, sha256) {
  const found = [];
  if (download.sha256 !== sha256) found.push('what the client received is not the file');
  if (generationAfter !== generationBefore + 1) {
    found.push(`generation ${generationAfter} came after ${generationBefore}`);
  }
  const [fault, ...more] = newFaults;
  if (fault === undefined || more.length > 0) {
    found.push(`${newFaults.length} faults were recorded instead of 1`);
    return found;
  }
  const {expected} = scenario;
  if (
    fault.class !== expected.class ||
    fault.signal !== expected.signal ||
    fault.exitCode !== expected.exitCode
  ) {
    found.push(`the fault was classified as ${describe(fault)} instead of ${describe(expected)}`);
  }
  if (fault.channels < 2) found.push('the listening socket and the connection were not both handed over');
  if (fault.downMs === null) found.push('no recovered channel was served again');
  return found;
}

/** @param {Pick<import('./scenarios.mjs').FaultRecord, 'class' | 'signal' | 'exitCode'>} fault */
const describe = fault => `${fault.class} ${fault.signal ?? fault.exitCode}`;

const bytes = (/** @type {number} */ number) => number.toLocaleString('en-US');
const ms = (/** @type {number} */ number) => `${Math.round(number)} ms`;

/**
 * @param {readonly Result[]} results
 * @param {string} sha256 of the file
 * @returns {string}
 */
export function table(results, sha256) {
  const rows = results.map(
    ({scenario, generationBefore, generationAfter, newFaults, download, bytesBefore, gap}) => {
      const fault = newFaults.at(-1);
      return [
        scenario.title,
        fault === undefined ? 'none' : describe(fault),
        `${generationBefore} -> ${generationAfter}`,
        `${fault?.channels ?? 0}`,
        bytes(bytesBefore),
        bytes(download.bytes - bytesBefore),
        ms(gap.toMs - gap.fromMs),
        fault?.downMs == null ? 'never' : ms(fault.downMs),
        download.sha256 === sha256 ? 'equal' : 'DIFFERENT',
      ];
    },
  );
  const head = [
    ['', '', '', 'channels', 'bytes', 'bytes', 'longest', 'served', ''],
    [
      'fault',
      'classified as',
      'generation',
      'handed over',
      'before',
      'after',
      'gap',
      'again after',
      'sha256',
    ],
  ];
  const widths =
    head[0]?.map((_, column) => Math.max(...[...head, ...rows].map(row => row[column]?.length ?? 0))) ?? [];
  const line = (/** @type {string[]} */ row) =>
    row
      .map((cell, column) => {
        const isText = column < 3 || column === row.length - 1;
        return isText ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
      })
      .join('  ')
      .trimEnd();
  const rule = '-'.repeat(widths.reduce((sum, width) => sum + width + 2, -2));
  return [...head.map(line), rule, ...rows.map(line)].join('\n');
}
