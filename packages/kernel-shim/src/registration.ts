import type {Backend, HandedFile, Registration} from './backend/backend.js';
import {keeperBackend} from './backend/keepers.js';
import {moduleBackend} from './backend/module.js';
import {ownRegistration} from './backend/own-registration.js';
import {assertFits, ShimError} from './errors.js';
import {call, type Expected, integer, listOf, mapOf, optional, systemText} from './options.js';

export type {HandedFile, Registration} from './backend/backend.js';

/** What a generation finds of the one before it (thesis, `getreginfo`). */
export interface RegistrationInfo extends Registration {
  /** This process' number among all that were started for the service. */
  readonly generation: number;
  /** Descriptors of the sockets that were handed over, listening ones and connections. Their numbers may be others than before. */
  readonly channels: readonly number[];
  /** Files that half-sent answers may still need. */
  readonly files: readonly HandedFile[];
}

/** The compiler sees to it that none is missing. */
const REGISTRATION = {
  binPath: optional(systemText),
  argv: optional(listOf(systemText)),
  envp: optional(mapOf(systemText)),
  childId: optional(integer(0, 2 ** 31 - 1)),
} satisfies Record<keyof Registration, Expected>;

/** What went wrong when this package was loaded; it is thrown by the first call that needs the backend. */
let failure: unknown;
/** Asked for by a supervisor that started this process, or by ZLR_BACKEND=module. */
const backend = startBackend();
let info: RegistrationInfo | null | undefined;
let registered = false;

function startBackend(): Backend | undefined {
  try {
    return keeperBackend() ?? moduleBackend();
  } catch (error) {
    failure = error;
    return undefined;
  }
}

/** True when a supervisor started this process, or ZLR_BACKEND=module: so that it can be restarted. */
export function isSupervised(): boolean {
  return backend !== undefined || failure !== undefined;
}

/** The number of this process among all that were started for the service: 1 for the first, also without a supervisor. */
export function generation(): number {
  return backend?.generation ?? 1;
}

/** Which of several processes of one service, its workers, this is, from 1; 0: it is the only one. (The thesis' child_id tells forked processes apart.) */
export function childId(): number {
  return backend?.childId ?? 0;
}

/** The name of what a worker has for itself, as its state: with its number behind; `name` itself where there is one process only. */
export function ownName(name: string): string {
  return childId() > 0 ? `${name}.${childId()}` : name;
}

/**
 * Settles when it is this process' turn. It is so at once, but in a standby (`zlr run --standby`, a restart): that was started while the former
 * generation lives, and what that has (its state, its port, the jobs it does) must not be touched before. `openStore` waits for it by
 * itself, and so do the servers of @zlr/hread and @zlr/http.
 */
export async function turn(): Promise<void> {
  await backend?.stand();
  await backend?.turn();
}

/** As `turn`, of one that has still something to do before its turn, and will call `turn` when that is done. */
export async function untilTurn(): Promise<void> {
  await backend?.turn();
}

/** Whether this process was started in advance, and its turn has not come yet. */
export function standsBy(): boolean {
  return backend?.standsBy ?? false;
}

/**
 * In a standby, called when it begins to wait for its turn: what has run once, runs faster then. `warm` must touch nothing that outlives the
 * process; what it throws costs a line in the log.
 */
export function whenStandingBy(warm: () => void | Promise<void>): void {
  assertFits('whenStandingBy', {warm}, {warm: call});
  backend?.whenStandingBy(warm);
}

/**
 * What was handed over to this process; null in a first generation and without a supervisor. In a later generation
 * the first call takes everything over, and waits for its turn to: load and set up before it what can be.
 *
 * The descriptors belong to the caller: what it does not use it must close.
 */
export function getreginfo(): RegistrationInfo | null {
  if (info !== undefined) return info;
  if (failure !== undefined) throw failure;
  if (!backend || backend.generation === 1) {
    info = null;
    return info;
  }
  info = {...ownRegistration(backend.childId), generation: backend.generation, ...backend.takeOver()};
  return info;
}

/**
 * Declares this process restartable: it is ready, and its channels outlive it. By default the next generation is started
 * as this one was. Without a supervisor and without ZLR_BACKEND=module it does nothing, and the process is an ordinary
 * one. (The keepers were cloned when this package was loaded; here one message is sent. The thesis' figure for this call
 * was under 2 us, into a kernel table.)
 *
 * @returns whether the process is restartable now
 * @throws ShimError OPTION_INVALID, KEEPER_FAILED, SYSTEM_CALL_FAILED
 */
export function reregist(changes: Partial<Registration> = {}): boolean {
  assertFits('reregist', changes, REGISTRATION); // also without a supervisor: a mistake shows when it is made
  if (failure !== undefined) throw failure;
  if (!backend) return false;
  if (registered) throw new ShimError('KEEPER_FAILED', 'reregist() was called twice; call it once in a life');
  const handedOver = getreginfo(); // takes the handed-over descriptors out of reach of child processes first
  registered = true;
  const registration =
    Object.keys(changes).length > 0 ? {...ownRegistration(backend.childId), ...changes} : undefined;
  backend.register(registration, handedOver?.channels.length ?? 0);
  return true;
}

/** Tells the supervisor that the first channel which was handed over is served again. */
export function reportServed(): void {
  if (!standsBy()) backend?.served();
}

/**
 * Tells the supervisor that the faults before this life were the fault of an input that is set aside now: they count no more towards giving up.
 */
export function reportBlamed(): void {
  backend?.blamed();
}

/**
 * Has work that cannot be done again finished before this process is replaced on purpose (`zlr restart`, age): `finish` is called then, and waited for, 5 s
 * at most. Behind a fault it is not.
 */
export function whenRenewed(finish: () => Promise<void>): void {
  assertFits('whenRenewed', {finish}, {finish: call});
  backend?.whenRenewed(finish);
}

/** Says that the end of this process, which follows, is no fault: its keeper goes with it. */
export function endOrderly(): void {
  backend?.orderly();
}

/** The pid of the keeper; 0: there is none. */
export function currentKeeper(): number {
  return backend?.keeperPid ?? 0;
}
