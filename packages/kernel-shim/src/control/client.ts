import {connect} from 'node:net';
import {errnoName, ShimError, type ShimErrorCode} from '../errors.js';
import {Link} from '../links/link.js';
import {Kind} from '../links/word.js';
import {native} from '../native.js';
import {readHistory} from './history.js';
import {type Message, onMessages, send} from './lines.js';
import {
  assertPrivate,
  liveService,
  notRunning,
  type RunDir,
  removeRunDir,
  runDir,
  runNames,
} from './run-dir.js';
import type {Restarted, RestartOptions, Status} from './status.js';

/** What an orderly end may take, as with a supervisor (supervisor/machine.ts). */
const STOP_MS = 20_000;
/** A supervisor that does not answer so soon is stopped, or very busy. */
const ANSWER_MS = 3_000;

/** A supervisor is there, and says nothing for as long as it may. */
const SILENT = Symbol('silent');

/** Asks a supervisor; undefined: there is none at that socket. It is waited for without limit when `answerMs` is 0. */
function request(
  name: string,
  type: string,
  answerMs: number,
  options = {},
): Promise<Message | typeof SILENT | undefined> {
  const dir = runDir(name);
  assertPrivate(dir);
  return new Promise((resolve, reject) => {
    const socket = connect(dir.control);
    let answer: Message | typeof SILENT | undefined;
    const silent = (): void => {
      answer = SILENT;
      socket.destroy();
    };
    if (answerMs > 0) socket.setTimeout(answerMs, silent);
    socket.on('connect', () => send(socket, {...options, type}));
    onMessages(socket, message => {
      answer = message;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes(error.code ?? '')) resolve(undefined);
      else reject(error);
    });
    socket.on('close', () => resolve(answer));
  });
}

/** @throws ShimError NOT_RUNNING */
export async function fetchStatus(name: string): Promise<Status> {
  const answer = await request(name, 'status', ANSWER_MS);
  if (answer && answer !== SILENT) return answer['status'] as Status;
  const note = liveService(runDir(name));
  if (!note) throw notRunning(name);
  const {generation, pid, startedAt} = note;
  return {
    name,
    supervisorPid: null,
    generation,
    pid,
    keepers: [],
    startedAt,
    standby: null,
    health: null,
    channels: null,
    ...readHistory(runDir(name)),
  };
}

/** @throws ShimError NOT_ANSWERING */
async function assertAnswers(name: string): Promise<void> {
  if ((await request(name, 'status', ANSWER_MS)) === SILENT)
    throw new ShimError(
      'NOT_ANSWERING',
      `the supervisor of '${name}' does not answer within ${ANSWER_MS / 1000} s: it is stopped, or very busy. Let it go on (kill -CONT), or ` +
        'kill it: then its keepers go on, and a stop is heard by them',
    );
}

/**
 * Has a fresh generation of a service follow, with all that the old one has; resolves when it has stood its probation. See `Supervisor.restart`.
 *
 * @throws ShimError OPTION_INVALID, COMMAND_EMPTY, ENV_FILE_UNREADABLE, NOT_RUNNING, NOT_ANSWERING, NOT_READY, RESTART_FAILED
 */
export async function requestRestart(name: string, options: RestartOptions = {}): Promise<Restarted> {
  await assertAnswers(name);
  const answer = await request(name, 'restart', 0, options);
  if (answer && answer !== SILENT) {
    if (answer.type === 'restart') return answer['restarted'] as Restarted;
    throw new ShimError(answer['code'] as ShimErrorCode, String(answer['message']));
  }
  if (!liveService(runDir(name))) throw notRunning(name);
  throw new ShimError(
    'NOT_READY',
    `the supervisor of '${name}' has died; start it once more as before, it adopts the service, and restart it then`,
  );
}

/** Ends a service in good order; resolves when it and its supervisor are gone. @throws ShimError NOT_RUNNING, NOT_ANSWERING */
export async function requestStop(name: string): Promise<void> {
  await assertAnswers(name);
  if (await request(name, 'stop', 0)) return;
  const dir = runDir(name);
  const note = liveService(dir);
  if (!note) throw notRunning(name);
  askKeeperToLetGo(dir);
  const pidfd = native().pidfdOpen(note.pid);
  if (pidfd < 0) throw new ShimError('SYSTEM_CALL_FAILED', `cannot watch pid ${note.pid}`, errnoName(pidfd));
  await new Promise<void>(resolve => {
    const killing = setTimeout(() => process.kill(note.pid, 'SIGKILL'), STOP_MS);
    const gone = (): void => {
      clearTimeout(killing);
      resolve();
    };
    native().onExit(pidfd, gone, true);
    process.kill(note.pid, 'SIGTERM');
  });
  removeRunDir(dir);
}

/** However the service ends now, its keeper is not to start another. A service without one needs no telling. */
function askKeeperToLetGo(dir: RunDir): void {
  const fd = native().linkKnock(dir.door);
  if (fd < 0) return;
  const link = new Link(fd);
  link.send({kind: Kind.Stop});
  link.wait(); // it answers, or closes
  link.close();
}

/** The names of the services that run now, with or without their supervisor. */
export async function listServices(): Promise<string[]> {
  const names = runNames();
  // All at once: one that does not answer keeps nobody waiting for the next.
  const answers = await Promise.all(names.map(name => request(name, 'status', ANSWER_MS)));
  return names.filter((name, index) => answers[index] || liveService(runDir(name)));
}
