import {readFileSync} from 'node:fs';
import {parseEnv} from 'node:util';
import type {RunDir} from '../control/run-dir.js';
import {ShimError} from '../errors.js';
import type {SuperviseOptions} from './options.js';
import type {Plan} from './plan.js';

/** As systemd says it to whom it starts; the child puts its pid in the place of the ten digits. */
export function withListeners(envp: readonly string[], count: number): string[] {
  const others = envp.filter(variable => !/^LISTEN_(PID|FDS|FDNAMES)=/.test(variable));
  return count === 0 ? others : [...others, `LISTEN_FDS=${count}`, 'LISTEN_PID=0000000000'];
}

/** What is executed, with what in its environment. @throws ShimError ENV_FILE_UNREADABLE */
export function planOf(
  {command, env = process.env, envFile, wrap, childId = 0}: SuperviseOptions,
  dir: RunDir,
): Plan {
  const argv = wrap ? wrap(command) : command; // first: it may have something to say to the environment
  const variables = Object.entries({...readEnvFile(envFile), ...env}).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${value}`],
  );
  return {file: argv[0]!, argv, envp: [...variables, `ZLR_DOOR=${dir.door}`, `ZLR_CHILD_ID=${childId}`]};
}

function readEnvFile(path: string | undefined): NodeJS.Dict<string> {
  if (path === undefined) return {};
  try {
    return parseEnv(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new ShimError(
      'ENV_FILE_UNREADABLE',
      `the environment cannot be read: ${(error as Error).message}`,
      (error as NodeJS.ErrnoException).code,
    );
  }
}
