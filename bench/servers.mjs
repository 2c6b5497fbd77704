// The servers that are measured, each in processes of its own, and their end however a bench ends.
import {spawn} from 'node:child_process';
import {randomUUID} from 'node:crypto';
import {once} from 'node:events';
import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import {createInterface} from 'node:readline';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {killAll, processesWith, segments, segmentsMadeBy} from '../scripts/leftovers.mjs';

const MARK = 'ZLR_BENCH_RUN';
const START_MS = 20_000;
/** Longer than a service's own limit for an orderly end. */
const STOP_MS = 30_000;
const STDERR_KEPT = 4000;

const zlr = fileURLToPath(new URL('../packages/cli/bin/zlr.js', import.meta.url));
const serveMain = fileURLToPath(import.meta.resolve('@zlr/http/serve-main'));

/** Servers have the first core and the load the second, so that neither is measured as a lack of the other. */
export const SERVER_CORE = 0;
export const LOAD_CORE = 1;

/**
 * @param {number} core
 * @param {readonly string[]} command
 * @returns {[string, ...string[]]} the command, bound to a core where that is possible
 */
export function onCore(core, command) {
  const [file = '', ...args] = command;
  if (availableParallelism() < 2 || !existsSync('/usr/bin/taskset')) return [file, ...args];
  return ['/usr/bin/taskset', '-c', String(core), file, ...args];
}

/**
 * A session of its own for every process that is measured: Linux shares the cores out among sessions first (autogroup),
 * and what a supervisor starts has its own in any case.
 */
export const ALONE = {detached: true};

/** @typedef {{port: number, pid: number, name: string, ended: Promise<unknown>, stop(): Promise<void>}} Server */

/** All that one run of a bench starts. */
export class Servers {
  #run = randomUUID();
  #before = segments();
  /** @type {Server[]} */
  #running = [];
  #count = 0;
  /** Whose segments are ours. @type {Set<number>} */
  #pids = new Set();
  #signal;
  #env;

  /**
   * @param {string} runDir where the supervised services of this run meet
   * @param {AbortSignal} signal
   */
  constructor(runDir, signal) {
    this.#signal = signal;
    // fetchStatus in this process looks there as well.
    process.env['ZLR_RUN_DIR'] = runDir;
    this.#env = {...process.env, [MARK]: this.#run};
  }

  /** A name for a service or a store of its own, on this machine. */
  name() {
    this.#count++;
    return `bench-${process.pid}-${this.#count}`;
  }

  /** `zlr serve`: the folder under a supervisor. @param {string} folder @param {readonly string[]} options */
  supervised(folder, options = []) {
    const name = this.name();
    return this.start(name, [
      zlr,
      'serve',
      folder,
      '--port',
      '0',
      '--name',
      name,
      '--threshold',
      '0',
      ...options,
    ]);
  }

  /** The very same server without supervisor and keeper. @param {string} folder */
  unsupervised(folder) {
    const name = this.name();
    return this.start(name, [serveMain, folder, '--port', '0', '--name', name]);
  }

  /** `zlr run --http`: a node:http program whose connections are kept. @param {string} program */
  kept(program) {
    const name = this.name();
    const node = ['--', process.execPath, program];
    return this.start(name, [zlr, 'run', '--http', '--name', name, '--threshold', '0', ...node]);
  }

  /**
   * `zlr run` of a program that says where it listens.
   * @param {readonly string[]} options
   * @param {readonly string[]} command
   */
  program(options, command) {
    const name = this.name();
    return this.start(name, [zlr, 'run', '--name', name, '--threshold', '0', ...options, '--', ...command]);
  }

  /**
   * Another program under a supervisor.
   * @param {readonly string[]} command
   * @param {(line: string) => boolean} onLine gets what it prints; true: it is ready
   */
  run(command, onLine) {
    const name = this.name();
    return this.start(name, [zlr, 'run', '--name', name, '--threshold', '0', '--', ...command], onLine);
  }

