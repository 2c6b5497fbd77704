// Runs a timed case: for each setting all contenders at once, each in its process, one of them at work at a time.
import {interleave, ratio, summarize} from '../harness.mjs';
import {startContender} from './measured.mjs';

/** @typedef {import('../harness.mjs').Options} Options */
/** @typedef {import('./result.mjs').SettingResult} SettingResult */

/**
 * @param {string} caseName @param {import('./measured.mjs').TimedCase} bench @param {Options} options @param {string} folder
 * @returns {Promise<SettingResult[]>}
 */
export async function runTimed(caseName, bench, options, folder) {
  const results = [];
  for (const setting of bench.settings(options.small))
    results.push(await runSetting(caseName, bench, setting, options, folder));
  return results;
}

/**
 * @param {string} caseName @param {import('./measured.mjs').TimedCase} bench @param {import('./measured.mjs').Setting} setting
 * @param {Options} options @param {string} folder @returns {Promise<SettingResult>}
 */
async function runSetting(caseName, bench, setting, options, folder) {
  const {seed, small, signal} = options;
  const names = Object.keys(bench.contenders).filter(name => !bench.leftOut?.(setting, name));
  /** @type {Record<string, Awaited<ReturnType<typeof startContender>>>} */
  const running = {};
  try {
    const start = async (/** @type {string} */ contender) => {
      signal.throwIfAborted();
      running[contender] = await startContender({
        caseName,
        setting: setting.name,
        contender,
        seed,
        small,
        folder,
      });
    };
    // One after the other, since they warm up; when nothing is measured anyway, all at once.
    if (small) {
      const failed = (await Promise.allSettled(names.map(start))).find(each => each.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    } else for (const name of names) await start(name);
    const checksum = agreed(
      `${caseName}, ${setting.name}`,
      names.filter(name => !bench.bounds?.includes(name)).map(name => [name, running[name].checksum]),
    );
    const samples = await interleave(
      options,
      Object.fromEntries(names.map(name => [name, () => running[name].measure()])),
    );
    return {
      setting: setting.name,
      checksum,
      contenders: names.map(name => ({
        name,
        values: samples[name],
        value: summarize(samples[name]),
        relative: ratio(samples[name], samples[bench.baseline]),
      })),
      goals: bench.goals
        .filter(goal => goal.setting === setting.name)
        .map(({text, of, beside, atMost}) => {
          const measured = (
            beside === undefined ? summarize(samples[of]) : ratio(samples[of], samples[beside])
          ).median;
          return {text, atMost, measured, met: measured <= atMost};
        }),
    };
  } finally {
    await Promise.all(Object.values(running).map(each => each.end()));
  }
}

/** All contenders must have read the same. @param {string} where @param {(readonly [string, number])[]} sums */
export function agreed(where, sums) {
  const [[, first]] = sums;
  const others = sums.filter(([, sum]) => sum !== first);
  if (others.length > 0 || !Number.isFinite(first))
    throw new Error(`${where}: checksums differ: ${sums.map(pair => pair.join(' ')).join('; ')}`);
  return first;
}
