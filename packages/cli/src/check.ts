import {repairStore, type SetAside} from '@zlr/state-store';
import {type Command, parse} from './command.js';
import {storeHelp, storeOf, storeOptions, storeUsage, withStore} from './stores.js';

export const check: Command = {
  name: 'check',
  usage: `${storeUsage} [--repair] [--json]`,
  summary: 'look through a store for damage, and repair it: structure, refs, free lists, leaks',
  help: `${storeHelp}
  --repair     mend what is damaged; nobody else may write the store meanwhile
  --json       print one JSON object: {ok, problems, quarantined}, with --repair {ok, problems, setAside}

The exit code is 0 when all is well, or is well again, else 1. Without --repair nothing is changed: a store that is being
written is looked at as it is between two transactions. What --repair finds damaged is set aside, out of its collection but
kept in the store (zlr inspect --quarantine); indexes, chains and free lists are made anew; the rest stays as it is.`,

  async run(args) {
    const options = {...storeOptions, json: {type: 'boolean'}, repair: {type: 'boolean'}} as const;
    const {positionals, values} = parse('check', {args, allowPositionals: true, options});
    const {place} = storeOf('check', positionals, values.file);
    if (values.repair) {
      const {setAside, problems} = await repairStore(place);
      const ok = problems.length === 0;
      if (values.json) console.log(JSON.stringify({ok, problems, setAside}));
      else console.log([...setAside.map(line), ...(ok ? ['ok'] : problems)].join('\n'));
      return ok ? 0 : 1;
    }
    const {ok, problems, quarantined} = await withStore(place, store => {
      const snapshot = store.snapshot();
      try {
        return {...snapshot.check(), quarantined: snapshot.info().quarantined};
      } finally {
        snapshot.close();
      }
    });
    if (values.json) console.log(JSON.stringify({ok, problems, quarantined}));
    else {
      console.log(ok ? 'ok' : problems.join('\n'));
      if (quarantined > 0) console.log(`${quarantined} set aside; see zlr inspect --quarantine`);
    }
    return ok ? 0 : 1;
  },
};

function line({collection, id, reason}: SetAside): string {
  return `set aside: ${collection}${id === null ? '' : ` ${id}`}: ${reason}`;
}