  /**
   * Starts a Node program and waits until it says where it listens, or that it is ready.
   * @param {string} name
   * @param {readonly string[]} args
   * @param {(line: string) => boolean} [onLine]
   * @returns {Promise<Server>}
   */
  async start(name, args, onLine) {
    const [file, ...rest] = onCore(SERVER_CORE, [process.execPath, ...args]);
    const child = spawn(file, rest, {...ALONE, env: this.#env, stdio: ['ignore', 'pipe', 'pipe']});
    const pid = child.pid ?? 0;
    this.#pids.add(pid);
    let said = '';
    child.stderr.setEncoding('utf8').on('data', text => {
      said = (said + text).slice(-STDERR_KEPT);
    });
    const closed = once(child, 'close');
    let ended = false;
    closed.then(() => {
      ended = true;
    });
    const stop = async () => {
      if (ended) return;
      child.kill('SIGTERM');
      const limit = new AbortController();
      const inTime = await Promise.race([
        closed.then(() => true),
        delay(STOP_MS, false, {signal: limit.signal}),
      ]);
      limit.abort();
      if (inTime) return;
      throw new Error(`${name} did not end when it was asked to; it said: ${said}`);
    };
    const server = {port: 0, pid, name, ended: once(child, 'exit'), stop};
    this.#running.push(server);
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(START_MS)]);
    const listening = new Promise(resolve => {
      createInterface(child.stdout).on('line', line => {
        const port = /^listening on http:\/\/.*:(\d+)$/.exec(line)?.[1];
        if (port !== undefined || onLine?.(line)) resolve(Number(port ?? 0));
      });
    });
    const aborted = new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), {once: true});
    });
    server.port = await Promise.race([listening, aborted, closed.then(() => -1)]);
    if (server.port < 0) throw new Error(`${name} ended before it listened; it said: ${said}`);
    this.#noteChildren(pid);
    return server;
  }

  /** Under a supervisor it is the first generation that makes the segment. @param {number} supervisor */
  #noteChildren(supervisor) {
    for (const each of childrenOf(supervisor)) this.#pids.add(each);
  }

  /** Ends all of them, last first; what will not end in good order is ended by force, and that is an error. */
  async stopAll() {
    const failures = [];
    for (const server of this.#running.toReversed()) {
      this.#noteChildren(server.pid); // one that is interrupted while it starts
      await server.stop().catch(error => failures.push(error));
    }
    const left = () => processesWith(MARK, this.#run);
    for (const {pid, command} of left()) {
      this.#pids.add(pid);
      failures.push(new Error(`left behind: process ${pid} (${command})`));
    }
    await killAll(left);
    for (const each of segmentsMadeBy(this.#before, this.#pids)) {
      failures.push(new Error(`left behind: shared-memory segment ${each.id}`));
      await once(spawn('ipcrm', ['-m', String(each.id)], {stdio: 'ignore'}), 'exit');
    }
    if (failures.length > 0) throw new AggregateError(failures, failures.join('; '));
  }
}

/** The children of a process, keepers and generations among them. @param {number} pid */
export function childrenOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
    return text.trim().split(/\s+/).filter(Boolean).map(Number);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT') return [];
    throw error;
  }
}

/**
 * CPU time that a process and its children have had, keepers and generations included, in milliseconds.
 * @param {number} pid
 */
export function cpuMs(pid) {
  let nanoseconds = 0;
  for (const each of [pid, ...childrenOf(pid)]) {
    try {
      for (const thread of readdirSync(`/proc/${each}/task`)) {
        const [ran = '0'] = readFileSync(`/proc/${each}/task/${thread}/schedstat`, 'latin1').split(' ');
        nanoseconds += Number(ran);
      }
    } catch (error) {
      const {code} = /** @type {NodeJS.ErrnoException} */ (error);
      if (code !== 'ENOENT' && code !== 'ESRCH') throw error;
    }
  }
  return nanoseconds / 1e6;
}

/** @param {number} pid @param {'comm' | 'stat' | 'smaps_rollup'} file @returns {string} '' if it has gone */
export function readProcess(pid, file) {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch (error) {
    const {code} = /** @type {NodeJS.ErrnoException} */ (error);
    if (code === 'ENOENT' || code === 'ESRCH') return '';
    throw error;
  }
}
