// What all benches share: options, interleaved rounds, medians, the machine, a table or one JSON object.
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {cpus, release, tmpdir} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';

/**
 * @typedef {object} Options
 * @property {boolean} json
 * @property {boolean} small as few repetitions as show that the bench works; its figures mean nothing
 * @property {number} rounds
 * @property {number} seed of the order in which a round takes its contenders
 * @property {AbortSignal} signal aborted when the bench is to end early
 */

/** @typedef {{median: number, min: number, max: number}} Summary */

/**
 * The command line of every bench. Ctrl-C ends a bench in good order: what it started must not stay.
 * @param {{rounds: number}} defaults
 * @returns {Options}
 */
export function readOptions({rounds}) {
  const {values} = parseArgs({
    options: {
      json: {type: 'boolean', default: false},
      small: {type: 'boolean', default: false},
      rounds: {type: 'string'},
      seed: {type: 'string', default: '1'},
    },
  });
  const interrupt = new AbortController();
  for (const name of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(name, () => interrupt.abort(new Error(`interrupted by ${name}`)));
  }
  return {
    json: values.json,
    small: values.small,
    rounds: positive('--rounds', values.rounds ?? String(values.small ? 1 : rounds)),
    seed: positive('--seed', values.seed),
    signal: interrupt.signal,
  };
}

/** @param {string} option @param {string} value */
function positive(option, value) {
  if (!/^[1-9]\d{0,8}$/.test(value))
    throw new Error(`${option} takes a whole number above 0, not '${value}'`);
  return Number(value);
}

/**
 * Measures every contender once a round, in an order drawn anew for each: what else the machine does then meets all
 * of them alike, and none always follows the same other.
 * @template T
 * @param {Options} options
 * @param {Record<string, (round: number) => T | Promise<T>>} contenders
 * @returns {Promise<Record<string, T[]>>} a sample for each round
 */
export async function interleave({rounds, seed, signal}, contenders) {
  const next = random(seed);
  const names = Object.keys(contenders);
  /** @type {Record<string, T[]>} */
  const samples = Object.fromEntries(names.map(name => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (let end = names.length; end > 1; end--) {
      const pick = Math.floor(next() * end);
      [names[pick], names[end - 1]] = [names[end - 1] ?? '', names[pick] ?? ''];
    }
    for (const name of names) {
      signal.throwIfAborted();
      const sample = await contenders[name]?.(round);
      samples[name]?.push(/** @type {T} */ (sample));
    }
  }
  return samples;
}

/** mulberry32; @param {number} seed */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = state;
    word = Math.imul(word ^ (word >>> 15), word | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @param {readonly number[]} values @returns {Summary} */
export function summarize(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const at = (/** @type {number} */ index) => sorted[index] ?? Number.NaN;
  const median = (at(Math.ceil(middle) - 1) + at(Math.floor(middle))) / 2;
  return {median, min: at(0), max: at(sorted.length - 1)};
}

/**
 * How a contender stands to its baseline: the summary of each round's own ratio, in which what the machine did during
 * that round cancels out.
 * @param {readonly number[]} values
 * @param {readonly number[]} baseline
 */
export function ratio(values, baseline) {
  return summarize(values.map((value, round) => value / (baseline[round] ?? Number.NaN)));
}

export function machine() {
  const [cpu] = cpus();
  return {
    cpu: cpu?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryMB: Math.round(Number(/MemTotal:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) / 1024),
    kernel: release(),
    node: process.version,
    date: new Date().toISOString().slice(0, 10),
  };
}

/**
 * A folder for a bench's files, and the steps that undo what it did, last first, however it ends.
 * @template T
 * @param {(scratch: {folder: string, defer: (undo: () => unknown) => void}) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withScratch(work) {
  const folder = mkdtempSync(join(tmpdir(), 'zlr-bench-'));
  /** @type {(() => unknown)[]} */
  const undo = [() => rmSync(folder, {recursive: true, force: true})];
  const undoAll = async () => {
    const failures = [];
    for (const step of undo.reverse()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    return failures;
  };
  /** @type {T} */
  let result;
  try {
    result = await work({folder, defer: step => undo.push(step)});
  } catch (error) {
    for (const failure of await undoAll()) console.error(failure);
    throw error;
  }
  const failures = await undoAll();
  if (failures.length > 0) throw new AggregateError(failures, failures.join('; '));
  return result;
}

/**
 * @param {Options} options
 * @param {string} bench
 * @param {object} results
 * @param {() => string} describe the results for humans
 */
export function report({json, rounds, seed, small}, bench, results, describe) {
  const about = machine();
  if (json) {
    console.log(JSON.stringify({bench, machine: about, rounds, seed, small, ...results}));
    return;
  }
  console.log(
    `${bench}: ${about.cpu}, ${about.cores} cores, Linux ${about.kernel}, Node ${about.node}, ${about.date}; ` +
      `medians of ${rounds} interleaved rounds (min..max), seed ${seed}\n\n${describe()}`,
  );
}

/**
 * @param {readonly string[]} head
 * @param {readonly (readonly string[])[]} rows the first column is text, the others numbers
 */
export function table(head, rows) {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map(row => row[column]?.length ?? 0)));
  const lines = all.map(row =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
  lines.splice(1, 0, '-'.repeat(widths.reduce((sum, width) => sum + width + 2, -2)));
  return lines.join('\n');
}

/** 1.07 (0.98..1.21) @param {Summary} summary @param {number} digits */
export function show({median, min, max}, digits) {
  const text = (/** @type {number} */ value) =>
    value.toLocaleString('en-US', {minimumFractionDigits: digits, maximumFractionDigits: digits});
  return `${text(median)} (${text(min)}..${text(max)})`;
}
