import {type FaultRecord, fetchStatus, type Status} from '@zlr/kernel-shim';
import {readStore, StoreError} from '@zlr/state-store';
import {type Command, parse} from './command.js';
import {exchangesOf} from './kept-http.js';
import {chooseService} from './services.js';

export const status: Command = {
  name: 'status',
  usage: '[--name NAME] [--json]',
  summary: 'show the generation, the channels and the faults of a service',
  help: `  --name NAME  the service (may be left out while only one is running)
  --json       print one JSON object: name, supervisorPid, generation, pid, keepers, startedAt, channels, faultCount and
               faults, a list of the latest
               {generation, class, signal, exitCode, at, downMs, channels, uptimeMs, rssBytes, heapBytes}; downMs is the time from the fault to the
               first recovered channel that was served, null while there is none; and of a service under zlr run --http
               also http, {runAgain, resumed, refused, reset}: what became of requests and connections at its faults`,

  async run(args) {
    const {values} = parse('status', {args, options: {name: {type: 'string'}, json: {type: 'boolean'}}});
    const found = await fetchStatus(await chooseService('status', values.name));
    const http = await readExchanges(found.name);
    console.log(values.json ? JSON.stringify({...found, ...(http && {http})}) : describe(found, http));
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

export function describe(found: Status, http?: Exchanges): string {
  const supervisor = found.supervisorPid === null ? 'no supervisor' : `supervisor pid ${found.supervisorPid}`;
  const channels = found.channels === null ? 'channels unknown' : count(found.channels, 'channel');
  const lines = [
    `${found.name}: generation ${found.generation}, pid ${found.pid}, since ${found.startedAt}, ` +
      `${channels}, ${supervisor}, ${count(found.faults.length, 'fault')}`,
  ];
  if (http) {
    lines.push(
      `  HTTP: ${count(http.runAgain, 'request')} run again, ${count(http.resumed, 'answer')} resumed, ` +
        `${http.refused} refused, ${http.poison} set aside, ${count(http.reset, 'connection')} reset`,
    );
  }
  for (const fault of found.faults) lines.push(`  ${describeFault(fault)}`);
  return lines.join('\n');
}

function describeFault(fault: FaultRecord): string {
  const how = fault.signal ?? (fault.exitCode === null ? '' : `code ${fault.exitCode}`);
  const down = fault.downMs === null ? 'nothing served again yet' : `served again after ${fault.downMs} ms`;
  const what = [fault.class, how].filter(Boolean).join(' ');
  return `${fault.at}  generation ${fault.generation}  ${what}  ${count(fault.channels, 'channel')} handed over, ${down}`;
}

const count = (number: number, what: string) => `${number} ${what}${number === 1 ? '' : 's'}`;
