import {constants} from 'node:os';

/** How a process ended, exactly as its parent was told. */
export interface WaitStatus {
  signal: NodeJS.Signals | null;
  exitCode: number | null;
}

/** sysexits.h: the configuration is wrong, so another generation would end in the same way. */
export const EX_CONFIG = 78;

/** This many faults in a row, each sooner than the threshold after a restart, and the supervisor gives up. */
export const FAST_FAULTS_MAX = 5;

const signalNames = new Map<number, NodeJS.Signals>();
for (const [name, number] of Object.entries(constants.signals)) {
  // The first of several names is the usual one: SIGABRT, not SIGIOT.
  if (!signalNames.has(number)) signalNames.set(number, name as NodeJS.Signals);
}

/**
 * This many generations in a row that died before they had registered, whatever the threshold: they cannot boot.
 * native/keeper/keeper.c has the same limit for the time without a supervisor.
 */
export const STILLBORN_MAX = 20;

export function waitStatus(signaled: boolean, number: number): WaitStatus {
  return signaled
    ? {signal: signalNames.get(number) ?? null, exitCode: null}
    : {signal: null, exitCode: number};
}

export function describe(status: WaitStatus): string {
  return status.signal ? `died of ${status.signal}` : `ended with exit code ${status.exitCode}`;
}

export type Decision =
  | {act: 'restart'; fastFaults: number}
  | {act: 'end'; exitCode: number; reason: string}
  | {act: 'give up'; exitCode: number; reason: string};

/**
 * What follows the end of a generation.
 *
 * @param lifeMs     how long it lived
 * @param fastFaults how many fast faults in a row came before
 * @param thresholdMs a fault sooner than this after a restart counts as a software bug, which a restart does not
 *                    heal (the thesis' 60 s); 0: every fault counts as transient
 * @param stillborn   how many generations in a row, this one included, died before they registered
 */
export function decide(
  status: WaitStatus,
  generation: number,
  lifeMs: number,
  fastFaults: number,
  thresholdMs: number,
  stillborn: number,
): Decision {
  if (status.exitCode === 0) return {act: 'end', exitCode: 0, reason: 'the service ended by itself'};
  if (status.exitCode === EX_CONFIG) {
    return {act: 'end', exitCode: EX_CONFIG, reason: 'the service says that its configuration is wrong'};
  }
  if (stillborn >= STILLBORN_MAX) {
    const reason = `${stillborn} generations in a row died before they had registered, so another would too`;
    return {act: 'give up', exitCode: 1, reason};
  }
  const isFast = generation > 1 && lifeMs < thresholdMs;
  const fast = isFast ? fastFaults + 1 : 0;
  if (fast >= FAST_FAULTS_MAX) {
    const seconds = thresholdMs / 1000;
    const reason = `${fast} faults in a row came within ${seconds} s after a restart, which looks like a bug that restarting does not heal`;
    return {act: 'give up', exitCode: 1, reason};
  }
  return {act: 'restart', fastFaults: fast};
}
