import {show, table} from '../harness.mjs';

/** @typedef {import('../harness.mjs').Summary} Summary */
/** @typedef {{text: string, atMost: number, measured: number, met: boolean}} GoalResult */
/** @typedef {{name: string, values: number[], value: Summary, relative?: Summary, notes?: Record<string, number>}} ContenderResult */
/** @typedef {{setting: string, checksum: number | null, contenders: ContenderResult[], goals: GoalResult[]}} SettingResult */
/** @typedef {{name: string, title: string, unit: string, baseline: string, settings: SettingResult[]}} CaseResult */

/** @param {CaseResult[]} results */
export function describe(results) {
  return results.map(describeCase).join('\n\n');
}

/** @param {CaseResult} result */
function describeCase({name, title, unit, baseline, settings}) {
  const parts = settings.map(({setting, checksum, contenders, goals}) => {
    const notes = [...new Set(contenders.flatMap(each => Object.keys(each.notes ?? {})))];
    const rows = contenders.map(each => [
      each.name,
      show(each.value, digits(each.value.median)),
      each.relative ? show(each.relative, 2) : '',
      ...notes.map(note => number(each.notes?.[note])),
    ]);
    const reached = goals.map(
      goal => `${goal.met ? 'met   ' : 'missed'}  ${goal.text}: ${number(goal.measured)}`,
    );
    return [
      `${setting}${checksum === null ? '' : ` (checksum ${checksum})`}`,
      table(['', unit, `x ${baseline}`, ...notes], rows),
      ...reached,
    ].join('\n');
  });
  return [`## ${name}: ${title}`, ...parts].join('\n\n');
}

/** @param {number} value */
function digits(value) {
  return value < 10 ? 2 : value < 100 ? 1 : 0;
}

/** @param {number | undefined} value */
function number(value) {
  if (value === undefined) return '';
  return value.toLocaleString('en-US', {maximumSignificantDigits: value < 1000 ? 3 : 15});
}
