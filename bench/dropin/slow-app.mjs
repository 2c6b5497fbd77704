// A node:http program whose answer takes 50 ms; with --cluster as two workers, started again when they die.
import cluster from 'node:cluster';
import {createServer} from 'node:http';
import process from 'node:process';

const port = Number(process.argv.at(-1)) || 0;
if (process.argv.includes('--cluster') && cluster.isPrimary) {
  // The first finds a port, the second takes the same, and so do those that follow.
  cluster.on('exit', () => cluster.fork());
  cluster.fork().once('listening', ({port}) => {
    cluster.fork().once('listening', () => console.log(`listening on http://127.0.0.1:${port}`));
  });
  process.on('SIGTERM', () => process.exit(0));
} else {
  const server = createServer((_request, response) => {
    setTimeout(() => response.end('answered\n'), 50);
  });
  server.listen(port, '127.0.0.1', () => {
    const address = /** @type {import('node:net').AddressInfo} */ (server.address());
    if (cluster.isPrimary) console.log(`listening on http://127.0.0.1:${address.port}`);
  });
}
