// The clients of the takeover bench, in a process of their own. One argument, JSON: see Task. Says `ready` when each has been answered once; `event` on standard
// input is the moment that is looked at, `end` the end; then it prints one Outcome.
import {connect} from 'node:net';
import {createInterface} from 'node:readline';

/**
 * @typedef {object} Task
 * @property {number} port
 * @property {number} connections keep-alive, each asks again some time after it was answered
 * @property {string} path
 */

/**
 * @typedef {object} Outcome
 * @property {number} answered since the event
 * @property {number} cut connections that ended unasked, with or without a request on its way
 * @property {number} refused tries to connect
 * @property {number} gapMs the longest time without an answer on any connection
 * @property {number} worstMs the longest that a client waited for an answer, new connections and tries in it
 */

/** All of them together ask so often. */
const REQUESTS_PER_SECOND = 2_000;
const CONNECT_BATCH = 200;
const RETRY_MS = 5;
const LINGER_MS = 20_000;

/** @type {Task} */
const {port, connections, path} = JSON.parse(process.argv[2] ?? '');
const request = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
const thinkMs = (connections / REQUESTS_PER_SECOND) * 1000;

const outcome = {answered: 0, cut: 0, refused: 0, gapMs: 0, worstMs: 0};
let eventAt = Number.POSITIVE_INFINITY;
let lastAnswer = 0;
let isOver = false;
let waiting = 0;
let first = 0;
/** @type {() => void} */
let wake = () => {};

class Client {
  /** When it began to want the answer that it waits for; 0: it wants none. */
  since = 0;
  isFirst = true;
  text = '';

  open() {
    this.text = '';
    const socket = connect({port, host: '127.0.0.1', noDelay: true});
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('connect', () => {
      if (this.since > 0) socket.write(request);
    });
    socket.on('data', text => this.take(`${text}`));
    socket.on('error', error => {
      if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ECONNREFUSED') outcome.refused++;
    });
    socket.on('close', () => {
      if (isOver && this.since === 0) return;
      if (socket.bytesWritten > 0) outcome.cut++;
      setTimeout(() => this.open(), RETRY_MS);
    });
  }

  ask() {
    if (isOver) return;
    this.since = performance.now();
    waiting++;
    if (!this.socket?.connecting) this.socket?.write(request);
  }

  /** @param {string} text */
  take(text) {
    this.text += text;
    const head = this.text.indexOf('\r\n\r\n');
    if (head < 0) return;
    const length = Number(/^content-length: (\d+)\r$/im.exec(this.text)?.[1]);
    if (!this.text.startsWith('HTTP/1.1 200 ') || Number.isNaN(length)) throw new Error(this.text);
    if (this.text.length < head + 4 + length) return;
    this.text = '';
    const now = performance.now();
    if (now >= eventAt) {
      outcome.answered++;
      outcome.gapMs = Math.max(outcome.gapMs, now - Math.max(lastAnswer, eventAt));
      outcome.worstMs = Math.max(outcome.worstMs, now - Math.max(this.since, eventAt));
    }
    lastAnswer = now;
    this.since = 0;
    waiting--;
    if (this.isFirst) first++;
    this.isFirst = false;
    if (waiting === 0 || first === connections) wake();
    if (!isOver) setTimeout(() => this.ask(), thinkMs * 2 * Math.random());
  }
}

const clients = Array.from({length: connections}, () => new Client());
for (let from = 0; from < connections; from += CONNECT_BATCH) {
  const batch = clients.slice(from, from + CONNECT_BATCH);
  for (const client of batch) {
    client.open();
    client.ask();
  }
  while (first < from + batch.length)
    await new Promise(resolve => {
      wake = () => resolve(undefined);
      setTimeout(resolve, 10);
    });
}
console.log('ready');
for await (const line of createInterface(process.stdin)) {
  if (line === 'event') eventAt = performance.now();
  if (line === 'end') break;
}
isOver = true;
const limit = performance.now() + LINGER_MS;
while (waiting > 0 && performance.now() < limit)
  await new Promise(resolve => {
    wake = () => resolve(undefined);
    setTimeout(resolve, 50);
  });
if (waiting > 0) throw new Error(`${waiting} clients were not answered within ${LINGER_MS / 1000} s`);
console.log(JSON.stringify(outcome));
process.exit(0);
