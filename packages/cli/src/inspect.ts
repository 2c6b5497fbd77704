import type {Schema, Store, TypeDescription} from '@zlr/state-store';
import {type Command, parse, usageError} from './command.js';
import {CliError} from './errors.js';
import {type Place, storeHelp, storeOf, storeOptions, storeUsage, withStore} from './stores.js';

export const inspect: Command = {
  name: 'inspect',
  usage: `${storeUsage} [FIELD] [--json] [--watch] | --quarantine`,
  summary: 'show what is in a store',
  help: `${storeHelp}
  FIELD        only this one, such as 'hits' or 'conns.3.stage'; without, the scalars and the sizes of the rest
  --json       print one JSON value
  --watch      print it again whenever a transaction changed it, until Ctrl-C
  --quarantine print what was set aside because a check refused it, oldest first

Any store can be shown: it holds its own schema. Reading does not disturb its writers.`,

  async run(args) {
    const options = {
      ...storeOptions,
      json: {type: 'boolean'},
      watch: {type: 'boolean'},
      quarantine: {type: 'boolean'},
    } as const;
    const {positionals, values} = parse('inspect', {args, allowPositionals: true, options});
    const {place, rest} = storeOf('inspect', positionals, values.file, 1);
    if (values.quarantine && (rest.length > 0 || values.watch))
      throw usageError('inspect', '--quarantine stands alone, without FIELD and --watch');
    const path = rest[0]?.split('.') ?? [];
    const print = (value: unknown): void =>
      console.log(JSON.stringify(value, plainly, values.json ? undefined : 2));
    await withStore(place, async store => {
      if (values.quarantine) {
        print(store.quarantine());
        return;
      }
      const look = (root: object): unknown => view(store, root, path, place);
      if (!values.watch) {
        print(store.read(look));
        return;
      }
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort());
      process.once('SIGTERM', () => stop.abort());
      const changes = store.watch(look, {signal: stop.signal});
      // It watches from here on, so that nothing is missed between the first look and the first change.
      let next = changes.next();
      print(store.read(look));
      for (let change = await next; !change.done; change = await next) {
        print(change.value.value);
        next = changes.next();
      }
    });
    return 0;
  },
};

function view(store: Store<Schema>, root: object, path: string[], place: Place): unknown {
  const fields = store.describe().fields ?? [];
  if (path.length === 0) {
    return Object.fromEntries(fields.map(({name, type}) => [name, overview(type, read(root, name))]));
  }
  const [first, ...rest] = path as [string, ...string[]];
  const field = fields.find(({name}) => name === first);
  if (field === undefined) {
    const known = fields.map(({name}) => name).join(', ');
    throw new CliError('NOT_FOUND', `the store ${place.name} has no field '${first}'; it has ${known}`);
  }
  if (field.type.kind === 'raw') return overview(field.type, read(root, first));
  let value: unknown = plain(read(root, first));
  for (const step of rest) value = stepInto(value, step, path);
  return value;
}

/** By key in a map, by $id in a table, by index elsewhere. */
function stepInto(value: unknown, step: string, path: string[]): unknown {
  if (Array.isArray(value)) {
    const found = value.find(
      each =>
        (Array.isArray(each) && each.length === 2 && String(each[0]) === step) ||
        (typeof each === 'object' && each !== null && '$id' in each && String(each.$id) === step),
    );
    if (Array.isArray(found)) return found[1];
    if (found !== undefined) return found;
    if (/^\d+$/.test(step) && Number(step) < value.length) return value[Number(step)];
  } else if (typeof value === 'object' && value !== null && step in value) {
    return (value as Record<string, unknown>)[step];
  }
  throw new CliError('NOT_FOUND', `there is nothing at ${path.join('.')}: no '${step}' there`);
}

function overview({kind, length}: TypeDescription, value: unknown): unknown {
  const size =
    (value as {size?: number; length?: number} | null)?.size ?? (value as {length?: number} | null)?.length;
  if (['table', 'map', 'vector', 'ring', 'list', 'sorted'].includes(kind)) return `${kind} of ${size}`;
  if (kind === 'raw') return `${length ?? size} bytes of plain memory`;
  return plain(value);
}

function read(root: object, name: string): unknown {
  return (root as Record<string, unknown>)[name];
}

function plain(value: unknown): unknown {
  const {toJSON} = (value ?? {}) as {toJSON?: () => unknown};
  return typeof toJSON === 'function' ? toJSON.call(value) : value;
}

/** 64-bit integers have no place in JSON's numbers. */
function plainly(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
