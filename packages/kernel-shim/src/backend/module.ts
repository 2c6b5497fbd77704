import {constants} from 'node:os';
import {errnoName, ShimError} from '../errors.js';
import {native} from '../native.js';
import {type Backend, environmentStrings, type Registration} from './backend.js';

/** The module's own threshold applies: its parameter threshold_ms. */
const THRESHOLD_DEFAULT = 0xffffffff;

const hints: Readonly<Record<string, string>> = {
  E2BIG: 'arguments and environment together are larger than 256 KiB',
  EDQUOT: 'too many registered processes; raise /sys/module/zlr/parameters/services_user_max or services_max',
};

/** The kernel keeps the channels and starts the next generation: kmod/. */
class ModuleBackend implements Backend {
  readonly generation: number;
  readonly childId: number;
  readonly keeperPid = 0;
  readonly #device: number;
  readonly #fault: {signal: number; code: number; pid: number};

  constructor(device: number) {
    const {error, ...info} = native.moduleInfo(device);
    if (error < 0) {
      throw new ShimError('SYSTEM_CALL_FAILED', `/dev/zlr: ${errnoName(error)}`, errnoName(error));
    }
    this.#device = device;
    this.#fault = info;
    this.generation = info.generation;
    this.childId = info.childId;
  }

  register({binPath, argv, envp, childId}: Registration, channels: number): void {
    const error = native.moduleRegister(
      this.#device,
      binPath,
      argv,
      environmentStrings(envp),
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
    native.moduleForget(this.#device); // nothing to forget is as well
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

/** Undefined: there is no /dev/zlr for this user. */
export function moduleBackend(): Backend | undefined {
  const device = native.moduleOpen();
  if (device >= 0) return new ModuleBackend(device);
  if (errnoName(device) === 'EPROTO') {
    console.error(
      'zlr: the kernel module zlr and this package are of different versions, so the module is not used; install both anew',
    );
  }
  return undefined;
}
