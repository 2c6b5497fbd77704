import {rmSync} from 'node:fs';
import {createServer, type Server, type Socket} from 'node:net';
import {listServices} from '../control/client.js';
import {type Message, onMessages, send} from '../control/lines.js';
import {makeRunDir, type RunDir, removeRunDir} from '../control/run-dir.js';
import type {FaultRecord, Status} from '../control/status.js';
import {errnoName, ShimError} from '../errors.js';
import {native} from '../native.js';
import {decide, describe, type WaitStatus, waitStatus} from './fault.js';

export interface SuperviseOptions {
  /** Names the service among those of this user. */
  name: string;
  /** The program and its arguments. */
  command: readonly string[];
  /** A fault sooner than this after a restart counts towards giving up (default 60,000; 0: none does). */
  thresholdMs?: number;
  env?: NodeJS.ProcessEnv;
  /** Receives one line an event; by default they go to stderr. */
  log?: (line: string) => void;
}

/** A parent that starts a service, learns exactly how each generation ends, and decides what follows. */
export interface Supervisor {
  readonly name: string;
  readonly pid: number;
  status(): Promise<Status>;
  /** Ends the service in good order; resolves when all is gone. */
  stop(): Promise<void>;
  /** Settles when the service has ended for good. */
  readonly done: Promise<{exitCode: number; reason: string}>;
}

/** A keeper that is silent for so long after its service died is taken for lost. */
const KEEPER_MS = 5_000;
/** What an orderly stop may take before the service is killed; more than the server's own limit for answers in flight. */
const STOP_MS = 20_000;
const COUNT_MS = 1_000;

interface Keeper {
  readonly pid: number;
  /** The generation whose file table it shares; a former one's copy serves only until the next keeper stands. */
  readonly of: number;
  /** The generation it watches. */
  generation: number;
  readonly socket: Socket;
  /** It waits for the word after its service's death. */
  asking: boolean;
  counted: ((channels: number) => void)[];
}

interface Generation {
  readonly number: number;
  readonly pid: number;
  readonly startedAt: Date;
  readonly startedMs: number;
  ended?: {status: WaitStatus; atMs: number; at: Date};
}

const nowMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

class ProcessSupervisor implements Supervisor {
  readonly name: string;
  readonly pid = process.pid;
  readonly done: Promise<{exitCode: number; reason: string}>;
  readonly #dir: RunDir;
  readonly #server: Server;
  readonly #thresholdMs: number;
  readonly #log: (line: string) => void;
  readonly #keepers = new Map<number, Keeper>();
  readonly #faults: FaultRecord[] = [];
  readonly #faultMs = new Map<FaultRecord, number>();
  #generation!: Generation;
  #fastFaults = 0;
  #stillborn = 0;
  #stopping = false;
  #finished = false;
  #lastWord: {exitCode: number; reason: string} | undefined;
  #finish!: (end: {exitCode: number; reason: string}) => void;
  #keeperTimer: NodeJS.Timeout | undefined;
  #stopTimer: NodeJS.Timeout | undefined;
  readonly #options: SuperviseOptions;

