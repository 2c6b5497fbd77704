// Takes parts of files by a binary protocol: each message is its length (four bytes, big-endian) and that many bytes. The first one
// is a token, which is checked elsewhere; the others are parts of up to 400 KB; an empty one ends the upload.
//   npx zlr run --name upload -- node examples/upload/server.mjs 7001
import {setTimeout as delay} from 'node:timers/promises';
import * as zlib from 'node:zlib';
import {createServer} from '@zlr/hread';
import {t} from '@zlr/state-store';

const LONGEST = 400_000;

const server = await createServer({
  name: process.argv[3] ?? 'upload',
  state: {uploads: t.uint, bytes: t.uint},
  connection: {stage: t.enum('greeting', 'sending'), parts: t.u32, sum: t.u32},
  unitBytes: 2 ** 19,
  async input(client) {
    if (client.heldBytes < 4) return;
    const length = client.peek(4).readUInt32BE();
    if (length > LONGEST) {
      client.commit(client.heldBytes, () => answer(client, 'too long').end());
      return;
    }
    if (client.heldBytes < 4 + length) return;
    const message = client.peek(4 + length).subarray(4);
    // A step of the connection's state machine: what it comes to is recorded with the consumed message and the answer.
    const step = client.data.stage === 'greeting' ? await greet(message) : take(client.data, message);
    client.commit(4 + length, () => step(client));
  },
});

async function greet(message) {
  const isKnown = await check(message.toString());
  return client => {
    if (!isKnown) return void answer(client, 'unknown').end();
    client.data.stage = 'sending';
    answer(client, 'welcome');
  };
}

function take({parts, sum}, message) {
  const next = checksum(message, sum);
  return client => {
    if (message.length === 0) {
      server.state.uploads++;
      Object.assign(client.data, {parts: 0, sum: 0});
      answer(client, `done ${parts} ${sum} upload ${server.state.uploads}`);
      return;
    }
    Object.assign(client.data, {parts: parts + 1, sum: next});
    server.state.bytes += message.length;
    answer(client, `part ${parts + 1} ${next}`);
  };
}

/** Somebody who is asked over the network, perhaps twice for one upload. */
async function check(token) {
  await delay(5);
  return token.startsWith('token-');
}

// Node 20.19 has it not.
const checksum = (bytes, before) =>
  zlib.crc32?.(bytes, before) ?? bytes.reduce((sum, byte) => (sum * 31 + byte) >>> 0, before);

function answer(client, text) {
  const message = Buffer.alloc(4 + text.length);
  message.writeUInt32BE(text.length);
  message.write(text, 4, 'latin1');
  return client.send(message);
}

const {port} = await server.listen({port: Number(process.argv[2] ?? 0)});
if (server.generation === 1) console.log(`listening on ${port}`);
else console.error(`zlr: generation ${server.generation} goes on with ${server.recovered.recovered} uploads`);
