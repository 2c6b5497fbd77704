/* The example of each package's README, run as it stands there in the folder of an installed package. */
import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {connect} from 'node:net';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import type {ExecutionContext} from 'ava';
import {found, type Place} from './packed.js';

let nextNumber = 1;

/** Writes the first program of a README into the place; only the names of its state and its port are its own. */
function program(place: Place, name: string, replaced: Record<string, string> = {}): string {
  const readme = readFileSync(join(place.installed(name), 'README.md'), 'utf8');
  const code = /```js\n([\s\S]*?)```/.exec(readme)?.[1];
  if (code === undefined) throw new Error(`the README of ${name} has no example`);
  let own = code.replace(/name: '[a-z]+'/, `name: 'packed-${process.pid}-${nextNumber++}'`);
  for (const [from, to] of Object.entries(replaced)) own = own.replace(from, to);
  const file = `example-${nextNumber++}.mjs`;
  writeFileSync(join(place.app, file), own);
  return file;
}

/** A program that goes on until it is told to end. */
class Running {
  readonly #process: ChildProcess;
  readonly #closed: Promise<unknown[]>;
  readonly #said: AsyncIterator<string>;
  stderr = '';

  constructor(place: Place, ...args: string[]) {
    this.#process = spawn(found('node', place.env['PATH']!)!, args, {
      cwd: place.app,
      env: place.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#closed = once(this.#process, 'close');
    this.#process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.#said = createInterface(this.#process.stdout!)[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    const {done, value} = await this.#said.next();
    if (done) throw new Error(`it ended early: ${this.stderr}`);
    return value;
  }

  async end(): Promise<unknown> {
    this.#process.kill('SIGTERM');
    return (await this.#closed)[0];
  }
}

async function during(t: ExecutionContext, running: Running, use: () => Promise<void>): Promise<void> {
  try {
    await use();
  } finally {
    t.is(await running.end(), 0, running.stderr);
  }
}

/** A connection over which lines go to and fro. */
function lines(port: number): {ask(line: string): Promise<string>; close(): void} {
  const socket = connect(port, '127.0.0.1');
  const answers = createInterface(socket)[Symbol.asyncIterator]();
  return {
    async ask(line) {
      socket.write(`${line}\n`);
      return (await answers.next()).value as string;
    },
    close: () => void socket.destroy(),
  };
}

const lastNumber = (line: string): number => Number(/(\d+)\D*$/.exec(line)![1]);

export const examples: Record<string, (t: ExecutionContext, place: Place) => Promise<void>> = {
  async '@zlr/state-store'(t, place) {
    const shop = program(place, '@zlr/state-store');
    const path = `./${shop}.store`;
    for (const [backend, second] of [
      ['memory', 1],
      ['sysv', 2],
      ['file', 2],
    ] as const) {
      t.regex((await place.node(shop, backend, path)).stdout, /^start 1, 1 hits/, backend);
      t.regex((await place.node(shop, backend, path)).stdout, new RegExp(`^start ${second}, `), backend);
    }
    const code = readFileSync(join(place.app, shop), 'utf8').replace('store.close()', 'store.destroy()');
    writeFileSync(join(place.app, shop), code);
    await place.node(shop, 'sysv');
  },

  async '@zlr/kernel-shim'(t, place) {
    const greeter = new Running(place, program(place, '@zlr/kernel-shim', {8080: '0'}));
    await during(t, greeter, async () => {
      const client = lines(lastNumber(await greeter.line()));
      const [, pid] = /^generation 1, pid (\d+)$/.exec(await client.ask('hello'))!;
      process.kill(Number(pid), 'SIGSEGV');
      t.regex(await client.ask('hello'), /^generation 2, /);
      client.close();
    });
  },

  async '@zlr/hread'(t, place) {
    const server = new Running(place, program(place, '@zlr/hread'));
    await during(t, server, async () => {
      const client = lines(lastNumber(await server.line()));
      t.is(await client.ask('first'), '1 first');
      t.is(await client.ask('second'), '2 second');
      client.close();
    });
  },

  async '@zlr/stages'(t, place) {
    const {stdout} = await place.node(program(place, '@zlr/stages'));
    t.is(stdout, 'shipped 5 orders of 1500 in all\n');
  },

  async '@zlr/http'(t, place) {
    mkdirSync(join(place.app, 'public'), {recursive: true});
    writeFileSync(join(place.app, 'public/index.html'), 'hello');
    const site = new Running(place, program(place, '@zlr/http', {8080: '0'}));
    await during(t, site, async () => {
      const [, port] = /port (\d+)/.exec(await site.line())!;
      t.is(await (await fetch(`http://127.0.0.1:${port}/`)).text(), 'hello');
    });
  },

  async zlr(t, place) {
    const zlr = 'node_modules/zlr/bin/zlr.js';
    mkdirSync(join(place.app, 'public'), {recursive: true});
    writeFileSync(join(place.app, 'public/index.html'), 'hello');
    t.regex((await place.node(zlr, '--version')).stdout, /^\d+\.\d+\.\d+\n$/);
    const name = `packed-${process.pid}-${nextNumber++}`;
    const served = new Running(place, zlr, 'serve', './public', '--port', '0', '--name', name);
    await during(t, served, async () => {
      const port = lastNumber(await served.line());
      const get = async () => (await fetch(`http://127.0.0.1:${port}/`)).text();
      t.is(await get(), 'hello');
      const status = async () =>
        JSON.parse((await place.node(zlr, 'status', '--name', name, '--json')).stdout) as {
          pid: number;
          generation: number;
        };
      process.kill((await status()).pid, 'SIGSEGV');
      t.is(await get(), 'hello');
      t.is((await status()).generation, 2);
    });
  },
};
