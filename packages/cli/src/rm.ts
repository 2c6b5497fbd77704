import {removeStore} from '@zlr/state-store';
import {type Command, parse, usageError} from './command.js';

export const rm: Command = {
  name: 'rm',
  usage: 'NAME...',
  summary: 'remove stores that nobody uses',
  help: '  NAME  of a store in shared memory, or its key (0x...) where the name cannot be read; zlr ls lists both',

  async run(args) {
    const {positionals} = parse('rm', {args, allowPositionals: true, options: {}});
    if (positionals.length === 0) throw usageError('rm', 'no store was named');
    for (const name of positionals) removeStore(name);
    return 0;
  },
};
