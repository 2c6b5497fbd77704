import {fetchStatus, listServices, ShimError, type Status} from '@zlr/kernel-shim';
import {usageError} from './command.js';
import {CliError} from './errors.js';

/** Each worker of a service is a service of its own: NAME.1, NAME.2 and so on. */
export const workerName = (service: string, number: number): string => `${service}.${number}`;

const serviceOf = (name: string): string => /^(.+)\.\d+$/.exec(name)?.[1] ?? name;

const byNumber = new Intl.Collator('en', {numeric: true}).compare;

/** How all of them are, by name. */
export async function fetchAll(): Promise<Status[]> {
  const names = await listServices();
  const found = await Promise.all(
    names.sort(byNumber).map(name =>
      fetchStatus(name).catch((error: unknown) => {
        if (error instanceof ShimError) return undefined; // it has ended meanwhile
        throw error;
      }),
    ),
  );
  return found.filter(each => each !== undefined);
}

/** What a command is about: the named service or worker, all workers of the named service, or of the only one there is. */
export async function chooseServices(
  command: string,
  name: string | undefined,
): Promise<[string, ...string[]]> {
  const names = await listServices();
  if (name !== undefined) {
    if (names.includes(name)) return [name];
    const [first = name, ...others] = names.filter(each => serviceOf(each) === name).sort(byNumber);
    return [first, ...others];
  }
  const services = new Set(names.map(serviceOf));
  const [first, ...others] = names.sort(byNumber);
  if (first === undefined)
    throw new CliError('NO_SERVICE', 'no service is running; start one with zlr serve or zlr run');
  if (services.size > 1) {
    throw usageError(
      command,
      `several services are running (${[...services].join(', ')}): choose one with --name`,
    );
  }
  return [first, ...others];
}
