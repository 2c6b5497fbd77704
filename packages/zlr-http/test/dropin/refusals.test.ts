/** What cannot be kept is said in a line, and the program runs as it would without. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';

const zlr = fileURLToPath(new URL('../../../cli/bin/zlr.js', import.meta.url));
let nextNumber = 1;

/** Runs a program that ends by itself under `zlr run --http`. */
async function run(t: ExecutionContext, script: string, nodeOptions: string[] = [], options: string[] = []) {
  const folder = mkdtempSync(join(tmpdir(), 'zlr-test-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  const program = join(folder, 'program.cjs'); // a worker of a text, `eval`, would not be given what is loaded before
  writeFileSync(program, script);
  const name = `refused-${process.pid}-${nextNumber++}`;
  const child = spawn(
    process.execPath,
    [zlr, 'run', '--http', '--name', name, ...options, '--', process.execPath, ...nodeOptions, program],
    {env: {...process.env, ZLR_RUN_DIR: join(folder, 'run')}, stdio: ['ignore', 'pipe', 'pipe']},
  );
  const out = {stdout: '', stderr: ''};
  child.stdout.setEncoding('utf8').on('data', text => {
    out.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', text => {
    out.stderr += text;
  });
  const [exitCode] = await once(child, 'close');
  return {exitCode, ...out};
}

/** Serves one request, prints the answer and ends. */
const serveOnce = `
  const http = require('node:http');
  const server = http.createServer((request, response) => response.end('served'));
  server.listen(0, '127.0.0.1', () => http.get({port: server.address().port, agent: false}, response => {
    response.setEncoding('utf8').on('data', text => console.log(text));
    response.on('end', () => server.close());
  }));`;

test('a program that ends by itself ends the command, and leaves nothing', async t => {
  t.deepEqual(await run(t, serveOnce), {exitCode: 0, stdout: 'served\n', stderr: ''});
});

test('without its native part it says so, and the program runs', async t => {
  const {exitCode, stdout, stderr} = await run(t, serveOnce, ['--no-addons']);
  t.is(exitCode, 0);
  t.is(stdout, 'served\n');
  t.regex(stderr, /^zlr: this program's HTTP connections are not kept: .*--no-addons/);
  t.is(stderr.trim().split('\n').length, 1);
});

test('a server in a worker thread is served, and said not to be kept', async t => {
  const script = `
    const {isMainThread, Worker} = require('node:worker_threads');
    if (isMainThread) new Worker(__filename);
    else { ${serveOnce} }`;
  const {exitCode, stdout, stderr} = await run(t, script);
  t.is(exitCode, 0);
  t.is(stdout, 'served\n');
  t.is(stderr, 'zlr: the connections of an HTTP server of a worker thread are not kept: they end with it\n');
});

test('a cluster worker is served, and said not to be kept', async t => {
  const script = `
    const cluster = require('node:cluster');
    if (cluster.isPrimary) cluster.fork().on('exit', code => process.exit(code));
    else { ${serveOnce}; server.on('close', () => process.disconnect()); }`;
  const {exitCode, stdout, stderr} = await run(t, script);
  t.is(exitCode, 0);
  t.is(stdout, 'served\n');
  t.is(stderr, 'zlr: the connections of an HTTP server of a cluster worker are not kept: they end with it\n');
});

test('a port that is in use is told by Node, in its own words', async t => {
  const script = `
    const http = require('node:http');
    const first = http.createServer().listen(0, '127.0.0.1', () => {
      const second = http.createServer().listen(first.address().port, '127.0.0.1');
      second.on('error', error => {
        console.log(error.code, error.syscall);
        first.close();
      });
    });`;
  t.deepEqual(await run(t, script), {exitCode: 0, stdout: 'EADDRINUSE listen\n', stderr: ''});
});

test('files, pipes and all other sockets pass by; the connections of an HTTP server are seen', async t => {
  const script = `
    const {spawn} = require('node:child_process');
    const {once} = require('node:events');
    const fs = require('node:fs');
    const http = require('node:http');
    const net = require('node:net');
    (async () => {
      const {native} = await import('${import.meta.resolve('@zlr/kernel-shim/internal')}');
      const names = ['reads', 'writes', 'closes', 'answers'];
      const show = (before, after) => console.log(names.map(name => after[name] - before[name]).join(' '));
      const before = native().exchangeTally();
      await fs.promises.copyFile(__filename, __filename + '.copy');
      await fs.promises.readFile(__filename + '.copy');
      const cat = spawn('cat', {stdio: ['pipe', 'pipe', 'inherit']});
      cat.stdin.end('through a pipe');
      for await (const _ of cat.stdout);
      for (const where of [{port: 0, host: '127.0.0.1'}, {path: __filename + '.sock'}]) {
        const server = net.createServer(socket => socket.end('hello')).listen(where);
        await once(server, 'listening');
        const address = server.address();
        for await (const _ of net.connect(address.port ? {port: address.port} : address));
        server.close();
      }
      const onPath = http.createServer((_, response) => response.end('hello')).listen(__filename + '.http');
      await once(onPath, 'listening');
      const [answer] = await once(http.get({socketPath: __filename + '.http', agent: false}), 'response');
      for await (const _ of answer);
      onPath.close();
      const between = native().exchangeTally();
      show(before, between);
      const server = http.createServer((_, response) => response.end('hello')).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const [seen] = await once(http.get({port: server.address().port, agent: false}), 'response');
      for await (const _ of seen);
      server.close();
      await once(server, 'close');
      const [reads, writes, closes, answers] = names.map(name => native().exchangeTally()[name] - between[name]);
      console.log(reads > 0, writes, closes, answers);
    })();`;
  t.deepEqual(await run(t, script), {exitCode: 0, stdout: '0 0 0 0\ntrue 1 1 1\n', stderr: ''});
});

for (const [problem, options] of [
  [/--rerun takes idempotent or all, not 'some'/, ['--rerun', 'some']],
  [/--attempts takes a number from 0 to 999999, not 'x'/, ['--attempts', 'x']],
] as const) {
  test(`${options.join(' ')} is refused`, async t => {
    const {exitCode, stderr} = await run(t, serveOnce, [], [...options]);
    t.is(exitCode, 2);
    t.regex(stderr, problem);
  });
}
