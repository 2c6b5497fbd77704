// How `zlr serve` ends: nothing in flight is cut.
import {once} from 'node:events';
import {connect} from 'node:net';
import test from 'ava';
import {content, serve} from './served-folder.js';

test('Ctrl-C, pressed twice, lets a response in flight finish', async t => {
  const {server, host, port} = await serve(t);
  const socket = connect({
    port,
    host,
    onread: {buffer: Buffer.alloc(65_536), callback},
  });
  const chunks: Buffer[] = [];
  function callback(bytes: number, buffer: Uint8Array): boolean {
    chunks.push(Buffer.from(buffer.subarray(0, bytes)));
    if (chunks.length === 1) socket.emit('first');
    return chunks.length > 1; // what follows the first chunk waits in the kernel and in the server
  }
  socket.write('GET /big.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  await once(socket, 'first');

  server.pressCtrlC();
  server.pressCtrlC();
  socket.resume();
  await once(socket, 'end');
  const whole = Buffer.concat(chunks);
  t.true(whole.subarray(whole.indexOf('\r\n\r\n') + 4).equals(content));
  const outcome = await server.outcome;
  t.is(outcome.stderr, '');
  t.is(outcome.exitCode, 0);
});
