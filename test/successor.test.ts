/**
 * What a dead service held alone is free for its successor: its keeper, which shares its file table, closes all that has no
 * mark before the next generation starts.
 *
 * To see it fail: leave out close_the_rest() in native/keeper/keeper.c.
 */
import {writeFileSync} from 'node:fs';
import {createServer} from 'node:net';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {makeRunDir, Supervised} from '../packages/kernel-shim/test/supervised.js';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const {port} = server.address() as {port: number};
  await new Promise(resolve => server.close(resolve));
  return port;
}

/** What a service connects to; it notes who comes and who has gone. */
class Database {
  readonly port: Promise<number>;
  readonly #notes = new Set<string>();
  #wake: (() => void) | undefined;

  constructor(t: ExecutionContext) {
    const server = createServer(socket => {
      let who = '';
      socket.setEncoding('utf8').on('data', text => {
        who += text;
        this.#note(who);
      });
      socket.on('error', () => {});
      socket.on('close', () => this.#note(`end of ${who}`));
    });
    this.port = new Promise(resolve =>
      server.listen(0, '127.0.0.1', () => resolve((server.address() as {port: number}).port)),
    );
    t.teardown(() => server.close());
  }

  #note(what: string): void {
    this.#notes.add(what);
    this.#wake?.();
  }

  async until(what: string): Promise<void> {
    while (!this.#notes.has(what))
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
  }
}

test('a port, a lock on a file and a store in a file are free for the successor of a killed service, and its outgoing connections end', async t => {
  const folder = makeRunDir(t);
  const locked = join(folder, 'locked');
  writeFileSync(locked, '');
  const holder = fileURLToPath(new URL('fixtures/holder.mjs', import.meta.url));
  const database = new Database(t);
  const held = [`${await freePort()}`, join(folder, 'held.store'), locked, `${await database.port}`];
  const command = [process.execPath, holder, ...held];
  const {service, up} = await Supervised.start(t, {command, thresholdMs: 0});
  for (let life = 1, {pid} = up as {pid: number}, seen: object = up; life <= 4; life++) {
    t.like(seen, {up: life, lock: 0, bound: 'bound', opened: `life ${life}`});
    if (life === 3) await service.killSupervisor(); // the keeper decides alone from here on
    await database.until(`life ${life}`);
    process.kill(pid, 'SIGKILL');
    await database.until(`end of life ${life}`);
    const next = await service.next('up');
    [pid, seen] = [next.pid, next];
  }
});
