// A client that notes when each byte came, over one plain TCP connection that it never opens again.
import {createHash} from 'node:crypto';
import {connect} from 'node:net';

/** @typedef {{ms: number, bytes: number}} Arrival time since the request began, body bytes so far */

/**
 * @typedef {object} Download
 * @property {number} bytes of the body
 * @property {string} sha256
 * @property {Arrival[]} arrivals the first is the beginning of the request, without a byte
 * @property {number} startMs on performance.now()'s clock
 */

const READ_BYTES = 16_384;

/**
 * @param {object} request
 * @param {string} request.host
 * @param {number} request.port
 * @param {string} request.path
 * @param {AbortSignal} request.signal
 * @param {(bytes: number) => void} request.onBytes told of the body bytes so far
 * @param {() => number} request.pauseMs how long to wait before more is read, 16 KiB at a time; 0: not at all
 * @param {(socket: import('node:net').Socket, head: string) => Promise<void>} request.send
 * @returns {Promise<Download>} rejects if the connection breaks or the answer is not the whole file
 */
export function download({host, port, path, signal, onBytes, pauseMs, send}) {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256');
    let head = Buffer.alloc(0);
    let expected = -1;
    let bytes = 0;
    let startMs = 0;
    /** @type {Arrival[]} */
    const arrivals = [];

    const socket = connect({
      host,
      port,
      onread: {
        buffer: Buffer.alloc(READ_BYTES),
        callback(length, buffer) {
          take(Buffer.from(buffer.subarray(0, length)));
          const ms = pauseMs();
          if (ms === 0 || bytes === expected) return true;
          setTimeout(() => socket.resume(), ms);
          return false;
        },
      },
    });
    const give = (/** @type {Error} */ error) => {
      socket.destroy();
      reject(error);
    };
    const abort = () => give(signal.reason);
    signal.addEventListener('abort', abort, {once: true});
    socket.on('close', () => signal.removeEventListener('abort', abort));
    socket.on('error', error =>
      give(new Error(`the connection broke after ${bytes} bytes: ${error.message}`)),
    );
    socket.on('end', () => give(new Error(`the connection was closed after ${bytes} bytes`)));
    socket.on('connect', () => {
      startMs = performance.now();
      arrivals.push({ms: 0, bytes: 0});
      send(socket, `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nUser-Agent: zlr-demo\r\n\r\n`).catch(
        give,
      );
    });

    /** @param {Buffer} chunk */
    function take(chunk) {
      const body = expected === -1 ? takeHead(chunk) : chunk;
      if (body === null || body.length === 0) return;
      hash.update(body);
      bytes += body.length;
      arrivals.push({ms: performance.now() - startMs, bytes});
      onBytes(bytes);
      if (bytes > expected) return give(new Error(`${bytes} bytes came instead of ${expected}`));
      if (bytes < expected) return;
      socket.destroy();
      resolve({bytes, sha256: hash.digest('hex'), arrivals, startMs});
    }

    /** @param {Buffer} chunk @returns {Buffer | null} the body's beginning, null while the head is incomplete */
    function takeHead(chunk) {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n');
      if (end === -1) return null;
      const text = head.toString('latin1', 0, end);
      const length = /\r\ncontent-length: (\d+)/i.exec(text);
      if (!text.startsWith('HTTP/1.1 200 ') || length === null) {
        give(new Error(`not the answer that was expected: ${text.split('\r\n')[0]}`));
        return null;
      }
      expected = Number(length[1]);
      return head.subarray(end + 4);
    }
  });
}

/**
 * The longest time without a byte.
 * @param {readonly Arrival[]} arrivals
 * @returns {{fromMs: number, toMs: number, bytes: number}} bytes: how many had come before it
 */
export function longestGap(arrivals) {
  let longest = {fromMs: 0, toMs: 0, bytes: 0};
  for (const [index, {ms}] of arrivals.entries()) {
    const before = arrivals[index - 1];
    if (before !== undefined && ms - before.ms > longest.toMs - longest.fromMs) {
      longest = {fromMs: before.ms, toMs: ms, bytes: before.bytes};
    }
  }
  return longest;
}
