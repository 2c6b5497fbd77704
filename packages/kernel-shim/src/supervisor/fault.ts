import {constants} from 'node:os';
import type {Aging} from './health.js';

/** How a process ended, exactly as its parent was told; both null: the program between it and us did not say. */
export interface WaitStatus {
  signal: NodeJS.Signals | null;
  exitCode: number | null;
}

/** sysexits.h: the configuration is wrong, so another generation would end in the same way. */
export const EX_CONFIG = 78;

/** This many faults in a row, each sooner than the threshold after a restart, and the supervisor gives up. */
export const FAST_FAULTS_MAX = 5;

/** A next generation that did not come up is followed by another after this pause, which doubles each time. */
const PAUSE_MS = 50;
const PAUSE_MAX_MS = 5_000;

const signalNames = new Map<number, NodeJS.Signals>();
for (const [name, number] of Object.entries(constants.signals)) {
  // The first of several names is the usual one: SIGABRT, not SIGIOT.
  if (!signalNames.has(number)) signalNames.set(number, name as NodeJS.Signals);
}

export function waitStatus(signaled: boolean, number: number): WaitStatus {
  return signaled
    ? {signal: signalNames.get(number) ?? null, exitCode: null}
    : {signal: null, exitCode: number};
}

/** Shells and npm end with 128 + N when what they ran died of signal N. */
export function throughWrapper({signal, exitCode}: WaitStatus): WaitStatus {
  const inner = exitCode !== null && exitCode > 128 ? signalNames.get(exitCode - 128) : undefined;
  return inner ? {signal: inner, exitCode: null} : {signal, exitCode};
}

export function describe(status: WaitStatus): string {
  if (status.signal) return `died of ${status.signal}`;
  return status.exitCode === null ? 'died' : `ended with exit code ${status.exitCode}`;
}

/** A life that is over. */
export interface Life {
  generation: number;
  status: WaitStatus;
  lifeMs: number;
  /** It is a next generation, and had not taken over yet what the former one left. */
  stillborn: boolean;
  /** It was a program that takes nothing over and registers nothing. */
  plain: boolean;
  /** It was ended so that a fresh one follows: nothing had failed. */
  planned: boolean;
}

/** What went before. */
export interface History {
  /** Faults in a row, each sooner than the threshold after a restart. */
  fastFaults: number;
  /** Generations in a row that did not come up, and since when. */
  failedBoots: number;
  failingSinceMs: number;
}

export interface Limits {
  /** A fault sooner than this after a restart counts as a software bug, which a restart does not heal (the thesis' 60 s);
   * 0: every fault counts as transient. */
  thresholdMs: number;
  /** For so long it is tried again when a next generation does not come up. */
  patienceMs: number;
  /** A registered generation whose heartbeat is silent for so long hangs, and is killed; 0: it may. */
  hangMs: number;
  aging: Aging;
  /** Whether another one stands by while a generation lives. */
  standby: boolean;
}

export type Decision =
  | {act: 'restart'; history: History; pauseMs: number}
  | {act: 'end'; exitCode: number; reason: string}
  | {act: 'give up'; exitCode: number; reason: string};

function pauseMs(failures: number): number {
  return failures < 2 ? 0 : Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** Math.min(failures - 2, 10));
}

/** What follows the end of a generation. */
export function decide(
  life: Life,
  history: History,
  {thresholdMs, patienceMs}: Pick<Limits, 'thresholdMs' | 'patienceMs'>,
  nowMs: number,
): Decision {
  const {exitCode} = life.status;
  const seconds = (ms: number): string => `${ms / 1000} s`;
  // A first generation that says so is believed; of a later one the same files were right a moment ago.
  if (!life.stillborn) {
    if (exitCode === 0) return {act: 'end', exitCode: 0, reason: 'the service ended by itself'};
    if (exitCode === EX_CONFIG && (life.generation === 1 || life.plain)) {
      return {act: 'end', exitCode: EX_CONFIG, reason: 'the service says that its configuration is wrong'};
    }
  }
  if (life.planned) return {act: 'restart', history, pauseMs: 0};
  const isFast = life.generation > 1 && life.lifeMs < thresholdMs;
  // Without threshold, too, nothing is started again and again without a pause.
  const failedBoot = life.stillborn || (life.plain && life.lifeMs < 1_000);
  const failedBoots = failedBoot ? history.failedBoots + 1 : 0;
  const failingSinceMs = failedBoots > 1 ? history.failingSinceMs : nowMs;
  const fastFaults =
    isFast && !life.stillborn ? history.fastFaults + 1 : life.stillborn ? history.fastFaults : 0;
  if (fastFaults >= FAST_FAULTS_MAX) {
    const reason = `${fastFaults} faults in a row came within ${seconds(thresholdMs)} after a restart, which looks like a bug that restarting does not heal`;
    return {act: 'give up', exitCode: 1, reason};
  }
  if (life.stillborn && failedBoots > 1 && nowMs - failingSinceMs >= patienceMs) {
    const reason = `${failedBoots} generations in a row did not come up in ${seconds(patienceMs)}`;
    return {act: 'give up', exitCode: 1, reason};
  }
  return {
    act: 'restart',
    history: {fastFaults, failedBoots, failingSinceMs},
    pauseMs: pauseMs(failedBoots),
  };
}

/** A generation could not even be started: for want of processes, memory or descriptors, or since its program is missing. */
export function decideUnstarted(
  history: History,
  {patienceMs}: Pick<Limits, 'patienceMs'>,
  nowMs: number,
  why: string,
): Decision {
  const failedBoots = history.failedBoots + 1;
  const failingSinceMs = failedBoots > 1 ? history.failingSinceMs : nowMs;
  if (nowMs - failingSinceMs >= patienceMs) {
    const reason = `the next generation could not be started for ${patienceMs / 1000} s: ${why}`;
    return {act: 'give up', exitCode: 1, reason};
  }
  return {
    act: 'restart',
    history: {...history, failedBoots, failingSinceMs},
    pauseMs: Math.max(PAUSE_MS, pauseMs(failedBoots)),
  };
}
