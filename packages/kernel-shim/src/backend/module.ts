import {constants} from 'node:os';
import {errnoName, ShimError} from '../errors.js';
import {native} from '../native.js';
import {say} from '../say.js';
import {type Backend, environmentStrings, type HandedOver, type Registration} from './backend.js';
import {ownRegistration} from './own-registration.js';

/** The module's own threshold applies: its parameter threshold_ms. */
const THRESHOLD_DEFAULT = 0xffffffff;

const hints: Readonly<Record<string, string>> = {
  E2BIG: 'arguments and environment together are larger than 256 KiB',
  EDQUOT: 'too many registered processes; raise /sys/module/zlr/parameters/services_user_max or services_max',
};

const openHints: Readonly<Record<string, string>> = {
  ENOENT: 'load the module with: modprobe zlr (kmod/README.md)',
  EACCES: 'become a member of the group of /dev/zlr',
  EPROTO: 'the module and this package are of different versions; install both anew',
};

const standbyHints: Readonly<Record<string, string>> = {
  ESRCH: 'the service has ended, or there never was one of this number',
  EPERM: 'a standby needs the same ids as the service and no less capabilities',
  EBUSY: 'another process stands by already, or a channel has a number that is taken here',
  EEXIST: 'this process lives a service of its own',
  EINPROGRESS: 'the next generation is just being started; ask again when it is registered',
  ETIMEDOUT: 'this process came too late; the kernel has started the program (standby_ms)',
};

/** A System V segment that the former generation had attached. */
export interface NotedSegment {
  readonly shmid: number;
  readonly address: bigint;
  readonly size: number;
}

function readInfo(device: number): ReturnType<ReturnType<typeof native>['moduleInfo']> {
  const info = native().moduleInfo(device);
  if (info.error < 0) {
    throw new ShimError('SYSTEM_CALL_FAILED', `/dev/zlr: ${errnoName(info.error)}`, errnoName(info.error));
  }
  return info;
}

/** The kernel keeps the channels and starts the next generation: kmod/. */
class ModuleBackend implements Backend {
  readonly keeperPid = 0;
  readonly #device: number;
  #info: ReturnType<typeof readInfo>;
  /** Names the service to a standby; 0n: it is not registered. */
  service = 0n;

  constructor(device: number) {
    this.#device = device;
    this.#info = readInfo(device);
  }

  get generation(): number {
    return this.#info.generation;
  }

  get childId(): number {
    return this.#info.childId;
  }

  get segments(): readonly NotedSegment[] {
    return this.#info.segments;
  }

  /** Who stands by for a service of the module says so itself: `standBy`. */
  readonly standsBy = false;

  async stand(): Promise<void> {}

  async turn(): Promise<void> {}

  whenStandingBy(): void {}

  /** The module has put them into the table already, under their old numbers. */
  takeOver(): HandedOver {
    const {channels, files} = native().inherited();
    return {channels, files: files.map(fd => ({fd, was: fd}))};
  }

