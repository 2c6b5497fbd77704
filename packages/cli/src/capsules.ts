import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {resolve} from 'node:path';
import {listCapsules, readCapsule} from '@zlr/hread';
import {type Command, parse, usageError} from './command.js';
import {onFile} from './errors.js';

export const capsules: Command = {
  name: 'capsules',
  usage: '',
  summary: 'list input that could not be processed',
  help: `Each line is one unit of input that made a server of @zlr/hread throw twice, or ended its process more than once: when, which
server, how many bytes, why, and the file it is kept in. The last 32 are kept.`,

  async run(args) {
    parse('capsules', {args, options: {}});
    for (const path of listCapsules()) {
      const {time, name, bytes, error} = onFile('capsules', () => readCapsule(path)).header;
      console.log(
        `${time}  ${name}  ${bytes} bytes  ${error.name}: ${error.message.split('\n')[0]}  ${path}`,
      );
    }
    return 0;
  },
};

export const replay: Command = {
  name: 'replay',
  usage: 'CAPSULE -- COMMAND [ARGUMENT...]',
  summary: 'feed such input to a fresh process, under a debugger for instance',
  help: `Starts COMMAND, a program that calls createServer of @zlr/hread, with a state of its own, and sends it the input of CAPSULE as
its client did, on a connection with the same fields. What it answers is printed, what it throws ends it.

  zlr replay CAPSULE -- node --inspect-brk server.js`,

  async run(args) {
    const end = args.indexOf('--');
    const own = end === -1 ? args : args.slice(0, end);
    const [file, ...rest] = end === -1 ? [] : args.slice(end + 1);
    const {positionals} = parse('replay', {args: own, allowPositionals: true, options: {}});
    const [path, ...more] = positionals;
    if (path === undefined || more.length > 0) throw usageError('replay', 'give one capsule');
    if (file === undefined) throw usageError('replay', 'no command was given after --');
    onFile('replay', () => readCapsule(path)); // what is none is told here, not by the program
    const child = spawn(file, rest, {env: {...process.env, ZLR_REPLAY: resolve(path)}, stdio: 'inherit'});
    const [code] = (await once(child, 'close')) as [number | null];
    return code ?? 1;
  },
};
