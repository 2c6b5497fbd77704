/** `serve(server, options)`: a program that supervises itself. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {createServer, get, type IncomingMessage} from 'node:http';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {HttpError, serve, serveFolder} from '@zlr/http';
import test from 'ava';

const program = fileURLToPath(new URL('../fixtures/served.mjs', import.meta.url));

async function ask(port: number, path: string): Promise<string> {
  const [response] = (await once(get({port, path}), 'response')) as [IncomingMessage];
  let body = '';
  for await (const piece of response.setEncoding('utf8')) body += piece;
  return body;
}

test('a program that serves by a call outlives its process, and ends when it is asked to', async t => {
  const runDir = mkdtempSync(join(tmpdir(), 'zlr-test-'));
  t.teardown(() => rmSync(runDir, {recursive: true}));
  const child = spawn(process.execPath, [program, `served-${process.pid}`], {
    env: {...process.env, ZLR_RUN_DIR: join(runDir, 'run')},
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const said = async (): Promise<number[]> => {
    const {value} = await lines.next();
    return (value as string).split(' ').slice(1).map(Number);
  };
  const [port, first] = (await said()) as [number, number];
  const slow = ask(port, '/?ms=300');
  t.is(await ask(port, '/?ms=0'), `/?ms=0 of ${first}`);
  process.kill(first, 'SIGKILL');
  const [again, second] = (await said()) as [number, number];
  t.is(again, port);
  t.is(await slow, `/?ms=300 of ${second}`);
  child.kill('SIGTERM');
  t.deepEqual(await once(child, 'close'), [0, null]);
});

test('a folder that is served by one call outlives its process, and the call names what is wrong', async t => {
  const runDir = mkdtempSync(join(tmpdir(), 'zlr-test-'));
  t.teardown(() => rmSync(runDir, {recursive: true}));
  writeFileSync(join(runDir, 'small.txt'), 'small');
  const folder = fileURLToPath(new URL('../fixtures/folder.mjs', import.meta.url));
  const child = spawn(process.execPath, [folder, runDir, `folder-${process.pid}`], {
    env: {...process.env, ZLR_RUN_DIR: join(runDir, 'run')},
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const said = async (): Promise<string[]> => ((await lines.next()).value as string).split(' ').slice(1);
  const [port, pid, life] = await said();
  t.is(life, '1');
  t.is(await ask(Number(port), '/small.txt'), 'small');
  process.kill(Number(pid), 'SIGKILL');
  t.is(await ask(Number(port), '/small.txt'), 'small', 'who comes meanwhile waits');
  const [again, second] = await said();
  t.is(again, port);
  t.not(second, pid);
  child.kill('SIGTERM');
  t.deepEqual(await once(child, 'close'), [0, null]);
  await t.throwsAsync(serveFolder({port: 0} as never), {
    instanceOf: HttpError,
    code: 'OPTION_INVALID',
    message: /root is undefined; expected a string/,
  });
});

test('options of serve that cannot be are refused before anything is done', async t => {
  const server = createServer();
  for (const [wrong, what] of [
    [{port: -1}, /port/],
    [{port: 0, rerun: 'some'}, /rerun.*'idempotent' or 'all'/],
    [{port: 0, attempts: 1.5}, /attempts/],
    [{port: 0, retries: 3}, /retries/],
  ] as const) {
    const error = await t.throwsAsync(serve(server, wrong as never), {instanceOf: HttpError});
    t.is(error.code, 'OPTION_INVALID');
    t.regex(error.message, what);
  }
});
