// The clients of the restart bench, in a process of their own. One argument, JSON: see Task. Prints one Outcome.
import {readFileSync} from 'node:fs';
import {connect} from 'node:net';

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

/** Every client has received this much and waits, before any goes on. */
const GATE_BYTES = 64 * 1024;
/** Then each reads this much more at full speed: what comes now comes as it is sent, no queue is left from waiting. */
const FLOW_BYTES = 384 * 1024;
const CONNECT_BATCH = 100;
const TIME_LIMIT_MS = 60_000;

/** @type {Task} */
const {port, connections, path, file, pid} = JSON.parse(process.argv[2] ?? '');
const content = readFileSync(file);
const buffer = Buffer.alloc(256 * 1024);
const request = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`;

let phase = /** @type {'gate' | 'flow' | 'killed'} */ ('gate');
let passed = 0;
let done = 0;
let killedAt = 0;
let lastArrival = 0;
/** The longest time without a byte on any connection: the dead generation's bytes before it, the next one's after. */
const silence = {from: 0, to: 0};

class Client {
  /** Of the content; negative while the head is still to come. */
  at = -1;
  head = '';
  isThrough = false;
  /** @type {number[]} when bytes came, after the kill; the first one behind the silence is looked for at the end */
  arrivals = [];

  constructor() {
    this.socket = connect({
      port,
      host: '127.0.0.1',
      onread: {
        buffer,
        callback: (length, chunk) => this.receive(/** @type {Buffer} */ (chunk).subarray(0, length)),
      },
    });
    this.socket.on('connect', () => this.socket.write(request));
    this.socket.on('error', fail);
    this.socket.on('close', () => {
      if (this.at !== content.length)
        fail(new Error(`a connection ended at byte ${this.at} of ${content.length}`));
    });
  }

  /** @param {Buffer} bytes @returns {boolean} whether to go on reading */
  receive(bytes) {
    const now = performance.now();
    if (phase === 'killed') {
      if (now - lastArrival > silence.to - silence.from) {
        silence.from = lastArrival;
        silence.to = now;
      }
      this.arrivals.push(now);
    }
    lastArrival = now;
    this.check(bytes);
    if (phase === 'gate' && this.at >= GATE_BYTES && !this.isThrough) {
      this.pass();
      return false;
    }
    if (phase === 'flow' && this.at >= GATE_BYTES + FLOW_BYTES && !this.isThrough) this.pass();
    if (this.at === content.length) this.finish();
    return true;
  }

  /** @param {Buffer} bytes */
  check(bytes) {
    let from = 0;
    if (this.at < 0) {
      const before = this.head.length;
      this.head += bytes.toString('latin1', 0, Math.min(bytes.length, 4096));
      const end = this.head.indexOf('\r\n\r\n');
      if (end < 0) return;
      if (!this.head.startsWith('HTTP/1.1 200 '))
        fail(new Error(`not the answer expected: ${this.head.slice(0, end)}`));
      from = end + 4 - before;
      this.at = 0;
    }
    const length = bytes.length - from;
    if (bytes.compare(content, this.at, this.at + length, from) !== 0) {
      fail(new Error(`wrong bytes between ${this.at} and ${this.at + length}`));
    }
    this.at += length;
  }

  pass() {
    this.isThrough = true;
    passed++;
    if (passed < connections) return;
    passed = 0;
    if (phase === 'gate') {
      phase = 'flow';
      for (const client of clients) {
        client.isThrough = false;
        client.socket.resume();
      }
    } else {
      phase = 'killed';
      killedAt = performance.now();
      lastArrival = killedAt;
      process.kill(pid, 'SIGKILL');
    }
  }

  finish() {
    this.socket.destroy();
    done++;
    if (phase !== 'killed') fail(new Error('a download was over before the kill: the file is too small'));
    if (done === connections) report();
  }
}

function report() {
  const firsts = clients.map(({arrivals}) => arrivals.find(at => at >= silence.to) ?? Number.NaN);
  const missing = firsts.filter(Number.isNaN).length;
  if (missing > 0) fail(new Error(`${missing} connections had received all before the silence`));
  /** @type {Outcome} */
  const outcome = {
    drainedMs: silence.from - killedAt,
    firstMs: silence.to - killedAt,
    lastMs: firsts.reduce((most, at) => Math.max(most, at), 0) - killedAt,
    doneMs: lastArrival - killedAt,
    verifiedBytes: connections * content.length,
  };
  console.log(JSON.stringify(outcome));
  process.exit(0);
}

/** @param {Error} error @returns {never} */
function fail(error) {
  console.error(`clients: ${error.message}`);
  process.exit(1);
}

/** @type {Client[]} */
const clients = [];
function open() {
  for (let each = 0; each < CONNECT_BATCH && clients.length < connections; each++) clients.push(new Client());
  if (clients.length < connections) setTimeout(open, 1);
}
open();
setTimeout(
  () =>
    fail(new Error(`not over after ${TIME_LIMIT_MS / 1000} s: ${done} of ${connections}, phase ${phase}`)),
  TIME_LIMIT_MS,
).unref();
