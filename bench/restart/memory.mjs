// Memory that zero loss takes: the keeper's own, and the segment's for input that waits for its other half.
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {connect} from 'node:net';
import {setTimeout as delay} from 'node:timers/promises';
import {fetchStatus} from '@zlr/kernel-shim';
import {childrenOf, readProcess} from '../servers.mjs';

/** @typedef {import('../servers.mjs').Servers} Servers */
/** @typedef {import('../servers.mjs').Server} Server */

const READ_MS = 5_000;
const ESTABLISHED = '01';

/** A browser's request, as long as one is. */
const fields = [
  'Host: 127.0.0.1',
  'Connection: keep-alive',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'Accept-Encoding: gzip, deflate, br',
  'Accept-Language: en-US,en;q=0.9',
  'Cookie: sid=0123456789abcdef0123456789abcdef; theme=dark',
];

/** Private bytes of the keeper of a supervised server. @param {Server} server */
export function keeperBytes(server) {
  const keeper = childrenOf(server.pid).find(pid => readProcess(pid, 'comm') === 'zlr-keeper\n');
  if (keeper === undefined) throw new Error(`${server.name} has no keeper`);
  const rollup = readProcess(keeper, 'smaps_rollup');
  const kB = (/** @type {string} */ field) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1]);
  return (kB('Private_Clean') + kB('Private_Dirty')) * 1024;
}

/** Bytes of memory that a process' segment really takes. @param {number} creator */
function segmentBytes(creator) {
  const [head = '', ...rows] = readFileSync('/proc/sysvipc/shm', 'utf8').trimEnd().split('\n');
  const names = head.trim().split(/\s+/);
  const table = rows.map(row => row.trim().split(/\s+/).map(Number));
  const own = table.filter(row => row[names.indexOf('cpid')] === creator);
  return own.reduce((sum, row) => sum + (row[names.indexOf('rss')] ?? 0), 0);
}

/** Connections to a port, and the bytes in them that the server has not read. @param {number} port */
function unread(port) {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync('/proc/net/tcp', 'latin1')
    .split('\n')
    .map(row => row.trim().split(/\s+/));
  const own = rows.filter(row => row[1]?.endsWith(local) && row[3] === ESTABLISHED);
  return {
    connections: own.length,
    bytes: own.reduce((sum, row) => sum + Number.parseInt(row[4]?.split(':')[1] ?? '0', 16), 0),
  };
}

/**
 * Clients send half a request each, the server holds it; then they send the rest and must be answered.
 * @param {Servers} servers
 * @param {string} folder
 * @param {string} path
 * @param {number} clients
 */
export async function holdHalfRequests(servers, folder, path, clients) {
  const server = await servers.supervised(folder);
  const {pid} = await fetchStatus(server.name);
  const before = segmentBytes(pid);
  const request = `GET ${path} HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n`;
  const half = Math.floor(request.length / 2);
  const sockets = Array.from({length: clients}, () => connect({port: server.port, host: '127.0.0.1'}));
  await Promise.all(sockets.map(socket => once(socket, 'connect')));
  for (const socket of sockets) socket.write(request.slice(0, half));
  const limit = performance.now() + READ_MS;
  for (let now = unread(server.port); now.connections < clients || now.bytes > 0; now = unread(server.port)) {
    if (performance.now() > limit) throw new Error(`${now.bytes} bytes were not read`);
    await delay(5);
  }
  const segment = segmentBytes(pid) - before;
  const answers = sockets.map(socket => once(socket, 'data'));
  for (const socket of sockets) socket.write(request.slice(half));
  for (const [answer] of await Promise.all(answers)) {
    if (!String(answer).startsWith('HTTP/1.1 200 ')) throw new Error(`half a request was lost: ${answer}`);
  }
  for (const socket of sockets) socket.destroy();
  await server.stop();
  return {heldBytes: clients * half, segmentBytes: segment};
}
