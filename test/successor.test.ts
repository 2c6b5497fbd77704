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
import test from 'ava';
import {makeRunDir, Supervised} from '../packages/kernel-shim/test/supervised.js';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const {port} = server.address() as {port: number};
  await new Promise(resolve => server.close(resolve));
  return port;
}

test('a port, a lock on a file and a store in a file are free for the successor of a killed service', async t => {
  const folder = makeRunDir(t);
  const locked = join(folder, 'locked');
  writeFileSync(locked, '');
  const holder = fileURLToPath(new URL('fixtures/holder.mjs', import.meta.url));
  const command = [process.execPath, holder, `${await freePort()}`, join(folder, 'held.store'), locked];
  const {service, up} = await Supervised.start(t, {command, thresholdMs: 0});
  for (let life = 1, {pid} = up as {pid: number}, seen: object = up; life <= 4; life++) {
    t.like(seen, {up: life, lock: 0, bound: 'bound', opened: `life ${life}`});
    if (life === 3) await service.killSupervisor(); // the keeper decides alone from here on
    process.kill(pid, 'SIGKILL');
    const next = await service.next('up');
    [pid, seen] = [next.pid, next];
  }
});
