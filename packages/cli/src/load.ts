import {readFileSync} from 'node:fs';
import {loadStore} from '@zlr/state-store';
import {type Command, parse, usageError} from './command.js';
import {onFile} from './errors.js';
import {placeOf} from './stores.js';

export const load: Command = {
  name: 'load',
  usage: 'NAME [--file PATH] [--input PATH]',
  summary: 'make a store from what zlr dump wrote',
  help: `  NAME          of the new store
  --file PATH   make it in a file; without, in shared memory
  --input PATH  the snapshot (standard input)`,

  async run(args) {
    const options = {file: {type: 'string'}, input: {type: 'string', short: 'i'}} as const;
    const {positionals, values} = parse('load', {args, allowPositionals: true, options});
    const [name, tooMuch] = positionals;
    if (name === undefined) throw usageError('load', 'no name was given for the store');
    if (tooMuch !== undefined) throw usageError('load', `'${tooMuch}' is too much`);
    const snapshot = onFile('the snapshot cannot be read', () => readFileSync(values.input ?? 0));
    await loadStore(snapshot, placeOf(name, values.file));
    return 0;
  },
};
