/**
 * How an operator sees services: `zlr top`, once and live in a terminal; `zlr logs`, also as they come; ZLR_LOG=json; `zlr metrics`, printed
 * and served.
 *
 * To see it fail: let Log.write write nothing, or LogReader.read begin anew each time.
 */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import test from 'ava';
import {CommandLine, zlr} from './command-line.js';
import {serve} from './served-folder.js';

test('top shows every service once where it writes to no terminal', async t => {
  const {commandLine} = await serve(t);
  const {stdout, exitCode} = await commandLine.run('top');
  t.is(exitCode, 0);
  const [head, row, ...rest] = stdout.split('\n');
  t.regex(head!, /^NAME +GEN +PID +UP +STANDBY +CHAN +CPU +RSS +HEAP +LATE +ENDED +LAST$/);
  t.regex(row!, new RegExp(`^${commandLine.serviceName} +1 +\\d+ +\\d+ s +- +1 .* 0 +-$`));
  t.deepEqual(rest, ['']);
});

test('top in a terminal goes on until q, and leaves the screen as it was', async t => {
  const {commandLine} = await serve(t);
  const child = spawn('script', ['-qec', `${process.execPath} ${zlr} top`, '/dev/null'], {
    env: {...process.env, ZLR_RUN_DIR: commandLine.runDir, TERM: 'xterm'},
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let screen = '';
  child.stdout.setEncoding('utf8').on('data', text => {
    screen += text;
  });
  // The second round knows what part of a processor was used.
  while (!/ \d+ % /.test(screen)) await once(child.stdout, 'data');
  child.stdin.write('q');
  const [exitCode] = await once(child, 'close');
  t.is(exitCode, 0);
  t.true(screen.includes('\x1b[?1049h') && screen.endsWith('\x1b[?1049l'));
  t.true(screen.includes(commandLine.serviceName));
});

test('logs show what the supervisor has said, and go on with what it says', async t => {
  const {commandLine, server} = await serve(t);
  const name = commandLine.serviceName;
  const following = commandLine.start('logs', '--follow', '--json');
  const kill = async (): Promise<void> => {
    const {pid} = JSON.parse((await commandLine.run('status', '--json')).stdout);
    process.kill(pid, 'SIGKILL');
  };
  await kill();
  const first = JSON.parse(await following.line());
  t.deepEqual(Object.keys(first), ['at', 'service', 'text']);
  t.is(first.service, name);
  t.regex(first.text, /^generation 1 \(pid \d+\) died of SIGKILL/);
  await server.warned(/generation 2 goes on/);
  await kill();
  t.regex(JSON.parse(await following.line()).text, /^generation 2 \(pid \d+\) died of SIGKILL/);

  const {stdout} = await commandLine.run('logs');
  const lines = stdout.trimEnd().split('\n');
  t.is(lines.length, 2);
  t.regex(lines[0]!, /^\d{4}-\d\d-\d\dT[\d:.]+Z {2}generation 1 \(pid \d+\) died of SIGKILL/);
  t.is((await commandLine.run('stop')).exitCode, 0);
  t.is((await following.outcome).exitCode, 0, 'it ends with the service');
});

test('logs of a service that does not run say so, followed or not', async t => {
  const commandLine = new CommandLine(t);
  for (const more of [[], ['--follow']]) {
    const {exitCode, stderr} = await commandLine.run('logs', '--name', 'ghost', ...more);
    t.is(exitCode, 1);
    t.regex(stderr, /^zlr: no service named 'ghost' is running/);
  }
});

test('with ZLR_LOG=json whatever is said is an object a line', async t => {
  process.env['ZLR_LOG'] = 'json';
  t.teardown(() => delete process.env['ZLR_LOG']);
  const {commandLine, server} = await serve(t);
  const {pid} = JSON.parse((await commandLine.run('status', '--json')).stdout);
  process.kill(pid, 'SIGKILL');
  await server.warned(/generation 2 goes on/);
  await commandLine.run('stop');
  const {stderr} = await server.outcome;
  const said = stderr
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line));
  const supervisor = said.find(({text}) => /died of SIGKILL/.test(text));
  t.is(supervisor.service, commandLine.serviceName);
  const service = said.find(({text}) => /goes on/.test(text));
  t.not(service.pid, supervisor.pid);
  t.is(new Date(service.at).toISOString(), service.at);
});

test('metrics are printed, and served to Prometheus', async t => {
  const {commandLine} = await serve(t);
  const sample = new RegExp(`^zlr_generation\\{service="${commandLine.serviceName}"\\} 1$`, 'm');
  const printed = await commandLine.run('metrics');
  t.is(printed.exitCode, 0, printed.stderr);
  t.regex(printed.stdout, sample);
  t.regex(printed.stdout, /^# TYPE zlr_takeovers_total counter$/m);
  const server = commandLine.start('metrics', '--port', '0');
  const url = (await server.line()).replace('metrics at ', '');
  const response = await fetch(url);
  t.regex(response.headers.get('content-type')!, /^text\/plain; version=0\.0\.4/);
  t.regex(await response.text(), sample);
  t.is((await fetch(new URL('/', url))).status, 404);
  server.signal('SIGTERM');
  t.is((await server.outcome).exitCode, 0);
});
