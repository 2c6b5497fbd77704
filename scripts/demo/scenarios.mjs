// Faults, and a restart, each while a client is in the middle of something.
import {readFileSync} from 'node:fs';
import {setTimeout as delay} from 'node:timers/promises';
import {isDead} from '../leftovers.mjs';
import {download, longestGap} from './download.mjs';

/** @typedef {import('@zlr/kernel-shim').FaultRecord} FaultRecord */

/** What is written where it happens. @param {Scenario} scenario */
export const markOf = ({kill}) => (kill === 'SIGUSR2' ? 'exception' : kill);

/**
 * @typedef {object} Scenario
 * @property {string} title
 * @property {NodeJS.Signals | 'restart'} kill
 * @property {'download' | 'request'} during
 * @property {true} [standby] it is waited for before
 * @property {Pick<FaultRecord, 'class' | 'signal' | 'exitCode'>} expected how the supervisor must classify it
 */

/** @type {readonly Scenario[]} */
export const SCENARIOS = [
  {
    title: 'SIGSEGV during a download',
    kill: 'SIGSEGV',
    during: 'download',
    expected: {class: 'signal', signal: 'SIGSEGV', exitCode: null},
  },
  {
    title: 'SIGKILL during a download',
    kill: 'SIGKILL',
    during: 'download',
    expected: {class: 'signal', signal: 'SIGKILL', exitCode: null},
  },
  {
    title: 'Uncaught exception during a download',
    kill: 'SIGUSR2',
    during: 'download',
    expected: {class: 'exit', signal: null, exitCode: 1},
  },
  {
    title: 'SIGKILL in the middle of a request',
    kill: 'SIGKILL',
    during: 'request',
    expected: {class: 'signal', signal: 'SIGKILL', exitCode: null},
  },
  {
    title: 'zlr restart during a download',
    kill: 'restart',
    during: 'download',
    expected: {class: 'restart', signal: 'SIGKILL', exitCode: null},
  },
];

/** Of another service: one of which another generation stands by. @type {Scenario} */
export const STANDBY_SCENARIO = {
  title: 'SIGKILL with a standby',
  kill: 'SIGKILL',
  during: 'download',
  standby: true,
  expected: {class: 'signal', signal: 'SIGKILL', exitCode: null},
};

/** Of another service: an Express program, unchanged. @type {Scenario} */
export const EXPRESS_SCENARIO = {
  title: 'SIGKILL of an unchanged Express program',
  kill: 'SIGKILL',
  during: 'download',
  expected: {class: 'signal', signal: 'SIGKILL', exitCode: null},
};

/** The thesis' figure 5.7 kills its server here. */
const FAULT_AT_BYTES = 3_000_000;
/** Earlier: the old generation goes on while the new one is started, and there must be something left for that. */
const RESTART_AT_BYTES = 500_000;
/** 16 KiB every 2 ms: slow enough that the kernels' buffers cannot hold what is left when the fault comes. */
const PAUSE_MS = 2;
/** While a restart goes on. */
const RESTART_PAUSE_MS = 8;
const SCENARIO_MS = 30_000;

/**
 * @typedef {object} Result
 * @property {Scenario} scenario
 * @property {number} generationBefore
 * @property {number} generationAfter
 * @property {FaultRecord[]} newFaults
 * @property {import('./download.mjs').Download} download
 * @property {number} bytesBefore that the client had at the fault
 * @property {number} faultMs since the request began
 * @property {{fromMs: number, toMs: number, bytes: number}} gap
 */

/**
 * @param {Scenario} scenario
 * @param {object} place
 * @param {import('./service.mjs').Service} place.service
 * @param {string} place.host
 * @param {number} place.port
 * @param {string} place.path
 * @param {AbortSignal} place.signal
 * @param {(word: string) => void} place.progress
 * @returns {Promise<Result>}
 */
export async function runScenario(scenario, {service, host, port, path, signal: ended, progress}) {
  const limit = AbortSignal.timeout(SCENARIO_MS);
  const signal = AbortSignal.any([ended, limit]);
  let before = await service.status();
  while (scenario.standby && !before.standby?.isReady) {
    signal.throwIfAborted();
    before = await service.status();
  }
  const strikeAt = scenario.kill === 'restart' ? RESTART_AT_BYTES : FAULT_AT_BYTES;
  let pauseMs = PAUSE_MS;
  /** @type {Promise<void> | undefined} */
  let restarted;
  const fault = {at: 0, bytes: -1};
  let bytes = 0;

  const strike = () => {
    fault.at = performance.now();
    fault.bytes = bytes;
    progress(`[${markOf(scenario)}]`);
    if (scenario.kill !== 'restart') {
      process.kill(before.pid, scenario.kill);
      pauseMs = 0;
      return;
    }
    pauseMs = RESTART_PAUSE_MS;
    restarted = service.restart(signal).finally(() => {
      pauseMs = 0;
    });
  };

  const result = await download({
    host,
    port,
    path,
    signal,
    pauseMs: () => pauseMs,
    onBytes(total) {
      if (Math.floor(total / 1e6) > Math.floor(bytes / 1e6)) progress(`${Math.floor(total / 1e6)} MB`);
      bytes = total;
      if (scenario.during === 'download' && fault.bytes === -1 && bytes >= strikeAt) strike();
    },
    async send(socket, head) {
      if (scenario.during === 'download') {
        socket.write(head);
        return;
      }
      const half = Math.floor(head.length / 2);
      socket.write(head.slice(0, half));
      await until(() => hasRead(port, socket.localPort ?? 0), signal);
      progress('half a request');
      strike();
      await until(() => isDead(before.pid), signal);
      socket.write(head.slice(half));
      progress('the other half');
    },
  });

  await restarted;
  // The service says that it served a recovered channel after it has done so: the news may come after the bytes.
  let after = await service.status();
  while (after.faults.length === before.faults.length || after.faults.at(-1)?.downMs === null) {
    signal.throwIfAborted();
    after = await service.status();
  }
  return {
    scenario,
    generationBefore: before.generation,
    generationAfter: after.generation,
    newFaults: after.faults.slice(before.faults.length),
    download: result,
    bytesBefore: fault.bytes,
    faultMs: fault.at - result.startMs,
    gap: longestGap(result.arrivals),
  };
}

/**
 * For what another process does, of which nobody is told.
 * @param {() => boolean} condition
 * @param {AbortSignal} signal
 */
async function until(condition, signal) {
  while (!condition()) await delay(1, undefined, {signal});
}

/**
 * Whether all that the client sent has arrived and been read, by the kernel's table of connections: nothing waits for
 * an acknowledgement on the client's side, nothing unread on the server's.
 * @param {number} serverPort
 * @param {number} clientPort
 */
function hasRead(serverPort, clientPort) {
  const hex = (/** @type {number} */ port) => port.toString(16).toUpperCase().padStart(4, '0');
  const rows = readFileSync('/proc/net/tcp', 'latin1').split('\n');
  /** @param {number} local @param {number} remote */
  const queues = (local, remote) => {
    const row = rows
      .map(each => each.trim().split(/\s+/))
      .find(each => each[1]?.endsWith(`:${hex(local)}`) && each[2]?.endsWith(`:${hex(remote)}`));
    return row?.[4]?.split(':').map(each => Number.parseInt(each, 16)) ?? [-1, -1];
  };
  return queues(clientPort, serverPort)[0] === 0 && queues(serverPort, clientPort)[1] === 0;
}
