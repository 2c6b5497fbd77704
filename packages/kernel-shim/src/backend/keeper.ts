import {connect, type Socket} from 'node:net';
import {dirname} from 'node:path';
import {send} from '../control/lines.js';
import {startTicks, writeServiceNote} from '../control/run-dir.js';
import {errnoName, ShimError} from '../errors.js';
import {native} from '../native.js';
import {type Backend, environmentStrings, type Registration} from './backend.js';

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

/** A keeper shares this process' file table, a supervisor decides. */
class KeeperBackend implements Backend {
  readonly generation: number;
  readonly childId: number;
  keeperPid = 0;
  readonly #birth: Birth;
  #control: Socket | undefined;

  constructor(birth: Birth) {
    this.#birth = birth;
    this.generation = birth.generation;
    this.childId = birth.childId;
  }

  register({binPath, argv, envp, childId}: Registration): void {
    const {control, generation, lifeline, orphaned, thresholdMs} = this.#birth;
    const lines = [
      ...environmentStrings(envp),
      `ZLR_CONTROL=${control}`,
      `ZLR_THRESHOLD_MS=${thresholdMs}`,
      `ZLR_CHILD_ID=${childId}`,
    ];
    const error = native().planMake(
      binPath,
      argv,
      lines,
      control,
      generation,
      lifeline,
      orphaned,
      thresholdMs,
    );
    if (error < 0) {
      throw new ShimError(
        'KEEPER_FAILED',
        `no memory for the keeper's plan: ${errnoName(error)}`,
        errnoName(error),
      );
    }
    this.#startKeeper();
    const path = dirname(control);
    writeServiceNote(
      {path, control, service: `${path}/service.json`},
      {
        pid: process.pid,
        generation,
        startedAt: new Date(performance.timeOrigin).toISOString(),
        startTicks: startTicks(process.pid)!,
      },
    );
  }

  served(): void {
    if (this.#control) return;
    const at = Number(process.hrtime.bigint() / 1000n) / 1000;
    const control = connect(this.#birth.control, () => {
      send(control, {type: 'served', generation: this.generation, at});
      control.end();
    });
    control.on('error', () => control.destroy()); // the supervisor is gone: the keeper copes with that, not we
    control.unref();
    this.#control = control;
  }

  orderly(): void {
    native().orderly();
  }

  #startKeeper(): void {
    const {error, pid, pidfd} = native().keeperStart();
    if (error < 0) {
      throw new ShimError(
        'KEEPER_FAILED',
        `the keeper could not be started: ${errnoName(error)}`,
        errnoName(error),
      );
    }
    this.keeperPid = pid;
    // Whoever kills the keeper does not take its protection away for longer than it takes to clone another.
    native().onExit(pidfd, () => this.#replaceKeeper(), false);
  }

  #replaceKeeper(): void {
    this.keeperPid = 0;
    try {
      this.#startKeeper();
    } catch (error) {
      // To end a healthy service for want of its keeper would be the very loss that the keeper is there against.
      console.error(
        `zlr: this service goes on without a keeper, a fault now would close its channels: ${error}`,
      );
    }
  }
}

/** Undefined: no supervisor started this process. */
export function keeperBackend(): Backend | undefined {
  const birth = readBirth();
  return birth && new KeeperBackend(birth);
}
