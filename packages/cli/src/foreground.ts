import {isatty} from 'node:tty';
import {type SuperviseOptions, type Supervisor, supervise} from '@zlr/kernel-shim';
import {say} from '@zlr/kernel-shim/internal';
import {workerName} from './services.js';
import {ServiceManager} from './systemd.js';

/** The name of a service that was given none; two of them at a time need names. */
export const DEFAULT_NAME = 'zlr';
export const DEFAULT_THRESHOLD = '60';
export const DEFAULT_PATIENCE = '60';

const ENDING_SIGNALS = ['SIGINT', 'SIGTERM'] as const;

type Options = Omit<SuperviseOptions, 'env' | 'listeners' | 'log' | 'childId'>;

/**
 * Supervises a service, or so many workers of it, until it ends, in good order when this process is asked to end.
 * Resolves with the exit code for this process.
 */
export async function superviseInForeground(options: Options, workers: number): Promise<number> {
  // Before the service starts: a signal during its start must not end this process and leave the service behind.
  const hasTerminal = [0, 1, 2].some(fd => isatty(fd)); // asked now: when it has gone, it is none
  const asked = firstSignal(hasTerminal);
  const manager = ServiceManager.fromEnvironment();
  const {listeners} = manager;
  const supervisors = await (workers === 1
    ? supervise({...options, listeners}).then(only => [only])
    : superviseWorkers({...options, listeners}, workers));
  manager.watch();
  Promise.all(supervisors.map(({ready}) => ready)).then(() =>
    manager.ready(`${options.name} is served, and followed when it faults`),
  );
  if (!hasTerminal) restartOnHangUp(supervisors);
  const ends = Promise.all(supervisors.map(({done}) => done));
  if ((await Promise.race([ends, asked])) === 'asked') {
    manager.stopping();
    await Promise.all(supervisors.map(each => each.stop()));
  }
  const exitCodes = (await ends).map(({exitCode}) => exitCode);
  manager.end();
  return Math.max(...exitCodes);
}

/** Each is restarted, and given up, for itself. */
async function superviseWorkers(options: SuperviseOptions, workers: number): Promise<Supervisor[]> {
  process.setMaxListeners(process.getMaxListeners() + workers); // each hears of ended children
  const started: Supervisor[] = [];
  try {
    for (let childId = 1; childId <= workers; childId++) {
      const name = workerName(options.name, childId);
      started.push(await supervise({...options, name, childId}));
    }
    return started;
  } catch (error) {
    await Promise.all(started.map(each => each.stop()));
    throw error;
  }
}

/**
 * The handlers stay: a second Ctrl-C finds the service on its way out, and must not cut that short. nohup takes the terminal away from standard
 * input, output and error; that it also has SIGHUP ignored is undone by Node when it starts.
 */
function firstSignal(hasTerminal: boolean): Promise<'asked'> {
  return new Promise(resolve => {
    for (const signal of ENDING_SIGNALS) process.on(signal, () => resolve('asked'));
    process.on('SIGHUP', () => hasTerminal && resolve('asked')); // it has gone: an end for who has one
  });
}

/** For who has no terminal it says, by an old custom, that what is on disk is new: one after the other takes it over. */
function restartOnHangUp(supervisors: readonly Supervisor[]): void {
  let last = Promise.resolve();
  const restartAll = async (): Promise<void> => {
    try {
      for (const each of supervisors) await each.restart();
    } catch (error) {
      say((error as Error).message); // the former program goes on
    }
  };
  process.on('SIGHUP', () => {
    last = last.then(restartAll);
  });
}
