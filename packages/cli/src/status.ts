import {type FaultRecord, fetchStatus, type Status} from '@zlr/kernel-shim';
import {readStore, StoreError} from '@zlr/state-store';
import {type Command, parse} from './command.js';
import {exchangesOf} from './kept-http.js';
import {chooseServices} from './services.js';
import {count, duration, megabytes, since} from './words.js';

export const status: Command = {
  name: 'status',
  usage: '[--name NAME] [--json]',
  summary: 'show how a service is: its generation, channels, memory and faults',
  help: `  --name NAME  the service with all of its workers, or one of those (NAME.1); may be left out while only one is running
  --json       print one JSON object a line: name, supervisorPid, generation, pid, keepers, startedAt, standby {generation, pid, isReady},
               health {rssBytes, heapBytes, delayMs}, channels, faultCount and faults, a list of the latest
               {generation, class, signal, exitCode, at, downMs, channels, uptimeMs, rssBytes, heapBytes}; downMs is the time from the fault to the
               first recovered channel that was served, null while there is none; and of a service under zlr run --http
               also http, {runAgain, resumed, refused, poison, reset}: what became of requests and connections at its faults`,

  async run(args) {
    const {values} = parse('status', {args, options: {name: {type: 'string'}, json: {type: 'boolean'}}});
    for (const name of await chooseServices('status', values.name)) {
      const found = await fetchStatus(name);
      const http = await readExchanges(name);
      console.log(values.json ? JSON.stringify({...found, ...(http && {http})}) : describe(found, http));
    }
    return 0;
  },
};

/** What became of requests and connections at the faults of a service under `zlr run --http`. */
interface Exchanges {
  runAgain: number;
  resumed: number;
  refused: number;
  poison: number;
  reset: number;
}

async function readExchanges(service: string): Promise<Exchanges | undefined> {
  try {
    using store = await readStore({name: exchangesOf(service)});
    const {runAgain, resumed, refused, poison, reset} = store.root as unknown as Exchanges;
    return {runAgain, resumed, refused, poison, reset};
  } catch (error) {
    if (error instanceof StoreError && (error.code === 'ERR_NOT_FOUND' || error.code === 'ERR_BACKEND'))
      return undefined;
    throw error;
  }
}

/** The latest faults are told one by one. */
const TOLD = 5;

function describe(found: Status, http?: Exchanges): string {
  const {name, generation, pid, startedAt, channels, health, standby, supervisorPid, faults, faultCount} =
    found;
  const open = channels === null ? 'channels unknown' : `${count(channels, 'channel')} open`;
  const lines = [`${name}: generation ${generation} (pid ${pid}) for ${since(startedAt)}, ${open}`];
  if (health) {
    const {rssBytes, heapBytes, delayMs} = health;
    lines.push(
      `  ${megabytes(rssBytes)} of memory (${megabytes(heapBytes)} heap), event loop ${delayMs} ms late`,
    );
  }
  if (standby) {
    const how = standby.isReady ? 'stands by' : 'is on its way to stand by';
    lines.push(`  generation ${standby.generation} (pid ${standby.pid}) ${how}`);
  }
  lines.push(
    supervisorPid === null
      ? '  no supervisor: it has died, and the service goes on; start it once more as before, and it is adopted'
      : `  supervisor pid ${supervisorPid}`,
  );
  if (http) {
    lines.push(
      `  HTTP: ${count(http.runAgain, 'request')} run again, ${count(http.resumed, 'answer')} resumed, ` +
        `${http.refused} refused, ${http.poison} set aside, ${count(http.reset, 'connection')} reset`,
    );
  }
  lines.push(
    faultCount === 0 ? '  no takeover yet' : `  ${count(faultCount, 'takeover')}, the latest first:`,
  );
  for (const fault of faults.slice(-TOLD).reverse()) lines.push(`    ${describeFault(fault)}`);
  return lines.join('\n');
}

/** What ended a generation, in a word or two. */
export function reasonOf(fault: FaultRecord): string {
  if (fault.class === 'signal') return fault.signal ?? 'a signal';
  if (fault.class === 'exit') return `exit code ${fault.exitCode}`;
  return {hang: 'hang', aging: 'age', oom: 'out of memory', restart: 'restart'}[fault.class];
}

function describeFault(fault: FaultRecord): string {
  const {at, generation, uptimeMs, channels, downMs} = fault;
  const down = downMs === null ? 'nothing served again yet' : `served again after ${downMs} ms`;
  const when = `${since(at)} ago`;
  return `${when}: ${reasonOf(fault)} of generation ${generation} after ${duration(uptimeMs)}; ${count(channels, 'channel')} handed over, ${down}`;
}