  constructor(options: SuperviseOptions, dir: RunDir, server: Server) {
    this.name = options.name;
    this.#options = options;
    this.#dir = dir;
    this.#server = server;
    this.#thresholdMs = options.thresholdMs ?? 60_000;
    this.#log = options.log ?? (line => process.stderr.write(`zlr: ${line}\n`));
    this.done = new Promise(resolve => {
      this.#finish = resolve;
    });
    server.on('connection', socket => this.#onConnection(socket));
  }

  // --- generations ----------------------------------------------------------------------------------------------

  /** Starts a generation that inherits nothing: the first, or one after service and keeper died together. */
  start(number: number): void {
    const [file, ...args] = this.#options.command;
    const environment: NodeJS.ProcessEnv = {
      ...(this.#options.env ?? process.env),
      ZLR_CONTROL: this.#dir.control,
      ZLR_THRESHOLD_MS: String(this.#thresholdMs),
      ZLR_GENERATION: String(number),
    };
    const envp = Object.entries(environment).flatMap(([key, value]) =>
      value === undefined ? [] : [`${key}=${value}`],
    );
    const {error, pid, pidfd} = native().spawn(file!, [file!, ...args], envp);
    if (error < 0) {
      const name = errnoName(error);
      throw new ShimError(
        'SPAWN_FAILED',
        `cannot start ${file}: ${name}; is it installed and executable?`,
        name,
      );
    }
    this.#watchGeneration(number, pid, pidfd);
  }

  #watchGeneration(number: number, pid: number, pidfd: number): void {
    const generation: Generation = {number, pid, startedAt: new Date(), startedMs: nowMs()};
    this.#generation = generation;
    native().onExit(
      pidfd,
      () => {
        const {error, signaled, number: code} = native().reap(pid);
        if (error < 0) throw new ShimError('SYSTEM_CALL_FAILED', `waitid(${pid})`, errnoName(error));
        generation.ended = {status: waitStatus(signaled !== 0, code), atMs: nowMs(), at: new Date()};
        this.#settle();
      },
      true,
    );
  }

  /**
   * Acts once both are known: how the generation ended, and which keeper (if any) holds its channels. Either may
   * come first, so this is called for both.
   */
  #settle(withoutKeeper = false): void {
    const {ended, number} = this.#generation;
    if (!ended || this.#finished) return;
    const keepers = [...this.#keepers.values()];
    const asking = keepers.find(keeper => keeper.asking && keeper.generation === number);
    if (!asking && !withoutKeeper && (keepers.length > 0 || native().hasChildren())) {
      // A keeper lives, or was just cloned and is about to say so.
      this.#keeperTimer ??= setTimeout(() => this.#loseKeepers(), KEEPER_MS);
      return;
    }
    clearTimeout(this.#keeperTimer);
    this.#keeperTimer = undefined;

    if (this.#stopping) {
      this.#end(ended.status.exitCode ?? (ended.status.signal === 'SIGTERM' ? 0 : 1), 'stopped');
      return;
    }
    // Had it registered, its own keeper would ask, and not that of the generation before.
    this.#stillborn = asking && asking.of < number ? this.#stillborn + 1 : 0;
    const decision = decide(
      ended.status,
      number,
      ended.atMs - this.#generation.startedMs,
      this.#fastFaults,
      this.#thresholdMs,
      this.#stillborn,
    );
    if (decision.act !== 'restart') {
      if (decision.act === 'give up')
        this.#log(`giving up: ${decision.reason}; the state stays, its channels close`);
      else if (decision.exitCode !== 0) this.#log(`not restarted: ${decision.reason}`);
      this.#end(decision.exitCode, decision.reason);
      return;
    }
    this.#fastFaults = decision.fastFaults;
    const fault: FaultRecord = {
      generation: number,
      class: ended.status.signal ? 'signal' : 'exit',
      ...ended.status,
      at: ended.at.toISOString(),
      downMs: null,
      channels: 0,
    };
    // A keeper that dies when it has the word, but before it has acted, brings the same fault here twice.
    if (this.#faults.at(-1)?.generation !== number) {
      this.#faults.push(fault);
      this.#faultMs.set(fault, ended.atMs);
    }
    if (asking) {
      asking.asking = false;
      asking.socket.write('s');
    } else {
      this.#log(
        `generation ${number} (pid ${this.#generation.pid}) ${describe(ended.status)} and no keeper holds its channels; starting afresh`,
      );
      this.start(number + 1);
    }
  }

  #loseKeepers(): void {
    this.#keeperTimer = undefined;
    this.#log(`a keeper is silent since generation ${this.#generation.number} died; going on without it`);
    for (const keeper of this.#keepers.values()) process.kill(keeper.pid, 'SIGKILL');
    this.#settle(true);
  }

  #end(exitCode: number, reason: string): void {
    if (this.#finished) return;
    this.#finished = true;
    clearTimeout(this.#keeperTimer);
    clearTimeout(this.#stopTimer);
    for (const keeper of this.#keepers.values()) keeper.socket.write('x');
    this.#finishWhenAlone(exitCode, reason);
  }

  #finishWhenAlone(exitCode: number, reason: string): void {
    this.#lastWord = {exitCode, reason};
    if (this.#keepers.size > 0) return;
    removeRunDir(this.#dir);
    this.#finish(this.#lastWord);
    this.#server.close();
  }

  // --- control --------------------------------------------------------------------------------------------------

  #onConnection(socket: Socket): void {
    socket.on('error', () => socket.destroy()); // the peer's death is learnt from its pidfd, not from here
    onMessages(socket, message => this.#onMessage(socket, message));
  }

  #onMessage(socket: Socket, message: Message): void {
    switch (message.type) {
      case 'keeper':
        this.#onKeeper(socket, message);
        break;
      case 'dead': {
        const keeper = this.#keepers.get(message['keeper'] as number);
        if (!keeper) break;
        keeper.generation = message['generation'] as number;
        keeper.asking = keeper.generation === this.#generation.number && !this.#finished;
        if (keeper.asking) this.#settle();
        else socket.write('x'); // another keeper has already taken that generation's channels over
        break;
      }
      case 'started': {
        const pid = message['pid'] as number;
        const fault = this.#faults.at(-1)!;
        fault.channels = message['channels'] as number;
        this.#log(
          `generation ${fault.generation} (pid ${this.#generation.pid}) ${describe(fault)}; generation ` +
            `${message['generation']} (pid ${pid}) takes over ${fault.channels} channels`,
        );
        const keeper = this.#keepers.get(message['keeper'] as number);
        if (keeper) keeper.generation = message['generation'] as number;
        this.#watchGeneration(message['generation'] as number, pid, native().pidfdOpen(pid));
        break;
      }
      case 'served': {
        const fault = this.#faults.find(({generation}) => generation + 1 === message['generation']);
        if (fault) fault.downMs = Math.max(0, (message['at'] as number) - this.#faultMs.get(fault)!);
        break;
      }
      case 'count':
        for (const counted of this.#keepers.get(message['keeper'] as number)?.counted.splice(0) ?? []) {
          counted(message['channels'] as number);
        }
        break;
      case 'status':
        this.status().then(status => {
          send(socket, {type: 'status', status});
          socket.end();
        });
        break;
      case 'stop':
        this.stop().then(() => {
          send(socket, {type: 'stopped'});
          socket.end();
        });
        break;
      default:
        socket.destroy();
    }
  }

  #onKeeper(socket: Socket, message: Message): void {
    const pid = message['keeper'] as number;
    const generation = message['generation'] as number;
    const keeper: Keeper = {pid, of: generation, generation, socket, asking: false, counted: []};
    this.#keepers.set(pid, keeper);
    const pidfd = native().pidfdOpen(pid);
    native().onExit(
      pidfd,
      () => {
        native().reap(pid); // -ECHILD: of a service that this supervisor did not start; there is nothing to reap then
        this.#keepers.delete(pid);
        for (const counted of keeper.counted.splice(0)) counted(0);
        socket.destroy(); // the shared table keeps the other end open, so the socket itself would never say it
        if (this.#lastWord) this.#finishWhenAlone(this.#lastWord.exitCode, this.#lastWord.reason);
        else this.#settle();
      },
      true,
    );
    if (this.#finished) socket.write('x');
    else if (this.#stopping) this.#terminate();
  }

  #countChannels(): Promise<number> {
    const keeper = [...this.#keepers.values()].at(-1);
    if (!keeper) return Promise.resolve(0);
    return new Promise(resolve => {
      const timer = setTimeout(resolve, COUNT_MS, 0);
      keeper.counted.push(channels => {
        clearTimeout(timer);
        resolve(channels);
      });
      keeper.socket.write('c');
    });
  }

  // --- what others ask for --------------------------------------------------------------------------------------

  async status(): Promise<Status> {
    const channels = await this.#countChannels();
    const {number: generation, pid, startedAt} = this.#generation;
    return {
      name: this.name,
      supervisorPid: this.pid,
      generation,
      pid,
      startedAt: startedAt.toISOString(),
      channels,
      faults: this.#faults,
    };
  }

  async stop(): Promise<void> {
    if (!this.#stopping && !this.#finished) {
      this.#stopping = true;
      this.#terminate();
      this.#stopTimer = setTimeout(() => {
        this.#log(`the service did not end within ${STOP_MS / 1000} s of SIGTERM; killing it`);
        if (!this.#generation.ended) process.kill(this.#generation.pid, 'SIGKILL');
      }, STOP_MS);
    }
    await this.done;
  }

  /**
   * SIGTERM, but not while a next generation boots: without its handlers yet it would die of the signal, and with it
   * the answers that it was to finish. When it registers, this is called again.
   */
  #terminate(): void {
    const {pid, ended, number} = this.#generation;
    const keepers = [...this.#keepers.values()];
    const booting = keepers.length > 0 && keepers.every(keeper => keeper.of < number);
    if (!ended && !booting) process.kill(pid, 'SIGTERM');
  }
}

async function bind(server: Server, path: string): Promise<void> {
  rmSync(path, {force: true});
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/**
 * Starts a command under a supervisor in this process.
 *
 * @throws ShimError NAME_INVALID, NAME_IN_USE, RUN_DIR_UNSAFE, COMMAND_EMPTY, SPAWN_FAILED
 */
export async function supervise(options: SuperviseOptions): Promise<Supervisor> {
  if (options.command.length === 0) {
    throw new ShimError(
      'COMMAND_EMPTY',
      'there is no command to supervise; expected a program and its arguments',
    );
  }
  const dir = makeRunDir(options.name);
  if ((await listServices()).includes(options.name)) {
    throw new ShimError(
      'NAME_IN_USE',
      `a service named '${options.name}' runs already; stop it (\`zlr stop --name ${options.name}\`) or choose another --name`,
    );
  }
  const server = createServer();
  await bind(server, dir.control);
  const supervisor = new ProcessSupervisor(options, dir, server);
  try {
    supervisor.start(1);
  } catch (error) {
    server.close();
    removeRunDir(dir);
    throw error;
  }
  return supervisor;
}