  register(registration: Registration | undefined, channels: number): void {
    const {binPath, argv, envp, childId} = registration ?? ownRegistration(this.childId);
    const {error, service} = native().moduleRegister(
      this.#device,
      binPath,
      argv,
      [...environmentStrings(envp), 'ZLR_BACKEND=module'],
      childId,
      THRESHOLD_DEFAULT,
    );
    if (error < 0) {
      const name = errnoName(error);
      const hint = hints[name];
      throw new ShimError(
        'SYSTEM_CALL_FAILED',
        `the kernel module refused the registration: ${name}${hint ? `; ${hint}` : ''}`,
        name,
      );
    }
    this.service = service;
    // There is no supervisor who could say it.
    if (this.generation > 1) say(this.#obituary(channels));
  }

  served(): void {}

  blamed(): void {}

  whenRenewed(): void {}

  orderly(): void {
    native().moduleForget(this.#device); // nothing to forget is as well
  }

  noteSegments(): number {
    const noted = native().moduleSegments(this.#device);
    if (noted >= 0) return noted;
    const name = errnoName(noted);
    const hint = name === 'ESRCH' ? '; call reregist() first' : '';
    throw new ShimError('SYSTEM_CALL_FAILED', `the segments could not be noted: ${name}${hint}`, name);
  }

  async standBy(service: bigint): Promise<void> {
    for (;;) {
      const error = native().moduleStandby(this.#device, service);
      if (error === 0) break;
      const name = errnoName(error);
      if (name !== 'EAGAIN') {
        const hint = standbyHints[name];
        throw new ShimError(
          'SYSTEM_CALL_FAILED',
          `standing by failed: ${name}${hint ? `; ${hint}` : ''}`,
          name,
        );
      }
      await this.#readable();
    }
    this.#info = readInfo(this.#device);
  }

  /** The device is worth asking again. */
  async #readable(): Promise<void> {
    await new Promise<void>(resolve => {
      const watch = native().onReadable(this.#device, () => setImmediate(done), true);
      // Outside of its own callback, and before the next one.
      const done = (): void => {
        if (typeof watch !== 'number') native().unwatch(watch);
        resolve();
      };
    });
  }

  #obituary(channels: number): string {
    const {signal, code, pid} = this.#info;
    const name = Object.entries(constants.signals).find(([, number]) => number === signal)?.[0];
    const how = signal ? `died of ${name ?? `signal ${signal}`}` : `ended with exit code ${code}`;
    return (
      `generation ${this.generation - 1} (pid ${pid}) ${how}; generation ${this.generation} ` +
      `(pid ${process.pid}) takes over ${channels} channels`
    );
  }
}

let asked: ModuleBackend | undefined;

function theModule(of: string): ModuleBackend {
  if (asked) return asked;
  throw new ShimError(
    'OPTION_INVALID',
    `${of}: this process does not use the kernel module; start it with ZLR_BACKEND=module`,
  );
}

/**
 * The secret number of this process' service, for a standby of it; undefined until `reregist()`, and without the kernel
 * module.
 */
export function serviceNumber(): bigint | undefined {
  return asked?.service || undefined;
}

/**
 * Waits, in a process that has loaded and set up what can be, for the death of the generation that lives a service now,
 * and takes its place: afterwards `generation()` and `getreginfo()` are those of the next one. With the kernel module
 * only. Call it before `getreginfo()`.
 *
 * @param service its `serviceNumber()`
 * @throws ShimError SYSTEM_CALL_FAILED; OPTION_INVALID without the module
 */
export function standBy(service: bigint): Promise<void> {
  return theModule('standBy').standBy(service);
}

/**
 * Notes which System V segments are attached now, for the next generation to find (`notedSegments`). With the kernel
 * module only, behind `reregist()`.
 *
 * @returns how many
 * @throws ShimError SYSTEM_CALL_FAILED; OPTION_INVALID without the module
 */
export function noteSegments(): number {
  return theModule('noteSegments').noteSegments();
}

/** The segments that the former generation had noted last. */
export function notedSegments(): readonly NotedSegment[] {
  return asked?.segments ?? [];
}

/**
 * Undefined: the module was not asked for, by ZLR_BACKEND=module. It is there for everybody who may open the device, but
 * a program that merely uses this package must not find itself started again after it was killed.
 *
 * @throws ShimError SYSTEM_CALL_FAILED
 */
export function moduleBackend(): Backend | undefined {
  const {env} = process;
  const isAsked = env['ZLR_BACKEND'] === 'module';
  // A child process of the service must not take itself for the service; the next generation is told again.
  delete env['ZLR_BACKEND'];
  if (!isAsked) return undefined;
  asked = new ModuleBackend(openModule('ZLR_BACKEND=module, but '));
  return asked;
}

/**
 * A descriptor of the device.
 *
 * @throws ShimError SYSTEM_CALL_FAILED
 */
export function openModule(context = ''): number {
  const device = native().moduleOpen();
  if (device >= 0) return device;
  const name = errnoName(device);
  const hint = openHints[name];
  throw new ShimError(
    'SYSTEM_CALL_FAILED',
    `${context}/dev/zlr cannot be used: ${name}${hint ? `; ${hint}` : ''}`,
    name,
  );
}
