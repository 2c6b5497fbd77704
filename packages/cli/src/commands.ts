import {readFileSync} from 'node:fs';
import {capsules, replay} from './capsules.js';
import {check} from './check.js';
import type {Command} from './command.js';
import {dump} from './dump.js';
import {CliError} from './errors.js';
import {inspect} from './inspect.js';
import {load} from './load.js';
import {logs} from './logs.js';
import {ls} from './ls.js';
import {metrics} from './metrics.js';
import {restart} from './restart.js';
import {rm} from './rm.js';
import {run} from './run.js';
import {serve} from './serve.js';
import {status} from './status.js';
import {stop} from './stop.js';
import {top} from './top.js';

const commands: readonly Command[] = [
  serve,
  run,
  status,
  top,
  logs,
  metrics,
  restart,
  stop,
  ls,
  inspect,
  check,
  dump,
  load,
  rm,
  capsules,
  replay,
];

/** Does what a command line says; resolves with the exit code. */
export async function execute(args: readonly string[]): Promise<number> {
  const [first, ...rest] = args;
  if (first === undefined) throw new CliError('USAGE', 'no command was given; see zlr --help');
  if (first === '--help' || first === '-h') return print(overview());
  if (first === '--version') return print(version());
  const command = commands.find(each => each.name === first);
  if (command === undefined) {
    const known = commands.map(each => each.name).join(', ');
    throw new CliError('USAGE', `'${first}' is not a command (${known}); see zlr --help`);
  }
  return asksForHelp(rest) ? print(helpFor(command)) : command.run(rest);
}

/** Behind -- stands a service's command, whose --help is its own. */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return (end === -1 ? args : args.slice(0, end)).some(each => each === '--help' || each === '-h');
}

function overview(): string {
  const width = Math.max(...commands.map(each => each.name.length));
  const list = commands.map(each => `  zlr ${each.name.padEnd(width)}  ${each.summary}`);
  return [
    'Zero-loss restart: a service that dies is replaced, and its clients notice nothing.',
    '',
    ...list,
    '',
    'zlr COMMAND --help says more about one of them, zlr --version the version.',
  ].join('\n');
}

function helpFor(command: Command): string {
  return `usage: zlr ${command.name} ${command.usage}\n\n${command.help}`;
}

function version(): string {
  const manifest: {version: string} = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  );
  return manifest.version;
}

function print(text: string): number {
  console.log(text);
  return 0;
}
