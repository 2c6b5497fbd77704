/* What the README shows is run as it stands there: its server, under its command, through a kill. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {connect} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import test from 'ava';

const root = fileURLToPath(new URL('..', import.meta.url));
const zlr = join(root, 'packages/cli/bin/zlr.js');

test("the README's server counts each line once, whatever kills it", async t => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const code = /```js\n(\/\/ line-server\.mjs[\s\S]*?)```/.exec(readme)?.[1];
  t.truthy(code, 'the README has the example');
  mkdirSync(join(root, 'out'), {recursive: true});
  const folder = mkdtempSync(join(root, 'out', 'readme-'));
  const runDir = mkdtempSync(join(tmpdir(), 'zlr-readme-'));
  t.teardown(() => {
    rmSync(folder, {recursive: true});
    rmSync(runDir, {recursive: true});
  });
  writeFileSync(
    join(folder, 'line-server.mjs'),
    code!.replace("name: 'lines'", `name: 'readme-${process.pid}'`),
  );

  const command = [zlr, 'run', '--name', 'lines', '--', process.execPath, join(folder, 'line-server.mjs')];
  const service = spawn(process.execPath, command, {
    env: {...process.env, ZLR_RUN_DIR: runDir},
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const closed = once(service, 'close');
  t.teardown(async () => {
    service.kill('SIGTERM');
    await closed;
  });
  const log = createInterface(service.stderr)[Symbol.asyncIterator]();
  const said = createInterface(service.stdout)[Symbol.asyncIterator]();
  const port = Number((await said.next()).value?.split(' ').at(-1));
  const client = connect(port, '127.0.0.1');
  const answers = createInterface(client)[Symbol.asyncIterator]();
  const ask = async (line: string): Promise<string> => {
    client.write(`${line}\n`);
    return (await answers.next()).value as string;
  };

  t.is(await ask('first'), '1 first');
  client.write('sec'); // half a line before the fault, half after
  const status = spawn(process.execPath, [zlr, 'status', '--name', 'lines', '--json'], {
    env: {...process.env, ZLR_RUN_DIR: runDir},
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let json = '';
  for await (const chunk of status.stdout) json += chunk;
  process.kill((JSON.parse(json) as {pid: number}).pid, 'SIGSEGV');
  t.regex((await log.next()).value as string, /died of SIGSEGV .*; generation 2/);
  t.is(
    (await log.next()).value,
    `zlr: generation 2 of 'readme-${process.pid}' goes on with 1 connections (1 with input that is held, 0 with an answer on its way), 0 new, 0 gone`,
  );
  t.is(await ask('ond'), '2 second');
  t.is(await ask('third'), '3 third');
  client.destroy();
});
