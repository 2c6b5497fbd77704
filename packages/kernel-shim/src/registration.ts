import type {Backend, Registration} from './backend/backend.js';
import {keeperBackend} from './backend/keeper.js';
import {moduleBackend} from './backend/module.js';
import {assertFits, errnoName, ShimError} from './errors.js';
import {native} from './native.js';
import {type Expected, integer, listOf, mapOf, optional, systemText} from './options.js';

export type {Registration} from './backend/backend.js';

/** What a generation finds of the one before it (thesis, `getreginfo`). */
export interface RegistrationInfo extends Registration {
  /** This life's number; the former one had one less. */
  readonly generation: number;
  /** Descriptors of the sockets that were handed over, listening ones and connections, under their old numbers. */
  readonly channels: readonly number[];
  /** Descriptors of files that half-sent answers may still need. */
  readonly files: readonly number[];
}

/** The compiler sees to it that none is missing. */
const REGISTRATION = {
  binPath: optional(systemText),
  argv: optional(listOf(systemText)),
  envp: optional(mapOf(systemText)),
  childId: optional(integer(0, 2 ** 31 - 1)),
} satisfies Record<keyof Registration, Expected>;

/** Asked for by a supervisor that started this process, or by ZLR_BACKEND=module. */
const backend: Backend | undefined = keeperBackend() ?? moduleBackend();
let info: RegistrationInfo | null | undefined;
let registered = false;

function ownRegistration(): Registration {
  const envp: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) envp[name] = value;
  return {
    binPath: process.execPath,
    argv: [process.argv0, ...process.execArgv, ...process.argv.slice(1)],
    envp,
    childId: backend?.childId ?? 0,
  };
}

/** True when a supervisor started this process, or ZLR_BACKEND=module: so that it can be restarted. */
export function isSupervised(): boolean {
  return backend !== undefined;
}

/** The number of this life: 1 for the first, also without a supervisor. */
export function generation(): number {
  return backend?.generation ?? 1;
}

/**
 * What was handed over to this process; null in a first generation and without a supervisor.
 *
 * The descriptors belong to the caller: what it does not use it must close.
 */
export function getreginfo(): RegistrationInfo | null {
  if (info !== undefined) return info;
  if (!backend || backend.generation === 1) {
    info = null;
    return info;
  }
  const {error, channels, files} = native().adopt();
  if (error < 0) {
    throw new ShimError('SYSTEM_CALL_FAILED', '/proc/self/fd cannot be read; mount /proc', errnoName(error));
  }
  info = {...ownRegistration(), generation: backend.generation, channels, files};
  return info;
}

/**
 * Declares this process restartable: from here on its channels outlive it. By default the next generation gets this
 * one's program, arguments and environment. Without a supervisor and without ZLR_BACKEND=module it does nothing, and
 * the process is an ordinary one. The thesis' figure for this call was under 2 us, into a kernel table; with the
 * module it is that again, and with a keeper it clones a process, once in a life.
 *
 * @returns whether the process is restartable now
 * @throws ShimError OPTION_INVALID, KEEPER_FAILED, SYSTEM_CALL_FAILED
 */
export function reregist(changes: Partial<Registration> = {}): boolean {
  assertFits('reregist', changes, REGISTRATION); // also without a supervisor: a mistake shows when it is made
  if (!backend) return false;
  if (registered) throw new ShimError('KEEPER_FAILED', 'reregist() was called twice; call it once in a life');
  const handedOver = getreginfo(); // takes the handed-over descriptors out of reach of child processes first
  registered = true;
  backend.register({...ownRegistration(), ...changes}, handedOver?.channels.length ?? 0);
  return true;
}

/** Tells the supervisor that the first channel which was handed over is served again. */
export function reportServed(): void {
  backend?.served();
}

/** Says that the end of this process, which follows, is no fault: its keeper goes with it. */
export function endOrderly(): void {
  backend?.orderly();
}

/** The pid of the keeper; 0: there is none. */
export function currentKeeper(): number {
  return backend?.keeperPid ?? 0;
}
