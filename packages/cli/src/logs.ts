import {type LogLine, LogReader} from '@zlr/kernel-shim';
import {type Command, parse} from './command.js';
import {chooseServices} from './services.js';

export const logs: Command = {
  name: 'logs',
  usage: '[--name NAME] [--follow] [--json]',
  summary: 'show what the supervisor of a service has said',
  help: `Prints the latest lines, at least 256 KB of them, of a service that runs: its faults, takeovers, restarts. What the service itself writes goes where its
supervisor's output goes, and is not kept.

  --name NAME   the service with all of its workers, or one of those (NAME.1); may be left out while only one is running
  --follow, -f  go on with what is said from now on, until the service or this command is ended
  --json        one object a line: at (ISO 8601), service, text`,

  async run(args) {
    const {values} = parse('logs', {
      args,
      options: {
        name: {type: 'string'},
        follow: {type: 'boolean', short: 'f', default: false},
        json: {type: 'boolean', default: false},
      },
    });
    const services = await chooseServices('logs', values.name);
    const readers = services.map(service => ({service, reader: new LogReader(service)}));
    const show = (said: readonly Said[]): void => {
      for (const {service, at, text} of said) {
        const parts = services.length === 1 ? [at, text] : [at, service, text];
        console.log(values.json ? JSON.stringify({at, service, text}) : parts.join('  '));
      }
    };
    const read = ({service, reader}: (typeof readers)[number]): Said[] =>
      reader.read().map(line => ({...line, service}));
    show(readers.flatMap(read).sort((a, b) => Date.parse(a.at) - Date.parse(b.at)));
    if (values.follow)
      await Promise.all(
        readers.map(each => new Promise<void>(gone => each.reader.watch(() => show(read(each)), gone))),
      );
    for (const {reader} of readers) reader.close();
    return 0;
  },
};

type Said = LogLine & {service: string};
