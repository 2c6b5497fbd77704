// The clients of the restart bench, in a process of their own. One argument, JSON: see Task. Prints one Outcome.
//
// They read their sockets in turn without waiting, so that none is left behind and each byte is seen when it comes.
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {connect} from 'node:net';
import {constants} from 'node:os';
import {native} from '@zlr/kernel-shim/internal';
import {descriptorOf} from '../hread/socket-pair.mjs';

/**
 * @typedef {object} Task
 * @property {number} port
 * @property {number} connections
 * @property {string} path of the file on the server
 * @property {string} file the same file here
 * @property {number} pid of the process to kill
 */

/**
 * Milliseconds from the kill.
 * @typedef {object} Outcome
 * @property {number} drainedMs the last byte that the dead generation had left in the kernel
 * @property {number} firstMs the first byte that the next generation sent
 * @property {number} lastMs the first byte of the connection that had to wait longest
 * @property {number} doneMs the last byte of all
 * @property {number} verifiedBytes
 */

/** Every client has received this much and waits, before any goes on: the server is blocked by all of them. */
const GATE_BYTES = 64 * 1024;
/** Then each reads this much more at full speed: no queue is left from waiting, what comes now comes as it is sent. */
const FLOW_BYTES = 512 * 1024;
const CONNECT_BATCH = 100;
const READ_BYTES = 64 * 1024;
const TIME_LIMIT_MS = 60_000;
/** A generation takes longer than this to come, whatever the machine; a pause of these clients takes less. */
const SILENCE_MS = 30;
/** Between two looks while nothing comes: the core is not theirs alone. */
const NAP_MS = 0.2;

/** @type {Task} */
const {port, connections, path, file, pid} = JSON.parse(process.argv[2] ?? '');
const content = readFileSync(file);
const buffer = Buffer.alloc(READ_BYTES);
const request = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
const nap = new Int32Array(new SharedArrayBuffer(4));
const begin = performance.now();

class Client {
  /** Of the content; negative while the head is still to come. */
  at = -1;
  /** When bytes came, after the kill. @type {number[]} */
  arrivals = [];

  /** @param {number} fd */
  constructor(fd) {
    this.fd = fd;
  }

  /** @returns {boolean} whether there was anything to read */
  read() {
    const n = native().readSocket(this.fd, buffer, READ_BYTES);
    if (n === -constants.errno.EAGAIN) return false;
    if (n <= 0) throw new Error(`a connection ended at byte ${this.at} of ${content.length} (${n})`);
    let from = 0;
    if (this.at < 0) {
      // The server sends it in one piece with what follows.
      const end = buffer.subarray(0, n).indexOf('\r\n\r\n');
      const head = buffer.toString('latin1', 0, end);
      if (end < 0 || !head.startsWith('HTTP/1.1 200 ')) throw new Error(`not the answer expected: ${head}`);
      from = end + 4;
      this.at = 0;
    }
    const end = this.at + n - from;
    if (end > content.length || buffer.compare(content, this.at, end, from, n) !== 0) {
      throw new Error(`wrong bytes between ${this.at} and ${end} of ${content.length}`);
    }
    this.at = end;
    return true;
  }
}

async function open() {
  const request = [];
  for (let each = 0; each < Math.min(CONNECT_BATCH, connections - sockets.length); each++) {
    const socket = connect({port, host: '127.0.0.1', noDelay: true});
    socket.pause(); // Node is not to read it
    request.push(once(socket, 'connect').then(() => socket));
  }
  sockets.push(...(await Promise.all(request)));
}

/** Reads all clients in turn until each has come to a position. @param {number} position */
function readTo(position) {
  for (let behind = clients.length; behind > 0; ) {
    if (performance.now() - begin > TIME_LIMIT_MS)
      throw new Error(`${behind} clients came not to ${position}`);
    behind = 0;
    for (const client of clients) {
      if (client.at < position) client.read();
      if (client.at < position) behind++;
    }
  }
}

/** Reads on, those that are ahead as well, until the last has come to a position. @param {number} position */
function flowTo(position) {
  for (let behind = clients.length; behind > 0; ) {
    if (performance.now() - begin > TIME_LIMIT_MS)
      throw new Error(`${behind} clients came not to ${position}`);
    behind = 0;
    for (const client of clients) {
      if (client.at < content.length) client.read();
      if (client.at < position) behind++;
    }
  }
}

/** @returns {Outcome} */
function killAndReadToTheEnd() {
  const killedAt = performance.now();
  process.kill(pid, 'SIGKILL');
  // The longest time without a byte on any connection: the dead generation's bytes before it, the next one's after.
  const silence = {from: killedAt, to: killedAt};
  let last = killedAt;
  for (let left = clients.length; left > 0; ) {
    if (performance.now() - begin > TIME_LIMIT_MS) throw new Error(`${left} downloads did not end`);
    left = 0;
    const before = last;
    for (const client of clients) {
      if (client.at === content.length) continue;
      left++;
      if (!client.read()) continue;
      const now = performance.now();
      client.arrivals.push(now);
      if (now - last > silence.to - silence.from) {
        silence.from = last;
        silence.to = now;
      }
      last = now;
    }
    if (last === before) Atomics.wait(nap, 0, 0, NAP_MS);
  }
  if (silence.to - silence.from < SILENCE_MS) throw new Error('no time without a byte was seen');
  const firsts = clients.map(({arrivals}) => arrivals.find(at => at >= silence.to) ?? Number.NaN);
  const over = firsts.filter(Number.isNaN).length;
  if (over > 0)
    throw new Error(`${over} downloads were over before the next generation came: the file is too small`);
  return {
    drainedMs: silence.from - killedAt,
    firstMs: silence.to - killedAt,
    lastMs: firsts.reduce((most, at) => Math.max(most, at), 0) - killedAt,
    doneMs: last - killedAt,
    verifiedBytes: clients.length * content.length,
  };
}

/** @type {import('node:net').Socket[]} */
const sockets = [];
while (sockets.length < connections) await open();
const clients = sockets.map(socket => new Client(descriptorOf(socket)));
for (const socket of sockets) socket.write(request);
// What a socket could not write at once it writes now: from here on this process does nothing but read.
await new Promise(resolve => setImmediate(resolve));
readTo(GATE_BYTES);
flowTo(GATE_BYTES + FLOW_BYTES);
console.log(JSON.stringify(killAndReadToTheEnd()));
for (const socket of sockets) socket.destroy();
