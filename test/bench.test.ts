// Each bench runs as small as it can, so that none rots: it must end well, check what it moved, print its JSON and
// leave nothing behind. What it measured is not looked at: no figure of a shared machine may fail a test.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readdirSync, readFileSync} from 'node:fs';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';

const bench = (path: string): string => fileURLToPath(new URL(`../bench/${path}`, import.meta.url));
const MARK = 'ZLR_TEST_BENCH';

/** The one JSON object that a program prints. */
async function run(t: ExecutionContext, args: readonly string[]): Promise<Record<string, unknown>> {
  const child = spawn(process.execPath, args, {stdio: ['ignore', 'pipe', 'pipe']});
  t.teardown(() => child.kill('SIGTERM'));
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', text => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', text => {
    err += text;
  });
  const [code] = await once(child, 'close');
  t.is(code, 0, err);
  return JSON.parse(out) as Record<string, unknown>;
}

/** The command lines of the processes that inherited a mark. */
function commandsWith(mark: string): string[] {
  const read = (pid: string, file: string): string => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'latin1');
    } catch {
      return ''; // it has just gone, or is not ours
    }
  };
  return readdirSync('/proc')
    .filter(pid => /^\d+$/.test(pid) && read(pid, 'environ').split('\0').includes(`${MARK}=${mark}`))
    .map(pid => read(pid, 'cmdline'));
}

interface Figure {
  median: number;
  min: number;
  max: number;
}

function isFigure(t: ExecutionContext, value: unknown, name: string): void {
  const {median, min, max} = value as Figure;
  t.true(min > 0 && min <= median && median <= max, `${name}: ${JSON.stringify(value)}`);
}

function isHeaded(t: ExecutionContext, result: Record<string, unknown>, name: string): void {
  t.like(result, {bench: name, rounds: 1, seed: 7, small: true, machine: {node: process.version}});
}

const small = ['--json', '--rounds', '1', '--seed', '7', '--small'];

test.serial('hread', async t => {
  const result = await run(t, [bench('run.mjs'), 'hread', ...small]);
  isHeaded(t, result, 'hread');
  const results = result['results'] as Record<string, unknown>[];
  t.is(results.length, 12);
  for (const each of results) {
    const name = `${each['language']} ${each['size']}`;
    for (const figure of ['readNs', 'hreadNs', 'ratio']) isFigure(t, each[figure], `${name} ${figure}`);
  }
});

test.serial('weight', async t => {
  const result = await run(t, [bench('run.mjs'), 'weight', ...small]);
  isHeaded(t, result, 'weight');
  const weights = result['weights'] as Record<string, unknown>[];
  t.is(weights.length, 1);
  for (const each of weights)
    for (const figure of ['reregistUs', 'replacedMs', 'silenceMs', 'startMs', 'deathMs', 'keeperBytes'])
      isFigure(t, each[figure], figure);
});

test.serial('restart', async t => {
  const result = await run(t, [bench('run.mjs'), 'restart', ...small]);
  isHeaded(t, result, 'restart');
  const restarts = result['restarts'] as Record<string, unknown>[];
  t.is(restarts.length, 1);
  for (const each of restarts) {
    t.is(each['verifiedBytes'], Number(each['connections']) * 8 * 1024 * 1024);
    for (const figure of ['firstMs', 'lastMs', 'downMs', 'firstToNodeBoot', 'firstToServerBoot']) {
      isFigure(t, each[figure], figure);
    }
  }
  for (const figure of ['nodeBootMs', 'serverListeningMs', 'serverFirstByteMs', 'keeperPrivateBytes']) {
    isFigure(t, result[figure], figure);
  }
  isFigure(t, (result['reregist'] as Record<string, unknown>)['microseconds'], 'reregist');
  isFigure(t, (result['cpu'] as Record<string, unknown>)['ratio'], 'cpu');
  isFigure(t, (result['reaction'] as Record<string, unknown>)['ratio'], 'reaction');
  isFigure(t, (result['halfRequests'] as Record<string, unknown>)['heldBytes'], 'held');
});

test.serial('serve', async t => {
  const result = await run(t, [bench('run.mjs'), 'serve', ...small]);
  isHeaded(t, result, 'serve');
  const results = result['results'] as Record<string, unknown>[];
  t.is(results.length, 15);
  for (const each of results) {
    const name = `${each['server']} ${each['file']}`;
    t.is(each['errors'], 0, name);
    for (const figure of ['perSecond', 'meanMs', 'rateToUnsupervised', 'rateToNodeHttp']) {
      isFigure(t, each[figure], `${name} ${figure}`);
    }
  }
});

test.serial('dropin', async t => {
  const result = await run(t, [bench('run.mjs'), 'dropin', ...small]);
  isHeaded(t, result, 'dropin');
  const results = result['results'] as Record<string, unknown>[];
  t.is(results.length, 4);
  for (const each of results) {
    t.is(each['errors'], 0);
    for (const figure of ['plainUs', 'keptUs', 'kept', 'control']) isFigure(t, each[figure], figure);
  }
});

test.serial('the load that is used where wrk is missing', async t => {
  const server = createServer((_request, response) => response.end(Buffer.alloc(100_000)));
  t.teardown(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const {port} = server.address() as AddressInfo;
  const result = await run(t, [bench('serve/generator.mjs'), `http://127.0.0.1:${port}/`, '4', '1']);
  t.is(result['errors'], 0);
  t.true(Number(result['bytes']) > Number(result['requests']) * 100_000);
  server.closeAllConnections();
});

test.serial('a name that is no bench', async t => {
  const child = spawn(process.execPath, [bench('run.mjs'), 'speed'], {stdio: ['ignore', 'ignore', 'pipe']});
  t.teardown(() => child.kill());
  let err = '';
  child.stderr.setEncoding('utf8').on('data', text => {
    err += text;
  });
  const [code] = await once(child, 'close');
  t.is(code, 2);
  t.regex(err, /'speed' is not a bench; usage: .*hread\|.*restart\|.*serve/);
});

test.serial('a bench that is interrupted takes its servers with it', async t => {
  const mark = `interrupted-${process.pid}`;
  const child = spawn(process.execPath, [bench('run.mjs'), 'serve', ...small], {
    env: {...process.env, [MARK]: mark},
    stdio: 'ignore',
  });
  const exited = once(child, 'exit');
  const servers = (): string[] => commandsWith(mark).filter(command => command.includes('serve-main'));
  while (servers().length < 2) await new Promise(resolve => setTimeout(resolve, 20));
  child.kill('SIGTERM');
  const [code] = await exited;
  t.not(code, 0);
  t.deepEqual(commandsWith(mark), []);
});
