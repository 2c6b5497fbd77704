/**
 * Any node program under `zlr run --keep-ports`: while it is killed again and again, nobody who connects is refused, and who comes while
 * nobody is there is served by the next generation.
 *
 * To see it fail: in keep-ports.ts let Node open every listening socket.
 */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {connect, createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {Random} from './support/random.js';

const zlr = fileURLToPath(new URL('../packages/cli/bin/zlr.js', import.meta.url));
const KILLS = Number(process.env['ZLR_PORT_KILLS'] ?? 15);
const CLIENTS = 8;

const {resolve: packageOf} = createRequire(import.meta.url);

const programs = {
  'an HTTP server': `require('node:http').createServer((_, response) => response.end('answer'))
    .listen(+process.env.PORT, '127.0.0.1', () => console.log(process.pid));`,
  'an Express program': `const app = require(${JSON.stringify(packageOf('express'))})();
    app.get('/', (_, response) => response.send('answer'));
    app.listen(+process.env.PORT, '127.0.0.1', () => console.log(process.pid));`,
  'a Fastify program': `const app = require(${JSON.stringify(packageOf('fastify'))})();
    app.get('/', async () => 'answer');
    app.listen({port: +process.env.PORT, host: '127.0.0.1'}).then(() => console.log(process.pid));`,
  'a TCP server': `require('node:net').createServer(socket => socket.on('error', () => {}).once('data', () => socket.end('answer')))
    .listen(+process.env.PORT, '127.0.0.1', () => console.log(process.pid));`,
};

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const {port} = server.address() as {port: number};
  server.close();
  await once(server, 'close');
  return port;
}

class Service {
  pids: number[] = [];
  log = '';
  #wake: (() => void) | undefined;

  constructor(t: ExecutionContext, script: string, port: number) {
    const folder = mkdtempSync(join(tmpdir(), 'zlr-ports-'));
    writeFileSync(join(folder, 'program.cjs'), script);
    const options = ['--keep-ports', '--name', `ports-${process.pid}-${port}`, '--threshold', '0'];
    const child = spawn(
      process.execPath,
      [zlr, 'run', ...options, '--', process.execPath, join(folder, 'program.cjs')],
      {
        env: {...process.env, ZLR_RUN_DIR: join(folder, 'run'), PORT: String(port)},
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const closed = once(child, 'close');
    createInterface(child.stdout).on('line', line => {
      this.pids.push(Number(line));
      this.#wake?.();
    });
    child.stderr.setEncoding('utf8').on('data', text => {
      this.log += text;
    });
    t.teardown(async () => {
      child.kill('SIGTERM');
      await closed;
      rmSync(folder, {recursive: true});
    });
  }

  async generation(number: number): Promise<number> {
    while (this.pids.length < number)
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
    return this.pids[number - 1]!;
  }
}

type Outcome = 'answered' | 'cut' | 'refused';

async function ask(port: number): Promise<Outcome> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  let failure = '';
  socket.setEncoding('utf8').on('data', text => {
    answer += text;
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    failure = error.code ?? '';
  });
  socket.write('GET / HTTP/1.1\r\nHost: ports\r\nConnection: close\r\n\r\n');
  await once(socket, 'close').catch(() => {});
  if (failure === 'ECONNREFUSED') return 'refused';
  return /answer(\r\n0\r\n\r\n)?$/.test(answer) ? 'answered' : 'cut';
}

for (const [what, script] of Object.entries(programs))
  test.serial(`${what} that is killed again and again refuses nobody`, async t => {
    const random = Random.fromEnvironment();
    t.log(`seed ${random.seed}`);
    const port = await freePort();
    const service = new Service(t, script, port);
    await service.generation(1);
    const counts = {answered: 0, cut: 0, refused: 0};
    let isOver = false;
    const clients = Array.from({length: CLIENTS}, async () => {
      while (!isOver) counts[await ask(port)]++;
    });
    for (let kill = 1; kill <= KILLS; kill++) {
      const pid = await service.generation(kill);
      await delay(random.below(100));
      process.kill(pid, 'SIGKILL');
    }
    await service.generation(KILLS + 1);
    isOver = true;
    await Promise.all(clients);
    t.log(`${counts.answered} answered, ${counts.cut} cut in an exchange, over ${KILLS} kills`);
    t.is(counts.refused, 0, service.log);
    t.true(counts.answered > KILLS);
    t.true(counts.cut <= KILLS * CLIENTS, 'only those that were being answered');
  });

test.serial('who comes while nobody is there is served', async t => {
  const port = await freePort();
  const service = new Service(t, programs['an HTTP server'], port);
  const first = await service.generation(1);
  process.kill(first, 'SIGKILL');
  t.is(await ask(port), 'answered');
  t.is(service.pids.length, 2);
});
