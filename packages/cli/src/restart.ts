import {type Restarted, type RestartSteps, requestRestart} from '@zlr/kernel-shim';
import {type Command, parse, secondsToMs, usageError} from './command.js';
import {chooseServices} from './services.js';

const DEFAULT_PROBATION = '5';

const STEPS: Record<keyof RestartSteps, string> = {
  start: 'started',
  load: 'loaded, while the old one served',
  finish: 'old one finished and ended',
  adopt: 'channels taken over',
  ready: 'ready',
};

function describe(name: string, {generation, pid, channels, tookMs, steps}: Restarted): string {
  const lines = (Object.keys(STEPS) as (keyof RestartSteps)[]).flatMap(step =>
    steps[step] === undefined ? [] : [`  ${`${steps[step]}`.padStart(6)} ms  ${STEPS[step]}`],
  );
  const first = `${name}: generation ${generation} (pid ${pid}) goes on with ${channels} channels, after ${tookMs} ms`;
  return [first, ...lines].join('\n');
}

export const restart: Command = {
  name: 'restart',
  usage: '[--name NAME] [--probation SECONDS] [-- COMMAND [ARGUMENT...]]',
  summary: 'put a fresh generation, or a new program, in the place of the old one; nothing is lost',
  help: `The next generation is started beside the old one, and waits when it has loaded what it needs. Then the old one finishes what cannot be done
again, ends, and the new one takes over as behind a fault: connections, held input, half-sent answers and state. If it does not come to wait, the
old one has gone on meanwhile; if it faults in its probation, the former program comes back. Workers are restarted one after the other, and the
first that is not ends it. Returns with what came of it, and what each step took. SIGHUP to a supervisor without a terminal does the same.

  --name NAME          the service with all of its workers, or one of those (NAME.1); may be left out while only one is running
  --probation SECONDS  a fault so soon, and the former program comes back (default ${DEFAULT_PROBATION})
  COMMAND              what is started from now on, in the folder of the old one (default: as before, as it is on disk now). A program that
                       was overwritten in its place can only come back as the one that stands by (zlr run --standby): put a new one beside it`,

  async run(args) {
    const end = args.indexOf('--');
    const command = end === -1 ? undefined : args.slice(end + 1);
    const {values} = parse('restart', {
      args: end === -1 ? args : args.slice(0, end),
      options: {name: {type: 'string'}, probation: {type: 'string', default: DEFAULT_PROBATION}},
    });
    if (command?.length === 0) throw usageError('restart', 'no command was given after --');
    const probationMs = secondsToMs('restart', 'probation', values.probation);
    const options = {probationMs, ...(command && {command})};
    // One that fails ends it here: its former program goes on, and so do the workers behind it with theirs.
    for (const name of await chooseServices('restart', values.name))
      console.log(describe(name, await requestRestart(name, options)));
    return 0;
  },
};
