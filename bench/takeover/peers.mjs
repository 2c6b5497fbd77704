// What others do when a process dies or a new version comes: nginx and PM2, where they are installed.
import {execFile} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {createServer} from 'node:net';
import {delimiter, join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {childrenOf, onCore, SERVER_CORE} from '../servers.mjs';

const exec = promisify(execFile);
export const app = fileURLToPath(new URL('app.mjs', import.meta.url));
const START_MS = 10_000;

/**
 * @typedef {object} Peer
 * @property {number} port
 * @property {() => Promise<void>} kill one of the processes that serve
 * @property {() => Promise<void>} renew what is its way to a new version
 * @property {() => Promise<void>} stop
 */

/** @param {string} program @returns {string | undefined} where it is */
export function find(program) {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin'];
  return folders.map(folder => join(folder, program)).find(path => existsSync(path));
}

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const {port} = /** @type {import('node:net').AddressInfo} */ (server.address());
  server.close();
  await once(server, 'close');
  return port;
}

/** @param {() => unknown} condition */
async function until(condition) {
  for (const limit = performance.now() + START_MS; !condition(); await delay(5))
    if (performance.now() > limit) throw new Error('a peer did not do what it should in time');
}

const isAlive = (/** @type {number} */ pid) => existsSync(`/proc/${pid}`);

/**
 * One worker. A new version is its binary upgrade: USR2 to the old master, QUIT when the new one is there.
 * @param {string} program @param {string} scratch @param {string} root
 * @returns {Promise<Peer>}
 */
export async function startNginx(program, scratch, root) {
  const folder = join(scratch, 'nginx');
  mkdirSync(folder, {recursive: true});
  const port = await freePort();
  const pidFile = join(folder, 'pid');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map(each => `${each}_temp_path ${folder}/${each};`)
    .join(' ');
  const config = join(folder, 'conf');
  writeFileSync(
    config,
    `${process.getuid?.() === 0 ? 'user root;' : ''} worker_processes 1; pid ${pidFile}; error_log ${folder}/error.log; worker_rlimit_nofile 40000;
    events { worker_connections 20000; }
    http { access_log off; keepalive_requests 1000000000; keepalive_timeout 300; ${temporary}
      server { listen 127.0.0.1:${port} backlog=4096; root ${root}; } }`,
  );
  const command = onCore(SERVER_CORE, [program, '-c', config, '-e', `${folder}/error.log`]);
  await exec(command[0], command.slice(1));
  const master = () => Number(readFileSync(pidFile, 'utf8'));
  await until(() => existsSync(pidFile) && childrenOf(master()).length > 0);
  return {
    port,
    async kill() {
      const [worker = 0] = childrenOf(master());
      process.kill(worker, 'SIGKILL');
      await until(() => childrenOf(master()).some(pid => pid !== worker));
    },
    async renew() {
      const old = master();
      process.kill(old, 'SIGUSR2');
      await until(() => existsSync(pidFile) && master() !== old && childrenOf(master()).length > 0);
      process.kill(old, 'SIGQUIT');
      await until(() => !isAlive(old));
    },
    async stop() {
      const pid = master();
      process.kill(pid, 'SIGTERM');
      await until(() => !isAlive(pid));
    },
  };
}

/**
 * Cluster mode, two workers. A new version is `pm2 reload`.
 * @param {string} program @param {string} scratch
 * @returns {Promise<Peer>}
 */
export async function startPm2(program, scratch) {
  const port = await freePort();
  const home = join(scratch, 'pm2');
  mkdirSync(home, {recursive: true});
  const env = {...process.env, PM2_HOME: home, PORT: `${port}`};
  const pm2 = async (/** @type {string[]} */ ...args) => {
    const [file, ...rest] = onCore(SERVER_CORE, [process.execPath, program, ...args]);
    return (await exec(file, rest, {env})).stdout;
  };
  await pm2('start', app, '-i', '2', '--name', 'app');
  /** @returns {Promise<{pid: number, pm2_env: {status: string}}[]>} */
  const list = async () => JSON.parse((await pm2('jlist')).split('\n').at(-1) ?? '[]');
  return {
    port,
    async kill() {
      const [{pid} = {pid: 0}] = await list();
      process.kill(pid, 'SIGKILL');
      await until(() => !isAlive(pid));
    },
    renew: async () => {
      await pm2('reload', 'app');
    },
    stop: async () => {
      await pm2('kill');
    },
  };
}
