// The peer of the serve bench: a small, fair static handler on node:http. DIR [--cached]
import {createReadStream, readFileSync, statSync} from 'node:fs';
import {stat} from 'node:fs/promises';
import {createServer} from 'node:http';
import {join, normalize} from 'node:path';

const [root = '.', option] = process.argv.slice(2);
/** As long as zlr-http's. */
const KEEP_ALIVE_MS = 75_000;

/** The same fields that zlr-http sends. @param {import('node:fs').Stats} stats */
const fieldsOf = stats => ({
  'Content-Type': 'application/octet-stream',
  'Content-Length': stats.size,
  'Last-Modified': stats.mtime.toUTCString(),
  ETag: `"${stats.size}-${stats.mtimeMs}-${stats.ino}"`,
  'Accept-Ranges': 'bytes',
});

/** @param {string} url */
const pathOf = url => normalize(decodeURIComponent(new URL(url, 'http://localhost').pathname));

/** Looks each file up and streams it. @type {import('node:http').RequestListener} */
async function stream(request, response) {
  const path = join(root, pathOf(request.url ?? '/'));
  try {
    const stats = await stat(path);
    response.writeHead(200, fieldsOf(stats));
    createReadStream(path).pipe(response);
  } catch {
    response.writeHead(404, {'Content-Length': 0}).end();
  }
}

/** @type {Map<string, {fields: ReturnType<typeof fieldsOf>, content: Buffer}>} */
const known = new Map();

/** Keeps what it once served and never looks again. @type {import('node:http').RequestListener} */
function cached(request, response) {
  const path = pathOf(request.url ?? '/');
  let file = known.get(path);
  try {
    if (file === undefined) {
      const place = join(root, path);
      file = {fields: fieldsOf(statSync(place)), content: readFileSync(place)};
      known.set(path, file);
    }
    response.writeHead(200, file.fields).end(file.content);
  } catch {
    response.writeHead(404, {'Content-Length': 0}).end();
  }
}

const server = createServer(option === '--cached' ? cached : stream);
server.keepAliveTimeout = KEEP_ALIVE_MS;
server.listen(0, '127.0.0.1', () => {
  const {port} = /** @type {import('node:net').AddressInfo} */ (server.address());
  console.log(`listening on http://127.0.0.1:${port}`);
});
process.on('SIGTERM', () => process.exit(0));
