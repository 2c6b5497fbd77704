import {resolve} from 'node:path';
import type {Aging} from '@zlr/kernel-shim';
import {type Command, parse, positive, secondsToMs, usageError, workerCount} from './command.js';
import {DEFAULT_NAME, DEFAULT_PATIENCE, DEFAULT_THRESHOLD, superviseInForeground} from './foreground.js';
import {ATTEMPTS_DEFAULT, keepHttp, keepPorts, RERUN_DEFAULT} from './kept-http.js';

/** The limits of age, what of it each is, and how much of that its option counts in. */
const LIMITS = {
  'max-rss': ['rssBytes', 1e6],
  'max-heap': ['heapBytes', 1e6],
  'max-files': ['descriptors', 1],
  'max-delay': ['delayMs', 1],
  'max-growth': ['rssBytesPerHour', 1e6],
} as const satisfies Record<string, readonly [keyof Aging, number]>;

function agingOf(values: {readonly [name in keyof typeof LIMITS]?: string | undefined}): Aging {
  const aging: Aging = {};
  for (const name of Object.keys(LIMITS) as (keyof typeof LIMITS)[]) {
    const [key, unit] = LIMITS[name];
    const limit = positive('run', name, values[name]);
    if (limit !== undefined) aging[key] = limit * unit;
  }
  return aging;
}

export const run: Command = {
  name: 'run',
  usage:
    '[--name NAME] [--threshold SECONDS] [--patience SECONDS] [--hang SECONDS] [--max-rss MB] [--max-heap MB] [--max-files N] [--max-delay MS] [--max-growth MB] [--workers N] [--standby] [--env-file FILE] [--keep-ports | --http [--rerun WHICH] [--attempts N]] -- COMMAND [ARGUMENT...]',
  summary: 'run any service under a supervisor',
  help: `Starts COMMAND and starts it again, with the same arguments, environment, folder and channels, when it faults.
Its standard input, output and error are this terminal's.

  --name NAME          the service's name for status and stop (default ${DEFAULT_NAME})
  --threshold SECONDS  a fault sooner than this after the last restart counts as a software bug, and too many
                       of them in a row end the service (default ${DEFAULT_THRESHOLD}; 0: every fault is transient)
  --hang SECONDS       a service whose event loop does not turn for so long is killed and started again (default: it may)
  --max-rss MB         a service that has more resident memory is followed by a fresh one, before it fails, but not
                       sooner after its start than the threshold; so with
  --max-heap MB          V8's heap
  --max-files N          open descriptors
  --max-delay MS         the time by which its event loop is late
  --max-growth MB        what its resident memory grows by in an hour, after the first half of one
  --patience SECONDS   for so long it is tried again when a next generation does not come up (default ${DEFAULT_PATIENCE})
  --workers N          so many processes, NAME.1 to NAME.N, each restarted for itself, that listen at the same ports; the kernel deals the
                       connections out. With --http or --keep-ports, or servers of @zlr/hread and @zlr/http; each has a state of its own
  --standby            the next generation is started in advance, does all that comes before opening its state or its port, and waits there:
                       at a fault it goes on at once. It takes the memory of another process
  --env-file FILE      NAME=value lines for the environment of COMMAND, read again by zlr restart; what is set already goes before
  --keep-ports         COMMAND is node with any program: its listening TCP sockets outlive it, and nobody is refused while the next
                       generation boots. Its connections end with it
  --http               COMMAND is node with a program whose HTTP servers keep their connections, and the requests
                       that are not answered, beyond a fault: nothing of the program is changed
  --rerun WHICH        the requests that are run again after a fault: idempotent (GET, HEAD, PUT, DELETE, OPTIONS, and
                       those with an Idempotency-Key), or all (default ${RERUN_DEFAULT}); the others are answered 503
  --attempts N         how often one request is run again (default ${ATTEMPTS_DEFAULT}), the last time with no other beside it: if that ends the
                       process, the request is answered 500 and set aside (zlr capsules)`,

  async run(args) {
    // What stands behind -- is the service's business: no option of it is ours to read.
    const end = args.indexOf('--');
    const own = end === -1 ? args : args.slice(0, end);
    const command = end === -1 ? [] : args.slice(end + 1);
    const {values, positionals} = parse('run', {
      args: own,
      allowPositionals: true,
      options: {
        name: {type: 'string', default: DEFAULT_NAME},
        threshold: {type: 'string', default: DEFAULT_THRESHOLD},
        hang: {type: 'string'},
        'max-rss': {type: 'string'},
        'max-heap': {type: 'string'},
        'max-files': {type: 'string'},
        'max-delay': {type: 'string'},
        'max-growth': {type: 'string'},
        patience: {type: 'string', default: DEFAULT_PATIENCE},
        workers: {type: 'string', default: '1'},
        standby: {type: 'boolean', default: false},
        'env-file': {type: 'string'},
        'keep-ports': {type: 'boolean', default: false},
        http: {type: 'boolean', default: false},
        rerun: {type: 'string', default: RERUN_DEFAULT},
        attempts: {type: 'string', default: ATTEMPTS_DEFAULT},
      },
    });
    if (positionals.length > 0) {
      throw usageError(
        'run',
        `put -- before the command: zlr run -- ${[...positionals, ...command].join(' ')}`,
      );
    }
    if (command.length === 0) throw usageError('run', 'no command was given after --');
    if (values.http && values['keep-ports'])
      throw usageError('run', '--http keeps the ports, too: leave --keep-ports out');
    const hang = positive('run', 'hang', values.hang);
    const workers = workerCount('run', values.workers);
    const options = {
      name: values.name,
      command,
      wrap: values.http
        ? (command: readonly string[]) => keepHttp(command, values)
        : values['keep-ports']
          ? keepPorts
          : (command: readonly string[]) => command,
      standby: values.standby,
      ...(values['env-file'] !== undefined && {envFile: resolve(values['env-file'])}),
      thresholdMs: secondsToMs('run', 'threshold', values.threshold),
      patienceMs: secondsToMs('run', 'patience', values.patience),
      ...(hang !== undefined && {hangMs: hang * 1000}),
      aging: agingOf(values),
    };
    return superviseInForeground(options, workers);
  },
};
