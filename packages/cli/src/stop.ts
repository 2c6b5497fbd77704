import {requestStop} from '@zlr/kernel-shim';
import {type Command, parse} from './command.js';
import {chooseServices} from './services.js';

export const stop: Command = {
  name: 'stop',
  usage: '[--name NAME]',
  summary: 'end a service in good order',
  help: `Lets the service finish its responses (for a bounded time), and returns when it and its supervisor are gone.

  --name NAME  the service with all of its workers, or one of those (NAME.1); may be left out while only one is running`,

  async run(args) {
    const {values} = parse('stop', {args, options: {name: {type: 'string'}}});
    await Promise.all((await chooseServices('stop', values.name)).map(requestStop));
    return 0;
  },
};
