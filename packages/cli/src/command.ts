import {type ParseArgsConfig, parseArgs} from 'node:util';
import {CliError} from './errors.js';

export interface Command {
  readonly name: string;
  /** The arguments, as the help shows them. */
  readonly usage: string;
  readonly summary: string;
  /** What --help says below the usage line. */
  readonly help: string;
  /** Resolves with the exit code of the process. */
  run(args: string[]): Promise<number>;
}

export function usageError(command: string, problem: string): CliError {
  return new CliError('USAGE', `${problem}; see zlr ${command} --help`);
}

/** parseArgs with its errors said our way. */
export function parse<T extends ParseArgsConfig>(
  command: string,
  config: T,
): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    if (!isParseError(error)) throw error;
    // Its further sentences explain conventions, and the line must stay one line.
    const [problem = error.message] = error.message.split(/\.\s/);
    throw usageError(command, problem);
  }
}

function isParseError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_');
}

/** A number above 0 of an option that may be left out. */
export function positive(command: string, option: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = value.trim() === '' ? Number.NaN : Number(value);
  if (Number.isFinite(number) && number > 0) return number;
  throw usageError(command, `--${option} takes a number above 0, not '${value}'`);
}

/** Of --port. */
export function portNumber(command: string, value: string): number {
  const port = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (!(port <= 65535)) throw usageError(command, `--port takes a number from 0 to 65535, not '${value}'`);
  return port;
}

/** Of --workers: how many processes serve. */
export function workerCount(command: string, value: string): number {
  const count = /^\d{1,4}$/.test(value) ? Number(value) : 0;
  if (count >= 1 && count <= 1024) return count;
  throw usageError(command, `--workers takes a number from 1 to 1024, not '${value}'`);
}

/** What --threshold, --patience and --probation take: seconds, as the thesis counts them. */
export function secondsToMs(
  command: string,
  option: 'threshold' | 'patience' | 'probation',
  value: string,
): number {
  const seconds = value.trim() === '' ? Number.NaN : Number(value);
  if (!Number.isFinite(seconds) || seconds < 0) {
    throw usageError(command, `--${option} takes a number of seconds, 0 or more, not '${value}'`);
  }
  return seconds * 1000;
}
