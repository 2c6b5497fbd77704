/**
 * Nobody has to listen: whatever becomes of standard output and error, a service goes on, and a fault costs what it always costs.
 *
 * To see it fail: write lines with console.error in supervisor.ts and serve-main.ts.
 */
import {execFileSync, spawn} from 'node:child_process';
import {once} from 'node:events';
import {closeSync, constants, mkdirSync, openSync, writeFileSync, writeSync} from 'node:fs';
import {connect, createServer, type Socket} from 'node:net';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import {CommandLine, zlr} from './command-line.js';

const {O_NONBLOCK, O_RDONLY, O_WRONLY} = constants;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const {port} = server.address() as {port: number};
  server.close();
  await once(server, 'close');
  return port;
}

async function connected(port: number): Promise<Socket> {
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const isUp = await new Promise<boolean>(resolve => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    if (isUp) return socket;
    await delay(20);
  }
}

async function ask(socket: Socket): Promise<string> {
  socket.write('GET /a.txt HTTP/1.1\r\nHost: mute\r\n\r\n');
  return String((await once(socket, 'data'))[0]);
}

/** What a service gets for its output; `later` is what happens to it when the service is up. */
const outputs: Record<string, (folder: string) => {fd: number; later: () => void}> = {
  'is full, and never read': folder => {
    const {path, reader} = fifo(folder);
    const fd = openSync(path, O_WRONLY);
    const filler = openSync(path, O_WRONLY | O_NONBLOCK);
    try {
      for (;;) writeSync(filler, 'x'.repeat(4096));
    } catch {
      closeSync(filler); // it is full
    }
    return {fd, later: () => closeSync(reader)};
  },
  'loses its reader': folder => {
    const {path, reader} = fifo(folder);
    const fd = openSync(path, O_WRONLY);
    closeSync(reader);
    return {fd, later: () => {}};
  },
};

function fifo(folder: string): {path: string; reader: number} {
  const path = join(folder, 'output');
  execFileSync('mkfifo', [path]);
  return {path, reader: openSync(path, O_RDONLY | O_NONBLOCK)};
}

for (const [what, open] of Object.entries(outputs))
  test(`a service whose output ${what}, goes on, and a fault costs its connections nothing`, async t => {
    const cli = new CommandLine(t);
    const folder = join(cli.runDir, 'served');
    mkdirSync(folder);
    writeFileSync(join(folder, 'a.txt'), 'still here');
    const port = await freePort();
    const {fd, later} = open(folder);
    const child = spawn(
      process.execPath,
      [zlr, 'serve', folder, '--port', String(port), '--name', cli.serviceName, '--threshold', '0'],
      {env: {...process.env, ZLR_RUN_DIR: cli.runDir}, stdio: ['ignore', fd, fd]},
    );
    const exited = once(child, 'exit');
    t.teardown(() => child.kill('SIGTERM'));
    closeSync(fd);
    const socket = await connected(port);
    t.regex(await ask(socket), /still here$/);
    const status = async (): Promise<{pid: number; generation: number}> => {
      const {stdout, stderr} = await cli.run('status', '--json');
      t.is(stderr, '');
      return JSON.parse(stdout);
    };
    for (let fault = 1; fault <= 3; fault++) {
      process.kill((await status()).pid, 'SIGKILL');
      t.regex(await ask(socket), /still here$/);
      t.is((await status()).generation, fault + 1);
      if (fault === 1) later();
    }
    socket.destroy();
    child.kill('SIGTERM');
    t.deepEqual(await exited, [0, null]);
  });
