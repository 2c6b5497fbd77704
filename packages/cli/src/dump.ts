import {writeFileSync} from 'node:fs';
import {dumpStore} from '@zlr/state-store';
import {type Command, parse} from './command.js';
import {onFile} from './errors.js';
import {storeHelp, storeOf, storeOptions, storeUsage, withStore} from './stores.js';

export const dump: Command = {
  name: 'dump',
  usage: `${storeUsage} [--output PATH]`,
  summary: 'write a portable snapshot of a store',
  help: `${storeHelp}
  --output PATH  where to (standard output)

The snapshot is the store as it is between two transactions, gzipped; zlr load makes a store of it, on any machine.`,

  async run(args) {
    const options = {...storeOptions, output: {type: 'string', short: 'o'}} as const;
    const {positionals, values} = parse('dump', {args, allowPositionals: true, options});
    const {place} = storeOf('dump', positionals, values.file);
    const bytes = await withStore(place, dumpStore);
    if (values.output === undefined) process.stdout.write(bytes);
    else
      onFile('the snapshot cannot be written', () =>
        writeFileSync(values.output as string, bytes, {mode: 0o600}),
      );
    return 0;
  },
};
