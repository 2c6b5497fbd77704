import {constants} from 'node:os';
import {errnoName, ShimError} from '../errors.js';
import {native} from '../native.js';
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

/** The kernel keeps the channels and starts the next generation: kmod/. */
class ModuleBackend implements Backend {
  readonly generation: number;
  readonly childId: number;
  readonly keeperPid = 0;
  readonly #device: number;
  readonly #fault: {signal: number; code: number; pid: number};

  constructor(device: number) {
    const {error, ...info} = native().moduleInfo(device);
    if (error < 0) {
      throw new ShimError('SYSTEM_CALL_FAILED', `/dev/zlr: ${errnoName(error)}`, errnoName(error));
    }
    this.#device = device;
    this.#fault = info;
    this.generation = info.generation;
    this.childId = info.childId;
  }

  /** The module has put them into the table already, under their old numbers. */
  takeOver(): HandedOver {
    const {channels, files} = native().inherited();
    return {channels, files: files.map(fd => ({fd, was: fd}))};
  }

  register(registration: Registration | undefined, channels: number): void {
    const {binPath, argv, envp, childId} = registration ?? ownRegistration(this.childId);
    const error = native().moduleRegister(
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
    // There is no supervisor who could say it.
    if (this.generation > 1) console.error(this.#obituary(channels));
  }

  served(): void {}

  orderly(): void {
    native().moduleForget(this.#device); // nothing to forget is as well
  }

  #obituary(channels: number): string {
    const {signal, code, pid} = this.#fault;
    const name = Object.entries(constants.signals).find(([, number]) => number === signal)?.[0];
    const how = signal ? `died of ${name ?? `signal ${signal}`}` : `ended with exit code ${code}`;
    return (
      `zlr: generation ${this.generation - 1} (pid ${pid}) ${how}; generation ${this.generation} ` +
      `(pid ${process.pid}) takes over ${channels} channels`
    );
  }
}

/**
 * Undefined: the module was not asked for, by ZLR_BACKEND=module. It is there for everybody who may open the device, but
 * a program that merely uses this package must not find itself started again after it was killed.
 *
 * @throws ShimError SYSTEM_CALL_FAILED
 */
export function moduleBackend(): Backend | undefined {
  const {env} = process;
  const asked = env['ZLR_BACKEND'] === 'module';
  // A child process of the service must not take itself for the service; the next generation is told again.
  delete env['ZLR_BACKEND'];
  if (!asked) return undefined;
  const device = native().moduleOpen();
  if (device >= 0) return new ModuleBackend(device);
  const name = errnoName(device);
  const hint = openHints[name];
  throw new ShimError(
    'SYSTEM_CALL_FAILED',
    `ZLR_BACKEND=module, but /dev/zlr cannot be used: ${name}${hint ? `; ${hint}` : ''}`,
    name,
  );
}
