// A service whose input the kernel holds: it tells each client, as JSON, which life it is and what is held, whenever that
// changes. "!" deletes all that is held but the last three bytes. With a number of a service it stands by for it first.
import {openSync, writeSync} from 'node:fs';
import {createServer} from 'node:net';

const root = new URL('../../../packages/', import.meta.url);
const [shim, hread, store] = await Promise.all(
  ['kernel-shim', 'hread', 'state-store'].map(name => import(new URL(`${name}/dist/index.js`, root).href)),
);

/** @param {unknown} value */
const say = value =>
  console.log(JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? `${each}` : each)));

/** @param {number} fd */
function serve(fd) {
  const stream = new hread.KernelStream(fd);
  const tell = () =>
    writeSync(fd, `${JSON.stringify({generation: shim.generation(), held: stream.held.toString()})}\n`);
  if (shim.generation() > 1) tell();
  const turn = () => {
    const n = stream.hread(1000);
    if (n === 0) return;
    if (n > 0) {
      if (stream.held.toString().endsWith('!')) stream.hread(0, stream.length - 3);
      tell();
    }
    setImmediate(turn);
  };
  turn();
}

const [standFor] = process.argv.slice(2);
if (standFor) {
  const taking = shim.standBy(BigInt(standFor));
  say({standing: true});
  await taking;
}
const left = shim.getreginfo();
const segments = shim.notedSegments();
let listening = -1;
for (const fd of left?.channels ?? []) {
  if (shim.localAddress(fd).listening) listening = fd;
  else serve(fd);
}
if (listening < 0) {
  // Channels keep their numbers, and one that stands by must not have anything there: here they lie above what it opens itself.
  for (let spare = 0; spare < 24; spare++) openSync('/dev/null', 'r');
  listening = shim.listen('127.0.0.1', 0);
}
shim.reregist();
const kept = await store.openStore({
  name: 'streams',
  backend: 'sysv',
  size: 2 ** 20,
  schema: {lives: store.t.u32},
});
kept.root.lives++;
createServer({pauseOnConnect: true}, socket => {
  serve(/** @type {{_handle: {fd: number}}} */ (/** @type {unknown} */ (socket))._handle.fd);
}).listen({fd: listening});
say({
  up: shim.generation(),
  pid: process.pid,
  port: shim.localAddress(listening).port,
  service: shim.serviceNumber(),
  noted: shim.noteSegments(),
  segments,
  lives: kept.root.lives,
});
