// What `zlr serve` does when it cannot listen: it says so once, and leaves no state behind.
import {once} from 'node:events';
import {createServer} from 'node:net';
import test from 'ava';
import {CommandLine} from './command-line.js';
import {folder} from './served-folder.js';

test('a port that is taken is a failure that names it, not a service that keeps crashing', async t => {
  const holder = createServer().listen(0, '127.0.0.1');
  t.teardown(() => holder.close());
  await once(holder, 'listening');
  const {port} = holder.address() as {port: number};
  const commandLine = new CommandLine(t);
  const outcome = await commandLine.run(
    'serve',
    folder(t),
    '--port',
    `${port}`,
    '--name',
    commandLine.serviceName,
  );
  t.not(outcome.exitCode, 0);
  t.regex(outcome.stderr, new RegExp(`${port}`));
  t.notRegex(outcome.stderr, /in a row/);
});
