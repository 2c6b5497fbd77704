// The README's program is the one in examples/, and does what the README says.
import {readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {ownExample} from '../../hread/test/helpers/example.js';
import {Supervised} from '../../hread/test/helpers/supervised.js';
import {exchangeOnce, get, HttpClient, Site} from './helpers/site.js';

const example = fileURLToPath(new URL('../../../examples/static-site.mjs', import.meta.url));

test('the example of the README is the program in examples/, and its download outlives a SIGSEGV', async t => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const shown = /```js\n(import \{StaticServer[\s\S]*?)```/.exec(readme)?.[1];
  t.true(readFileSync(example, 'utf8').endsWith(shown ?? 'nothing is shown'));

  const site = new Site(t, {'small.txt': 10, 'large.bin': 8_000_000});
  const program = ownExample(t, example);
  const service = await Supervised.start(t, () => [process.execPath, program, site.root, '0']);
  const client = await HttpClient.open(service.port, {read: false});
  client.send(get('/large.bin'));
  t.is((await exchangeOnce(service.port, get('/small.txt'))).status, 200);
  process.kill(service.pid, 'SIGSEGV');
  await service.until(() => service.log.some(line => /^listening on port \d+, [1-9]/.test(line)));
  client.client.socket.resume();
  t.true((await client.answer()).body.equals(site.get('large.bin')));
  await client.close();
  service.signal('SIGTERM');
  t.is(await service.ended(), 0);
});
