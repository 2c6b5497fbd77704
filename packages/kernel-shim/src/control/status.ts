/** An abnormal end of a generation. */
export interface FaultRecord {
  /** The generation that died. */
  generation: number;
  /** hang: its heartbeat stopped, and it was killed; aging: a limit was exceeded, and it was renewed; oom: it had no memory left; restart: somebody asked for a fresh one. */
  class: 'signal' | 'exit' | 'hang' | 'aging' | 'oom' | 'restart';
  signal: NodeJS.Signals | null;
  exitCode: number | null;
  /** When the supervisor learnt of it, ISO 8601. */
  at: string;
  /** From there to the first recovered channel that was served again, milliseconds; null: none was (yet). */
  downMs: number | null;
  /** Channels handed to the next generation. */
  channels: number;
  /** From its start to its end. */
  uptimeMs: number;
  /** At its last heartbeat; null: there was none. */
  rssBytes: number | null;
  heapBytes: number | null;
}

/** Of a restart. */
export interface RestartOptions {
  /** The program that follows, and its arguments; default: as before, as it is on disk now. */
  command?: readonly string[];
  /** A fault so soon after it was ready, and the former program comes back (default 5,000). */
  probationMs?: number;
}

/** What came of a restart that was asked for. */
export interface Restarted {
  /** The one that goes on, and its process. */
  generation: number;
  pid: number;
  /** Handed to it. */
  channels: number;
  /** From the question to the end of its probation. */
  tookMs: number;
  /** What each step took, milliseconds. */
  steps: RestartSteps;
}

/** One that was not reached is missing. */
export interface RestartSteps {
  /** Until the new process, beside the old one, has loaded the package. */
  start?: number;
  /** Until it has done what it can in advance, and waits for its turn. */
  load?: number;
  /** Until the old one has finished what cannot be done again, and has ended. */
  finish?: number;
  /** Until the new one has the channels. */
  adopt?: number;
  /** Until it has called reregist(). */
  ready?: number;
}

/** What is known of a service. */
export interface Status {
  name: string;
  /** null: the supervisor has died; the service lives on under its keeper. */
  supervisorPid: number | null;
  generation: number;
  pid: number;
  /** The processes that keep its channels open. */
  keepers: number[];
  /** When this generation was started, ISO 8601. */
  startedAt: string;
  /** The generation that was started in advance; null: there is none. */
  standby: {generation: number; pid: number; isReady: boolean} | null;
  /** As it said last; null: it has not yet. */
  health: {rssBytes: number; heapBytes: number; delayMs: number} | null;
  /** Open channels, listening sockets and connections; null: nobody answers for them. */
  channels: number | null;
  /** The latest ones, at most 100. */
  faults: FaultRecord[];
  /** Of all faults. */
  faultCount: number;
}
