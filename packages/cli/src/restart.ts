import {requestRestart} from '@zlr/kernel-shim';
import {type Command, parse} from './command.js';
import {chooseService} from './services.js';

export const restart: Command = {
  name: 'restart',
  usage: '[--name NAME]',
  summary: 'have a fresh generation follow, with everything that the old one has',
  help: `The next generation is started of the program as it is on disk now, and takes over as behind a fault: connections, held input, half-sent
answers and state. Returns when it is ready, or with what went wrong. There is no way back: a program that does not come up is tried again for as
long as the service's patience says, then the service is given up.

  --name NAME  the service (may be left out while only one is running)`,

  async run(args) {
    const {values} = parse('restart', {args, options: {name: {type: 'string'}}});
    const name = await chooseService('restart', values.name);
    const {generation, pid, channels, tookMs} = await requestRestart(name);
    console.log(
      `${name}: generation ${generation} (pid ${pid}) goes on with ${channels} channels, after ${tookMs} ms`,
    );
    return 0;
  },
};
