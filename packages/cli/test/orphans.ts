// For a shared-memory namespace of its own: stores in all states of use, and what `zlr ls` and `zlr rm --orphaned` make of
// them, as one line of JSON.
import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {openStore, t} from '@zlr/state-store';

const schema = {n: t.u32};
const [role, name] = process.argv.slice(2);
const self = fileURLToPath(import.meta.url);
const command = fileURLToPath(new URL('../bin/zlr.js', import.meta.url));

/** Another process that writes or reads a store until it is killed. */
async function other(role: string, name: string) {
  const child = spawn(process.execPath, ['--import=tsx', self, role, name], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(createInterface(child.stdout), 'line');
  return child;
}

function zlr(...args: string[]): string {
  return spawnSync(process.execPath, [command, ...args]).stdout.toString();
}

if (role) {
  const store = await openStore({name: name!, size: '64KB', schema, readonly: role === 'read'});
  console.log(store.info().name);
  process.stdin.resume();
} else {
  // A store's bell lies in /dev/shm, which no namespace of segments divides: a name that no store of this user has.
  const named = (what: string) => `${what}-${process.pid}`;
  const mine = await openStore({name: named('written'), size: '64KB', schema});
  const closing = await other('write', named('closed'));
  closing.stdin.end();
  await once(closing, 'close');
  const dying = await other('write', named('left'));
  dying.kill('SIGKILL');
  await once(dying, 'close');
  const writer = await other('write', named('attached'));
  const reader = await other('read', named('attached'));
  writer.kill('SIGKILL');
  await once(writer, 'close');
  const before = zlr('ls');
  const removed = zlr('rm', '--orphaned');
  const after = zlr('ls');
  reader.kill('SIGKILL');
  mine.destroy();
  console.log(JSON.stringify({before, removed, after}));
}
