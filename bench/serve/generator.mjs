// Load without wrk: URL CONNECTIONS SECONDS. As many requests as are answered, one at a time on each connection.
// It needs more of its core for a request than wrk does, so differences between fast servers look smaller than they are.
import {connect} from 'node:net';

const [url = '', connections = '64', seconds = '2'] = process.argv.slice(2);
const {hostname, port, pathname} = new URL(url);
const request = `GET ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`;
const HEAD_MAX = 16 * 1024;

/** @type {number[]} */
const times = [];
let bytes = 0;
let errors = 0;
let ended = false;
const start = performance.now();
const until = start + Number(seconds) * 1000;
const buffer = Buffer.alloc(256 * 1024);

function open() {
  let sent = 0;
  /** Of the answer that comes: its head so far, then what is left of its content. */
  let head = '';
  let left = -1;
  const socket = connect({
    host: hostname,
    port: Number(port),
    noDelay: true,
    onread: {
      buffer,
      callback(length, chunk) {
        bytes += length;
        onBytes(/** @type {Buffer} */ (chunk), length);
        return true;
      },
    },
  });
  const ask = () => {
    sent = performance.now();
    socket.write(request, 'latin1');
  };
  const answered = () => {
    times.push(performance.now() - sent);
    left = -1;
    if (performance.now() < until) ask();
    else socket.destroy();
  };
  const onBytes = (/** @type {Buffer} */ chunk, /** @type {number} */ length) => {
    let at = 0;
    if (left < 0) {
      const before = head.length;
      head += chunk.toString('latin1', 0, Math.min(length, HEAD_MAX));
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      if (!head.startsWith('HTTP/1.1 2')) errors++;
      left = Number(/^content-length: (\d+)/im.exec(head)?.[1]);
      at = end + 4 - before;
      head = '';
    }
    left -= length - at;
    if (left === 0) answered();
    else if (!(left > 0)) socket.destroy(new Error('an answer of another length than it says'));
  };
  socket.on('connect', ask);
  socket.on('error', () => {
    errors++;
  });
  socket.on('close', () => {
    if (performance.now() < until) setTimeout(open, 1);
    else finish();
  });
}

let openCount = Number(connections);
function finish() {
  openCount--;
  if (openCount > 0 || ended) return;
  report();
}

function report() {
  ended = true;
  const us = Math.round((performance.now() - start) * 1000);
  times.sort((a, b) => a - b);
  const at = (/** @type {number} */ part) =>
    Math.round((times[Math.floor((times.length - 1) * part)] ?? 0) * 1000);
  const meanUs = (times.reduce((sum, time) => sum + time, 0) * 1000) / Math.max(times.length, 1);
  console.log(
    JSON.stringify({requests: times.length, bytes, us, errors, meanUs, p50Us: at(0.5), p99Us: at(0.99)}),
  );
  process.exit(0);
}

for (let each = 0; each < Number(connections); each++) open();
// A server that does not answer any more is no reason to stay.
setTimeout(
  () => {
    errors += openCount;
    report();
  },
  Number(seconds) * 1000 + 2000,
);
