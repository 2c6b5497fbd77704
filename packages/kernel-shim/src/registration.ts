import {connect, type Socket} from 'node:net';
import {dirname} from 'node:path';
import {send} from './control/lines.js';
import {startTicks, writeServiceNote} from './control/run-dir.js';
import {errnoName, ShimError} from './errors.js';
import {native} from './native.js';

/** What a process declares in order to be restarted (thesis, `reregist`). */
export interface Registration {
  /** The program that the next generation executes. */
  readonly binPath: string;
  readonly argv: readonly string[];
  readonly envp: Readonly<Record<string, string>>;
  /** Tells the processes of one service apart; 0 for the only one. */
  readonly childId: number;
}

/** What a generation finds of the one before it (thesis, `getreginfo`). */
export interface RegistrationInfo extends Registration {
  /** This life's number; the former one had one less. */
  readonly generation: number;
  /** Descriptors of the sockets that were handed over, listening ones and connections, under their old numbers. */
  readonly channels: readonly number[];
  /** Descriptors of files that half-sent answers may still need. */
  readonly files: readonly number[];
}

/** What the supervisor and the former keeper said to this process through its environment. */
interface Birth {
  readonly control: string;
  readonly generation: number;
  readonly lifeline: number;
  readonly orphaned: number;
  readonly thresholdMs: number;
  readonly childId: number;
}

const ownVariables = ['ZLR_CONTROL', 'ZLR_THRESHOLD_MS', 'ZLR_CHILD_ID'] as const;
/** Written by the keeper for each generation, so never taken over from this one's environment. */
const keeperVariables = ['ZLR_GENERATION', 'ZLR_LIFELINE', 'ZLR_ORPHANED'] as const;

/** Read once and removed: a child process of the service must not take itself for the service. */
function readBirth(): Birth | undefined {
  const {env} = process;
  const control = env['ZLR_CONTROL'];
  const birth = control && {
    control,
    generation: Number(env['ZLR_GENERATION'] ?? 1),
    lifeline: Number(env['ZLR_LIFELINE'] ?? 0) || -1,
    orphaned: Number(env['ZLR_ORPHANED'] ?? 0),
    thresholdMs: Number(env['ZLR_THRESHOLD_MS'] ?? 0),
    childId: Number(env['ZLR_CHILD_ID'] ?? 0),
  };
  for (const name of [...ownVariables, ...keeperVariables]) delete env[name];
  return birth || undefined;
}

const birth = readBirth();
let info: RegistrationInfo | null | undefined;
let registered = false;
let keeperPid = 0;
let control: Socket | undefined;

function ownRegistration(): Registration {
  const envp: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) envp[name] = value;
  return {
    binPath: process.execPath,
    argv: [process.argv0, ...process.execArgv, ...process.argv.slice(1)],
    envp,
    childId: birth?.childId ?? 0,
  };
}

/** True when a supervisor started this process, so that it can be restarted. */
export function isSupervised(): boolean {
  return birth !== undefined;
}

/** The number of this life: 1 for the first, also without a supervisor. */
export function generation(): number {
  return birth?.generation ?? 1;
}

/**
 * What was handed over to this process; null in a first generation and without a supervisor.
 *
 * The descriptors belong to the caller: what it does not use it must close.
 */
export function getreginfo(): RegistrationInfo | null {
  if (info !== undefined) return info;
  if (!birth || birth.generation === 1) {
    info = null;
    return info;
  }
  const {error, channels, files} = native.adopt();
  if (error < 0) {
    throw new ShimError('SYSTEM_CALL_FAILED', '/proc/self/fd cannot be read; mount /proc', errnoName(error));
  }
  info = {...ownRegistration(), generation: birth.generation, channels, files};
  return info;
}

function startKeeper(): void {
  const {error, pid, pidfd} = native.keeperStart();
  if (error < 0) {
    throw new ShimError(
      'KEEPER_FAILED',
      `the keeper could not be started: ${errnoName(error)}`,
      errnoName(error),
    );
  }
  keeperPid = pid;
  // Whoever kills the keeper does not take its protection away for longer than it takes to clone another.
  native.onExit(pidfd, replaceKeeper, false);
}

function replaceKeeper(): void {
  keeperPid = 0;
  try {
    startKeeper();
  } catch (error) {
    // To end a healthy service for want of its keeper would be the very loss that the keeper is there against.
    console.error(
      `zlr: this service goes on without a keeper, a fault now would close its channels: ${error}`,
    );
  }
}

/**
 * Declares this process restartable and starts its keeper: from here on its channels outlive it.
 * By default the next generation gets this one's program, arguments and environment. Without a supervisor it does
 * nothing, and the process is an ordinary one. The thesis' figure for this call was under 2 us, into a kernel table;
 * here it clones a process, once in a life.
 *
 * @returns whether the process is under a keeper now
 * @throws ShimError KEEPER_FAILED
 */
export function reregist(changes: Partial<Registration> = {}): boolean {
  if (!birth) return false;
  if (registered) throw new ShimError('KEEPER_FAILED', 'reregist() was called twice; call it once in a life');
  getreginfo(); // takes the handed-over descriptors out of reach of child processes first
  const {binPath, argv, envp, childId} = {...ownRegistration(), ...changes};
  const lines = Object.entries(envp).map(([name, value]) => `${name}=${value}`);
  lines.push(
    `ZLR_CONTROL=${birth.control}`,
    `ZLR_THRESHOLD_MS=${birth.thresholdMs}`,
    `ZLR_CHILD_ID=${childId}`,
  );
  const error = native.planMake(
    binPath,
    argv,
    lines,
    birth.control,
    birth.generation,
    birth.lifeline,
    birth.orphaned,
    birth.thresholdMs,
  );
  if (error < 0) {
    throw new ShimError(
      'KEEPER_FAILED',
      `no memory for the keeper's plan: ${errnoName(error)}`,
      errnoName(error),
    );
  }
  registered = true;
  startKeeper();
  const path = dirname(birth.control);
  writeServiceNote(
    {path, control: birth.control, service: `${path}/service.json`},
    {
      pid: process.pid,
      generation: birth.generation,
      startedAt: new Date(performance.timeOrigin).toISOString(),
      startTicks: startTicks(process.pid)!,
    },
  );
  return true;
}

/** Tells the supervisor that the first channel which was handed over is served again. */
export function reportServed(): void {
  if (!birth || control) return;
  const at = Number(process.hrtime.bigint() / 1000n) / 1000;
  control = connect(birth.control, () => {
    send(control!, {type: 'served', generation: birth.generation, at});
    control!.end();
  });
  control.on('error', () => control!.destroy()); // the supervisor is gone: the keeper copes with that, not we
  control.unref();
}

/** Says that the end of this process, which follows, is no fault: its keeper goes with it. */
export function endOrderly(): void {
  native.orderly();
}

/** The pid of the keeper; 0: there is none. */
export function currentKeeper(): number {
  return keeperPid;
}
