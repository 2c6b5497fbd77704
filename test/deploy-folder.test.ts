/**
 * Proves that a folder which a deploy has taken away at the instant of a fault ends nobody's connection: who is in the middle of a
 * download goes on with it, who asks is told to come again, and when the folder is back it is served.
 *
 * To see it fail: in files/static-files.ts let a later generation fail without its folder, too.
 */
import {mkdtempSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {CheckingClient} from './support/http-client.js';
import {ServedFolder} from './support/service.js';
import {Wire} from './support/wire.js';

test('a fault while the folder is away', async t => {
  const parent = mkdtempSync(join(tmpdir(), 'zlr-deploy-'));
  t.teardown(() => rmSync(parent, {recursive: true}));
  const folder = mkdtempSync(join(parent, 'public-'));
  const content = Buffer.alloc(5_000_000, 'a piece of a large file ');
  writeFileSync(join(folder, 'large.bin'), content);
  writeFileSync(join(folder, 'small.txt'), 'small');
  const service = await ServedFolder.start(folder, `deploy-${process.pid}`);
  const download = await CheckingClient.open(service.port);
  download.write('GET /large.bin HTTP/1.1\r\nHost: deploy\r\n\r\n');
  const idle = await Wire.open(service.port);
  idle.get('/small.txt');
  t.is((await idle.answer()).body.toString(), 'small');

  // A slow reader: some of it comes before the fault, the rest behind it.
  let wake = (): void => {};
  const gate = new Promise<void>(resolve => {
    wake = resolve;
  });
  let pieces = 0;
  const whole = download.expect({path: '/large.bin', content}, async () => {
    if (++pieces > 3) await gate;
  });
  renameSync(folder, `${folder}-away`);
  process.kill(service.pid, 'SIGKILL');
  await service.until(() => service.serving === 2);
  const early = await Wire.open(service.port);
  early.get('/small.txt');
  const answer = await early.answer();
  t.is(answer.status, 503);
  early.close();
  wake();
  await whole;
  renameSync(`${folder}-away`, folder);
  idle.get('/small.txt');
  t.is((await idle.answer()).body.toString(), 'small', 'on a connection that was there before');
  idle.close();
  download.close();
  t.is(await service.stop(), 0);
});
