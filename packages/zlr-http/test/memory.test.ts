/*
 * What connections cost in shared memory: pages that are touched, as the kernel counts them. The thesis' server took 92,040 bytes
 * for 100 clients with half a request each.
 *
 * To see it fail: let zlr_hold_room() take a large extent at once.
 */
import {readFileSync} from 'node:fs';
import test from 'ava';
import {exchangeOnce, get, HttpClient, PlainServer, Site} from './helpers/site.js';

/** Bytes of the server's segment that are in memory. */
function touched(pid: number): number {
  const maps = readFileSync(`/proc/${pid}/smaps`, 'utf8').split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/);
  const segments = maps.filter(map => map.includes('/SYSV'));
  return segments.reduce((sum, map) => sum + Number(/^Rss:\s+(\d+) kB/m.exec(map)![1]) * 1024, 0);
}

test('100 clients with half a request each touch less than the server of the thesis took for them', async t => {
  const site = new Site(t, {'small.txt': 100});
  const server = await PlainServer.start(t, site.root);
  // Whatever a request touches, one has touched.
  await exchangeOnce(server.port, get('/small.txt'));
  const before = touched(server.pid);
  const clients = await Promise.all(Array.from({length: 100}, () => HttpClient.open(server.port)));
  await exchangeOnce(server.port, get('/small.txt'));
  const idle = touched(server.pid) - before;
  for (const client of clients) client.send(get('/small.txt').slice(0, 30));
  // Level-triggered: all that came before this request was read before it, or in the turn behind it.
  await exchangeOnce(server.port, get('/small.txt'));
  await exchangeOnce(server.port, get('/small.txt'));
  const half = touched(server.pid) - before;
  t.log(`${idle} bytes for 100 idle ones, ${half} for 100 with half a request`);
  t.true(half > idle, 'they are held');
  t.true(half <= 92_040);
  for (const client of clients) {
    client.send(get('/small.txt').slice(30));
    t.is((await client.answer()).status, 200);
    await client.close();
  }
});
