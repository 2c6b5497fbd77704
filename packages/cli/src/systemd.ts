import {native} from '@zlr/kernel-shim/internal';

/**
 * What systemd tells a process that it starts; it is not for what that one starts in its turn (man 3 sd_notify, man 3 sd_watchdog_enabled,
 * man 3 sd_listen_fds).
 */
const VARIABLES = [
  'NOTIFY_SOCKET',
  'WATCHDOG_USEC',
  'WATCHDOG_PID',
  'LISTEN_FDS',
  'LISTEN_PID',
  'LISTEN_FDNAMES',
] as const;

/** Descriptors that it gives begin here (man 3 sd_listen_fds). */
const FIRST = 3;

/** systemd, or whoever else waits at NOTIFY_SOCKET. Where nobody does, nothing is told. */
export class ServiceManager {
  readonly #socket: string | undefined;
  readonly #watchdogMs: number;
  /** Listening sockets that it has opened for the service. */
  readonly listeners: readonly number[];
  #timer: NodeJS.Timeout | undefined;

  /** Takes its variables out of the environment. */
  static fromEnvironment(env = process.env): ServiceManager {
    const manager = new ServiceManager(env);
    for (const name of VARIABLES) delete env[name];
    return manager;
  }

  private constructor({
    NOTIFY_SOCKET,
    WATCHDOG_USEC,
    WATCHDOG_PID,
    LISTEN_FDS,
    LISTEN_PID,
  }: NodeJS.ProcessEnv) {
    const count = Number(LISTEN_PID) === process.pid ? Number(LISTEN_FDS ?? 0) : 0;
    this.listeners = Array.from({length: count || 0}, (_, index) => FIRST + index);
    for (const fd of this.listeners) native().closeOnExec(fd);
    this.#socket = NOTIFY_SOCKET || undefined;
    const isMeant = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === process.pid;
    this.#watchdogMs = isMeant ? Number(WATCHDOG_USEC ?? 0) / 1000 : 0;
  }

  /** From now on it is told, twice in the time that it waits, that this process' event loop turns. */
  watch(): void {
    if (!(this.#watchdogMs > 0)) return;
    this.#tell('WATCHDOG=1');
    this.#timer = setInterval(() => this.#tell('WATCHDOG=1'), this.#watchdogMs / 2);
  }

  ready(status: string): void {
    this.#tell(`READY=1\nSTATUS=${status}\nMAINPID=${process.pid}`);
  }

  stopping(): void {
    this.#tell('STOPPING=1');
  }

  /** Nothing of this keeps the process alive. */
  end(): void {
    clearInterval(this.#timer);
  }

  /** Who cannot be told has gone, and that is no reason to end a service. */
  #tell(state: string): void {
    if (this.#socket !== undefined) native().notify(this.#socket, state);
  }
}
