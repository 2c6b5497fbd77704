import {lockName, makeRunDir, type RunDir, runDir} from '../control/run-dir.js';
import {assertFits, ShimError} from '../errors.js';
import {OPTIONS, type SuperviseOptions, type Supervisor} from './options.js';
import {planOf} from './plan-of.js';
import {ProcessSupervisor} from './supervisor.js';

/**
 * Starts a command under a supervisor in this process. A service of that name that has lost its supervisor is adopted instead, with its
 * history, and the command is what its next generation is started as.
 *
 * @throws ShimError OPTION_INVALID, NAME_INVALID, NAME_IN_USE, RUN_DIR_UNSAFE, COMMAND_EMPTY, ENV_FILE_UNREADABLE, SPAWN_FAILED
 */
export async function supervise(options: SuperviseOptions): Promise<Supervisor> {
  assertFits('supervise', options, OPTIONS);
  if (options.command.length === 0) {
    throw new ShimError(
      'COMMAND_EMPTY',
      'there is no command to supervise; expected a program and its arguments',
    );
  }
  const dir = runDir(options.name);
  const plan = planOf(options, dir); // before the name: what is refused leaves nothing behind
  const unlock = takeName(dir);
  const supervisor = new ProcessSupervisor(options, plan, dir, unlock);
  await supervisor.start();
  return supervisor;
}

/** A folder that cannot be made costs the service no more than being found; one that is another's, or in use, is refused. */
function takeName(dir: RunDir): () => void {
  let unlock: (() => void) | undefined;
  try {
    makeRunDir(dir.name);
    unlock = lockName(dir);
  } catch (error) {
    if (error instanceof ShimError) throw error;
    return () => {};
  }
  if (unlock) return unlock;
  throw new ShimError(
    'NAME_IN_USE',
    `a service named '${dir.name}' runs already; stop it (\`zlr stop --name ${dir.name}\`) or choose another --name`,
  );
}
