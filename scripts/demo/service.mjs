// The service of the demo: the real command line in a process of its own, among services that only the demo sees.
import {execFile, spawn} from 'node:child_process';
import {randomUUID} from 'node:crypto';
import {once} from 'node:events';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {killAll, processesWith, segments, segmentsMadeBy} from '../leftovers.mjs';

const zlr = fileURLToPath(new URL('../../packages/cli/bin/zlr.js', import.meta.url));
const faultOnSignal = new URL('fault-on-signal.mjs', import.meta.url).href;
const MARK = 'ZLR_DEMO_RUN';
/** Longer than the service's own limit for an orderly end. */
const STOP_MS = 30_000;

export class Service {
  #before = segments();
  #run = randomUUID();
  #env;
  #child;
  #exited;
  /** Of the supervisor and of every generation seen: whose segments are ours. @type {Set<number>} */
  #pids = new Set();
  /** What it said on standard error, shown if the demo fails. */
  log = '';

  #name;

  /**
   * @param {string} name of its own in this run
   * @param {(name: string) => string[]} command the arguments of `zlr`
   * @param {string} runDir
   */
  constructor(name, command, runDir) {
    // And in every run: a service's state is found by its name wherever its run folder is.
    this.#name = `demo-${name}-${process.pid}`;
    this.#env = {
      ...process.env,
      ZLR_RUN_DIR: runDir,
      [MARK]: this.#run,
      NODE_OPTIONS: `--import=${faultOnSignal}`,
    };
    this.#child = spawn(process.execPath, [zlr, ...command(this.#name)], {
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#exited = once(this.#child, 'exit');
    this.#child.stderr.setEncoding('utf8').on('data', text => {
      this.log += text;
    });
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<{host: string, port: number}>} where it listens
   */
  async listening(signal) {
    let said = '';
    this.#child.stdout.setEncoding('utf8');
    while (!said.includes('\n')) {
      const news = await Promise.race([once(this.#child.stdout, 'data', {signal}), this.#exited]);
      if (typeof news[0] !== 'string') throw new Error(`the service ended before it listened`);
      said += news[0];
    }
    const url = /^listening on (http:\/\/\S+)/.exec(said)?.[1];
    if (url === undefined) throw new Error(`'listening on http://...' was expected, not '${said.trim()}'`);
    const {hostname, port} = new URL(url);
    return {host: hostname, port: Number(port)};
  }

  /** @returns {Promise<import('@zlr/kernel-shim').Status>} what `zlr status --json` prints */
  async status() {
    // Without the import: it is for the service, and would only delay this.
    const {NODE_OPTIONS: _, ...env} = this.#env;
    const {stdout} = await promisify(execFile)(
      process.execPath,
      [zlr, 'status', '--name', this.#name, '--json'],
      {
        env,
      },
    );
    const status = JSON.parse(stdout);
    for (const pid of [status.pid, status.supervisorPid]) if (pid !== null) this.#pids.add(pid);
    return status;
  }

  /** `zlr restart`, which rejects with what it says when it fails. @param {AbortSignal} signal */
  async restart(signal) {
    const {NODE_OPTIONS: _, ...env} = this.#env;
    const args = [zlr, 'restart', '--name', this.#name, '--probation', '0'];
    await promisify(execFile)(process.execPath, args, {env, signal});
  }

  /**
   * Ends it in good order; by force what does not end so.
   * @returns {Promise<string[]>} what had to be removed by force
   */
  async stop() {
    this.#child.kill('SIGTERM');
    const limit = new AbortController();
    const ended = await Promise.race([
      this.#exited.then(() => true),
      delay(STOP_MS, false, {signal: limit.signal}),
    ]);
    limit.abort();
    const forced = ended ? [] : ['the service did not end when it was asked to'];
    const left = () => processesWith(MARK, this.#run);
    for (const each of left()) {
      forced.push(`process ${each.pid} (${each.command})`);
      this.#pids.add(each.pid);
    }
    await killAll(left);
    await this.#exited;
    for (const each of segmentsMadeBy(this.#before, this.#pids)) {
      forced.push(`shared-memory segment ${each.id}`);
      await promisify(execFile)('ipcrm', ['-m', `${each.id}`]);
    }
    return forced;
  }
}
