import {listServices} from '@zlr/kernel-shim';
import {usageError} from './command.js';
import {CliError} from './errors.js';

/** The service that a command is about: the named one, or the only one there is. */
export async function chooseService(command: string, name: string | undefined): Promise<string> {
  if (name !== undefined) return name;
  const names = await listServices();
  const [only] = names;
  if (only === undefined) {
    throw new CliError('NO_SERVICE', 'no service is running; start one with zlr serve or zlr run');
  }
  if (names.length > 1) {
    throw usageError(command, `several services are running (${names.join(', ')}): choose one with --name`);
  }
  return only;
}
