import {listStores} from '@zlr/state-store';
import {type Command, parse} from './command.js';

export const ls: Command = {
  name: 'ls',
  usage: '[--json]',
  summary: 'list the stores in shared memory',
  help: `  --json  print one JSON array: {name, key, bytes, owner, attached, created, orphaned, quarantined,
          problem}

An orphaned store is one that nobody has attached: it waits for its next owner, or was forgotten
(zlr rm NAME, zlr rm --orphaned).`,

  async run(args) {
    const {values} = parse('ls', {args, options: {json: {type: 'boolean'}}});
    const stores = listStores();
    if (values.json) {
      console.log(JSON.stringify(stores));
      return 0;
    }
    for (const {name, key, bytes, owner, attached, orphaned, quarantined, problem} of stores) {
      const use = orphaned ? 'orphaned' : owner === null ? `attached ${attached}` : `written by ${owner}`;
      const aside = quarantined > 0 ? [`${quarantined} set aside`] : [];
      const removal = orphaned ? [`remove it with: zlr rm ${name ?? key}`] : [];
      const state = [problem ?? use, ...aside, ...removal].join('; ');
      console.log([name ?? '?', key, `${(bytes / 2 ** 20).toFixed(1)} MiB`, state].join('  '));
    }
    return 0;
  },
};
