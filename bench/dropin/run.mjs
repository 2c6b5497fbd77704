/**
 * CPU time a request of an unchanged node:http program under `zlr run --http`, beside the same program alone.
 *
 * All of them run at once, on one core, under the same load from the other: what the machine does meanwhile meets all alike. The
 * same program a second time is the control: how far two of a kind lie apart.
 *
 *   npm run bench -- dropin [--json] [--rounds N]
 */
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {interleave, ratio, readOptions, report, show, summarize, table, withScratch} from '../harness.mjs';
import {generator, load} from '../serve/load.mjs';
import {cpuMs, Servers} from '../servers.mjs';

/** @typedef {{cpuUs: number, errors: number}} Sample */

const ANSWERS = {'12 B': '/12', '1 KB JSON': '/json', '10 KiB': '/10240', '1 MiB': '/1048576'};
const KINDS = ['plain', 'plain again', 'kept'];
const WARM_UP_SECONDS = 1;

const options = readOptions({rounds: 9});
const seconds = options.small ? 1 : 2;
const app = fileURLToPath(new URL('app.mjs', import.meta.url));

/** @typedef {Record<string, Record<string, Sample>>} Round by answer and kind */

/** @type {Round[]} */
const rounds = await withScratch(async ({folder, defer}) => {
  const {launches = []} = await interleave(options, {
    // New processes each time: two launches of the very same program lie up to 4 % apart, for as long as they live.
    launches: async () => {
      const servers = new Servers(join(folder, 'run'), options.signal);
      const stop = once(() => servers.stopAll());
      defer(stop);
      /** @type {Record<string, import('../servers.mjs').Server>} */
      const byKind = {};
      for (const kind of KINDS)
        byKind[kind] = await (kind === 'kept' ? servers.kept(app) : servers.start(servers.name(), [app]));

      /** All at once. @param {string} path @param {number} time @returns {Promise<Record<string, Sample>>} */
      async function measure(path, time) {
        const samples = KINDS.map(async kind => {
          const {port, pid} = /** @type {import('../servers.mjs').Server} */ (byKind[kind]);
          const before = cpuMs(pid);
          const url = `http://127.0.0.1:${port}${path}`;
          const {requests, errors} = await load(url, time, options.signal);
          return [kind, {cpuUs: ((cpuMs(pid) - before) * 1000) / requests, errors}];
        });
        return Object.fromEntries(await Promise.all(samples));
      }
      /** @type {Round} */
      const round = {};
      for (const [answer, path] of Object.entries(ANSWERS)) {
        if (!options.small) await measure(path, WARM_UP_SECONDS);
        round[answer] = await measure(path, seconds);
      }
      await stop();
      return round;
    },
  });
  return launches;
});

/** @param {() => Promise<void>} work */
function once(work) {
  /** @type {Promise<void> | undefined} */
  let done;
  return () => (done ??= work());
}

const results = Object.keys(ANSWERS).map(answer => {
  const of = (/** @type {string} */ kind) => rounds.map(round => round[answer]?.[kind]?.cpuUs ?? Number.NaN);
  return {
    answer,
    plainUs: summarize(of('plain')),
    keptUs: summarize(of('kept')),
    control: ratio(of('plain again'), of('plain')),
    kept: ratio(of('kept'), of('plain')),
    errors: rounds
      .flatMap(round => Object.values(round[answer] ?? {}))
      .reduce((sum, {errors}) => sum + errors, 0),
  };
});

report(options, 'dropin', {generator, results}, () =>
  table(
    ['CPU a request', 'plain, us', 'kept, us', 'kept / plain', 'plain / plain', 'errors'],
    results.map(each => [
      each.answer,
      show(each.plainUs, 1),
      show(each.keptUs, 1),
      show(each.kept, 3),
      show(each.control, 3),
      String(each.errors),
    ]),
  ),
);
