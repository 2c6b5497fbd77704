import type {Restarted, RestartOptions, Status} from '../control/status.js';
import {
  anything,
  call,
  descriptor,
  type Expected,
  flag,
  integer,
  listOf,
  mapOf,
  optional,
  systemText,
} from '../options.js';
import type {Aging} from './health.js';

export interface SuperviseOptions {
  /** Names the service among those of this user. */
  name: string;
  /** The program and its arguments. */
  command: readonly string[];
  /** A fault sooner than this after a restart counts towards giving up (default 60,000; 0: none does). */
  thresholdMs?: number;
  /** For so long it is tried again when a next generation does not come up (default 60,000). */
  patienceMs?: number;
  /** A service whose event loop does not turn for so long (and a quarter more) is killed, and followed by another (default 0: never). */
  hangMs?: number;
  /** Beyond one of these limits a service that has lived for `thresholdMs` is followed by a fresh one, before it fails. */
  aging?: Aging;
  /** The next generation is started in advance, and waits where it would take over; at a fault it goes on at once (default false). */
  standby?: boolean;
  /** Which of several workers of one service this is, from 1: `childId()` in it (default 0: it is the only one). */
  childId?: number;
  env?: NodeJS.ProcessEnv;
  /** A file of NAME=value lines, read at the start and at each restart; what `env` has goes before. */
  envFile?: string;
  /** Makes of a command, this one or a restart's, what is executed. */
  wrap?: (command: readonly string[]) => readonly string[];
  /** Listening sockets that the service is to use, as systemd gives them: it finds them at its descriptors 3 and on, with LISTEN_FDS and LISTEN_PID. */
  listeners?: readonly number[];
  /** Receives one line an event; by default they go to stderr. */
  log?: (line: string) => void;
}

const milliseconds: Expected = {
  what: 'milliseconds, 0 or more',
  fits: value => Number.isFinite(value) && (value as number) >= 0,
};

const positive: Expected = {
  what: 'a number above 0',
  fits: value => Number.isFinite(value) && (value as number) > 0,
};

/** The compiler sees to it that none is missing. */
export const OPTIONS = {
  name: anything, // NAME_INVALID says what a name is
  command: listOf(systemText),
  thresholdMs: optional(milliseconds),
  patienceMs: optional(milliseconds),
  hangMs: optional(milliseconds),
  aging: optional(mapOf(positive)),
  standby: optional(flag),
  childId: optional(integer(0, 2 ** 31 - 1)),
  env: optional(mapOf(optional(systemText))),
  envFile: optional(systemText),
  wrap: optional(call),
  listeners: optional(listOf(descriptor)),
  log: optional(call),
} satisfies Record<keyof SuperviseOptions, Expected>;

/** A parent that starts a service, learns exactly how each generation ends, and decides what follows. */
export interface Supervisor {
  readonly name: string;
  readonly pid: number;
  status(): Promise<Status>;
  /**
   * Has a fresh generation follow, with all that a fault would leave. It is started beside the old one, which goes on until the new one waits
   * for its turn; when it does not come to that, or faults in its probation, the former program goes on. Resolves at the probation's end.
   *
   * @throws ShimError OPTION_INVALID, NOT_READY, RESTART_FAILED
   */
  restart(options?: RestartOptions): Promise<Restarted>;
  /** Ends the service in good order; resolves when all is gone. */
  stop(): Promise<void>;
  /** Settles when a generation has said by reregist() that it is ready; a service that never does leaves it open. */
  readonly ready: Promise<void>;
  /** Settles when the service has ended for good. */
  readonly done: Promise<{exitCode: number; reason: string}>;
}

export const RESTART_OPTIONS = {
  command: optional(listOf(systemText)),
  probationMs: optional(milliseconds),
} satisfies Record<keyof RestartOptions, Expected>;
