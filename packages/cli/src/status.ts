import {type FaultRecord, fetchStatus, type Status} from '@zlr/kernel-shim';
import {type Command, parse} from './command.js';
import {chooseService} from './services.js';

export const status: Command = {
  name: 'status',
  usage: '[--name NAME] [--json]',
  summary: 'show the generation, the channels and the faults of a service',
  help: `  --name NAME  the service (may be left out while only one is running)
  --json       print one JSON object: name, supervisorPid, generation, pid, keepers, startedAt, channels, faultCount and
               faults, a list of the latest
               {generation, class, signal, exitCode, at, downMs, channels}; downMs is the time from the fault to the
               first recovered channel that was served, null while there is none`,

  async run(args) {
    const {values} = parse('status', {args, options: {name: {type: 'string'}, json: {type: 'boolean'}}});
    const found = await fetchStatus(await chooseService('status', values.name));
    console.log(values.json ? JSON.stringify(found) : describe(found));
    return 0;
  },
};

export function describe(found: Status): string {
  const supervisor = found.supervisorPid === null ? 'no supervisor' : `supervisor pid ${found.supervisorPid}`;
  const channels = found.channels === null ? 'channels unknown' : count(found.channels, 'channel');
  const lines = [
    `${found.name}: generation ${found.generation}, pid ${found.pid}, since ${found.startedAt}, ` +
      `${channels}, ${supervisor}, ${count(found.faults.length, 'fault')}`,
  ];
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
