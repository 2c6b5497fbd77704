import {removeOrphanedStores, removeStore} from '@zlr/state-store';
import {type Command, parse, usageError} from './command.js';

export const rm: Command = {
  name: 'rm',
  usage: 'NAME... | --orphaned',
  summary: 'remove stores that nobody uses',
  help: `  NAME        of a store in shared memory, or its key (0x...) where the name cannot be read; zlr ls lists both
  --orphaned  every store that nobody has attached, and print what was removed. Also the state of services that do not
              run at the moment: they begin anew.`,

  async run(args) {
    const options = {orphaned: {type: 'boolean'}} as const;
    const {positionals, values} = parse('rm', {args, allowPositionals: true, options});
    if (values.orphaned && positionals.length > 0)
      throw usageError('rm', 'name stores or say --orphaned, not both');
    if (!values.orphaned && positionals.length === 0) throw usageError('rm', 'no store was named');
    if (values.orphaned)
      for (const {name, key} of removeOrphanedStores()) console.log(`removed ${name ?? '?'}  ${key}`);
    for (const name of positionals) removeStore(name);
    return 0;
  },
};
