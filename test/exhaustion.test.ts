/**
 * Many connections, and few descriptors: a fault costs none of those that were accepted, those that find no room wait until there is
 * some, and what a handover takes is never given to a connection.
 *
 * To see it fail: in native/reactor/reactor.c accept what there is; in native/keeper/keeper.c give zlr_hollow() no memory of the C
 * library.
 */
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {CheckingClient} from './support/http-client.js';
import {ServedFolder} from './support/service.js';

const content = Buffer.from('one of many\n');
const file = {path: '/file.txt', content};
const request = `GET ${file.path} HTTP/1.1\r\nHost: many\r\n\r\n`;

async function serve(t: ExecutionContext, files?: number): Promise<ServedFolder> {
  const folder = mkdtempSync(join(tmpdir(), 'zlr-many-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  writeFileSync(join(folder, file.path), content);
  const service = await ServedFolder.start(folder, `many-${process.pid}-${files ?? 'all'}`, files);
  t.teardown(async () => {
    if (!t.passed) t.log(service.log.slice(-20).join('\n'));
    await service.stop();
  });
  return service;
}

function ask(client: CheckingClient): Promise<void> {
  client.write(request);
  return client.expect(file, async () => {});
}

async function die(service: ServedFolder): Promise<void> {
  const {generation, pid} = service;
  process.kill(pid, 'SIGKILL');
  await service.until(() => service.serving > generation);
}

test.serial('more connections than one message carries are all handed over, again and again', async t => {
  const service = await serve(t);
  const clients = await Promise.all(Array.from({length: 600}, () => CheckingClient.open(service.port)));
  for (let fault = 0; fault < 3; fault++) {
    await Promise.all(clients.map(ask));
    await die(service);
  }
  await Promise.all(clients.map(ask));
  t.regex(service.log.at(-1)!, /goes on with 600 connections/);
  for (const client of clients) client.close();
});

test.serial(
  'with few descriptors nobody is accepted whom a fault would cost; who waits is served when there is room',
  async t => {
    const LIMIT = 256;
    const service = await serve(t, LIMIT);
    const clients = await Promise.all(Array.from({length: LIMIT}, () => CheckingClient.open(service.port)));
    const served: CheckingClient[] = [];
    const waiting = new Map(
      clients.map(client => {
        const answered = ask(client).then(() => {
          served.push(client);
          waiting.delete(client);
        });
        return [client, answered];
      }),
    );
    await service.until(() => service.log.some(line => line.includes('nobody is accepted')));
    const {channels} = JSON.parse(await service.zlr('status', '--json')) as {channels: number};
    while (served.length < channels - 1) await Promise.race(waiting.values());
    t.true(served.length > LIMIT / 3 && served.length < LIMIT - 64, `${served.length} are served`);

    for (let fault = 0; fault < 2; fault++) {
      await die(service);
      await Promise.all(served.map(ask));
    }
    // Who leaves makes room for another, and no more: only what else a generation has open varies by a few.
    for (const client of served.splice(0, 8)) client.close();
    while (waiting.size > 0) {
      served.shift()!.close();
      await Promise.race(waiting.values());
    }
    const now = JSON.parse(await service.zlr('status', '--json')) as {channels: number};
    t.true(now.channels <= channels + 8, `${now.channels} channels, ${channels} before`);
    await die(service);
    await Promise.all(served.map(ask));
    t.is(service.generation, 4, 'nobody but the test has ended one');
    t.is(service.log.filter(line => line.includes('nobody is accepted')).length, 3, 'each life says it once');
    for (const client of served) client.close();
  },
);
