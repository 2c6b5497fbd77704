import {isatty} from 'node:tty';
import {type SuperviseOptions, supervise} from '@zlr/kernel-shim';
import {ServiceManager} from './systemd.js';

/** The name of a service that was given none; two of them at a time need names. */
export const DEFAULT_NAME = 'zlr';
export const DEFAULT_THRESHOLD = '60';
export const DEFAULT_PATIENCE = '60';

const ENDING_SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * Supervises a service until it ends, in good order when this process is asked to end.
 * Resolves with the exit code for this process.
 */
export async function superviseInForeground(
  options: Omit<SuperviseOptions, 'env' | 'listeners' | 'log'>,
): Promise<number> {
  // Before the service starts: a signal during its start must not end this process and leave the service behind.
  const asked = firstSignal();
  const manager = ServiceManager.fromEnvironment();
  const {listeners} = manager;
  const supervisor = await supervise({...options, listeners});
  manager.watch();
  supervisor.ready.then(() => manager.ready(`${options.name} is served, and followed when it faults`));
  if ((await Promise.race([supervisor.done, asked])) === 'asked') {
    manager.stopping();
    await supervisor.stop();
  }
  const {exitCode} = await supervisor.done;
  manager.end();
  return exitCode;
}

/** The handlers stay: a second Ctrl-C finds the service on its way out, and must not cut that short. */
function firstSignal(): Promise<'asked'> {
  return new Promise(resolve => {
    for (const signal of ENDING_SIGNALS) process.on(signal, () => resolve('asked'));
    // The terminal has gone: an end for who has one. nohup takes it away from standard input, output and error; that it also has the
    // signal ignored is undone by Node when it starts.
    const hasTerminal = [0, 1, 2].some(fd => isatty(fd));
    process.on('SIGHUP', () => hasTerminal && resolve('asked'));
  });
}
