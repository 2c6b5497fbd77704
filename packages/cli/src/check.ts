import {type Command, parse} from './command.js';
import {storeHelp, storeOf, storeOptions, storeUsage, withStore} from './stores.js';

export const check: Command = {
  name: 'check',
  usage: `${storeUsage} [--json]`,
  summary: 'look through a store for damage: structure, refs, free lists, leaks',
  help: `${storeHelp}
  --json       print one JSON object: {ok, problems}

The exit code is 0 when all is well, else 1. A store that is being written is looked at as it is between two
transactions; nothing is changed.`,

  async run(args) {
    const options = {...storeOptions, json: {type: 'boolean'}} as const;
    const {positionals, values} = parse('check', {args, allowPositionals: true, options});
    const {place} = storeOf('check', positionals, values.file);
    const {ok, problems} = await withStore(place, store => {
      const snapshot = store.snapshot();
      try {
        return snapshot.check();
      } finally {
        snapshot.close();
      }
    });
    if (values.json) console.log(JSON.stringify({ok, problems}));
    else console.log(ok ? 'ok' : problems.join('\n'));
    return ok ? 0 : 1;
  },
};
