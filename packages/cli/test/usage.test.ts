import test from 'ava';
import {execute} from '../src/commands.js';
import {CliError} from '../src/errors.js';
import {CommandLine} from './command-line.js';

const wrong: [commandLine: string, message: string][] = [
  ['', 'no command was given; see zlr --help'],
  [
    'srve .',
    "'srve' is not a command (serve, run, status, top, logs, metrics, restart, stop, ls, inspect, check, dump, load, rm, capsules, replay); see zlr --help",
  ],
  ['serve --port 80', 'no folder to serve was given; see zlr serve --help'],
  ['serve . ..  --port 80', "one folder can be served, not also '..'; see zlr serve --help"],
  ['serve .', '--port is missing; see zlr serve --help'],
  ['serve . --port 80a', "--port takes a number from 0 to 65535, not '80a'; see zlr serve --help"],
  ['serve . --port 65536', "--port takes a number from 0 to 65535, not '65536'; see zlr serve --help"],
  ['serve . --port', "Option '--port <value>' argument missing; see zlr serve --help"],
  ['serve . --prt 80', "Unknown option '--prt'; see zlr serve --help"],
  ['serve . --port 80 --threshold -1', "Option '--threshold' argument is ambiguous; see zlr serve --help"],
  [
    'serve . --port 80 --threshold=-1',
    "--threshold takes a number of seconds, 0 or more, not '-1'; see zlr serve --help",
  ],
  [
    'serve . --port 80 --threshold=',
    "--threshold takes a number of seconds, 0 or more, not ''; see zlr serve --help",
  ],
  ['run node server.js', 'put -- before the command: zlr run -- node server.js; see zlr run --help'],
  [
    'run web -- node server.js',
    'put -- before the command: zlr run -- web node server.js; see zlr run --help',
  ],
  ['run', 'no command was given after --; see zlr run --help'],
  ['run --', 'no command was given after --; see zlr run --help'],
  [
    'run --threshold soon -- node a.js',
    "--threshold takes a number of seconds, 0 or more, not 'soon'; see zlr run --help",
  ],
  [
    'run --http --keep-ports -- node a.js',
    '--http keeps the ports, too: leave --keep-ports out; see zlr run --help',
  ],
  [
    'run --keep-ports -- npm start',
    "--keep-ports starts node itself, not 'npm': zlr run --keep-ports -- node server.js; see zlr run --help",
  ],
  ['run --hang 0 -- node a.js', "--hang takes a number above 0, not '0'; see zlr run --help"],
  [
    'run --patience= -- node a.js',
    "--patience takes a number of seconds, 0 or more, not ''; see zlr run --help",
  ],
  [
    'serve . --port 80 --patience=-1',
    "--patience takes a number of seconds, 0 or more, not '-1'; see zlr serve --help",
  ],
  ['status web', "Unexpected argument 'web'; see zlr status --help"],
  ['stop --json', "Unknown option '--json'; see zlr stop --help"],
];

for (const [commandLine, message] of wrong) {
  test(`wrong: zlr ${commandLine}`, async t => {
    const args = commandLine.split(' ').filter(Boolean);
    const error = await t.throwsAsync(execute(args), {instanceOf: CliError});
    t.is(error!.message, message);
    t.is(error!.code, 'USAGE');
  });
}

test('a wrong command line is one line on standard error and exit code 2', async t => {
  const outcome = await new CommandLine(t).run('serve');
  t.deepEqual(outcome, {
    exitCode: 2,
    stdout: '',
    stderr: 'zlr: no folder to serve was given; see zlr serve --help\n',
  });
});

test('a folder that cannot be served is a failure: one line and exit code 1', async t => {
  const commandLine = new CommandLine(t);
  const absent = await commandLine.run('serve', '/nowhere', '--port', '0');
  t.is(absent.exitCode, 1);
  t.regex(absent.stderr, /^zlr: cannot serve '\/nowhere': ENOENT.*; give a folder that exists\n$/);
  const file = await commandLine.run('serve', process.execPath, '--port', '0');
  t.is(file.exitCode, 1);
  t.regex(file.stderr, /^zlr: cannot serve '.*': it is not a folder; give the folder it is in\n$/);
});

test('help names every command, and each command its options', async t => {
  const commandLine = new CommandLine(t);
  const overview = await commandLine.run('--help');
  t.is(overview.exitCode, 0);
  for (const name of ['serve', 'run', 'status', 'stop'])
    t.regex(overview.stdout, new RegExp(`^ +zlr ${name} `, 'm'));
  const serve = await commandLine.run('serve', '--help');
  t.is(serve.exitCode, 0);
  for (const name of ['port', 'host', 'name', 'threshold', 'patience'])
    t.true(serve.stdout.includes(`--${name}`));
});

test('the version is that of the package', async t => {
  const outcome = await new CommandLine(t).run('--version');
  t.regex(outcome.stdout, /^\d+\.\d+\.\d+\n$/);
  t.is(outcome.exitCode, 0);
});
