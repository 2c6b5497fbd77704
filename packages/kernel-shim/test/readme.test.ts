/**
 * Proves that the README's example works as it stands there: its one file is the service and its supervisor, and a
 * connection outlives a SIGSEGV.
 *
 * To see it fail: take the call of reregist() out of the example.
 */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs';
import {connect} from 'node:net';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {makeRunDir} from './supervised.js';

const shim = fileURLToPath(new URL('..', import.meta.url));

test('the README’s example keeps its connection through a fault', async t => {
  t.timeout(60_000);
  const code = /```js\n(\/\/ greeter\.mjs[\s\S]*?)```/.exec(
    readFileSync(join(shim, 'README.md'), 'utf8'),
  )![1]!;
  const folder = makeRunDir(t);
  mkdirSync(join(folder, 'node_modules/@zlr'), {recursive: true});
  symlinkSync(shim, join(folder, 'node_modules/@zlr/kernel-shim'));
  writeFileSync(join(folder, 'greeter.mjs'), code.replace('8080', '0'));

  const supervisor = spawn(process.execPath, [join(folder, 'greeter.mjs')], {
    env: {...process.env, ZLR_RUN_DIR: join(folder, 'run')},
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const closed = once(supervisor, 'close'); // also says that no process of the service is left
  t.teardown(() => supervisor.kill('SIGTERM'));
  const out = createInterface(supervisor.stdout)[Symbol.asyncIterator]();
  const log = createInterface(supervisor.stderr)[Symbol.asyncIterator]();
  const [, port] = /^listening on port (\d+)$/.exec((await out.next()).value as string)!;

  const client = connect(Number(port), '127.0.0.1');
  const answers = createInterface(client)[Symbol.asyncIterator]();
  const ask = async () => {
    client.write('hello\n');
    const [, generation, pid] = /^generation (\d+), pid (\d+)$/.exec((await answers.next()).value as string)!;
    return {generation: Number(generation), pid: Number(pid)};
  };
  const first = await ask();
  t.is(first.generation, 1);
  process.kill(first.pid, 'SIGSEGV');
  const second = await ask();
  t.is(second.generation, 2);
  t.not(second.pid, first.pid);
  t.regex(
    (await log.next()).value as string,
    /^zlr: generation 1 .* died of SIGSEGV \(after .*\); .* takes over 2 channels$/,
  );
  client.destroy();
  supervisor.kill('SIGTERM');
  t.deepEqual(await closed, [0, null]);
});
