import {type EnumType, t} from '@zlr/state-store';
import {StagesError} from './errors.js';

/** A record of a store with a field `stage: stages(...).field`. */
export interface Staged<N extends string> {
  stage: N;
}

/** What a step leaves to be done in the transaction that also records the next stage. */
export type Commit = () => void;

export type Steps<N extends string, R> = {
  readonly [K in N]: (record: R) => Commit | undefined | Promise<Commit | undefined> | Promise<void> | void;
};

/**
 * The stages that a unit of work goes through (thesis: processing divided into stages). The stage a unit is at is
 * recorded before the work of that stage begins, so that after a fault it resumes there and never before.
 */
export class Stages<N extends string> {
  readonly names: readonly [N, ...N[]];
  /** The type of the field `stage` in the struct of the unit's record. */
  readonly field: EnumType<N>;
  readonly #order: ReadonlyMap<N, number>;

  constructor(names: readonly [N, ...N[]]) {
    if (names.length === 0 || names.some(name => typeof name !== 'string' || name === ''))
      throw new StagesError(
        'STAGES_INVALID',
        "stages: expected names, one after the other: stages('first', 'second')",
      );
    this.names = names;
    this.#order = new Map(names.map((name, index) => [name, index]));
    if (this.#order.size !== names.length) {
      throw new StagesError(
        'STAGES_INVALID',
        `stages(${names.join(', ')}): each stage needs a name of its own`,
      );
    }
    this.field = t.enum(...names) as EnumType<N>;
  }

  /**
   * Records that the work of a stage begins. A unit goes on by one stage, or back to the first when it is done; to
   * enter the stage that is recorded already means to try it again.
   *
   * @returns true when this is another try, after a fault in that stage
   * @throws StagesError STAGE_ORDER
   */
  enter(record: Staged<N>, stage: N): boolean {
    const now = record.stage;
    if (now === stage) return true;
    const to = this.#order.get(stage);
    const from = this.#at(record);
    if (to !== 0 && to !== from + 1) {
      const next = this.names[from + 1];
      throw new StagesError(
        'STAGE_ORDER',
        `a unit at stage '${now}' cannot enter '${stage}'; expected '${next ?? this.names[0]}'` +
          (next ? ` or, when it is done, '${this.names[0]}'` : ''),
      );
    }
    record.stage = stage;
    return false;
  }

  /** How many units are at each stage; after a restart, where the fault met them. */
  census(records: Iterable<Staged<N>>): Record<N, number> {
    const counts = Object.fromEntries(this.names.map(name => [name, 0])) as Record<N, number>;
    for (const {stage} of records) counts[stage]++;
    return counts;
  }

  /**
   * Does the work of a unit from its recorded stage on to the end of the last one. Call it for a fresh record, and
   * after a restart for each record that is there.
   *
   * Each step may return a function that writes its results: that function and the change of the stage are one
   * transaction, so a step's results are recorded exactly once. What a step does outside of the store is done again
   * when a fault comes before that transaction.
   *
   * @throws StagesError STAGES_INVALID: a step is missing or unknown, or writes asynchronously; the record is at none of these
   *   stages
   */
  async run<R extends Staged<N>>(
    store: {transaction<T>(work: () => T): T},
    record: R,
    steps: Steps<N, R>,
    done: (record: R) => void,
  ): Promise<void> {
    this.#assertSteps(steps, done);
    for (let at = this.#at(record); at < this.names.length; at++) {
      const name = this.names[at]!;
      const commit = (await steps[name](record)) ?? undefined;
      if (commit !== undefined && typeof commit !== 'function')
        throw new StagesError(
          'STAGES_INVALID',
          `step '${name}' gave a value; expected nothing, or a function that writes its results`,
        );
      store.transaction(() => {
        if (commit) assertNoPromise(commit(), `what step '${name}' returned`);
        const next = this.names[at + 1];
        if (next === undefined) assertNoPromise(done(record), 'done');
        else this.enter(record, next);
      });
    }
  }

  #at(record: Staged<N>): number {
    const at = this.#order.get(record.stage);
    if (at === undefined)
      throw new StagesError(
        'STAGES_INVALID',
        `this record is at none of the stages ${this.names.join(', ')}; expected a record with a field stage: stages(...).field`,
      );
    return at;
  }

  #assertSteps(steps: Steps<N, never>, done: unknown): void {
    const given = Object.entries(steps ?? {});
    const wrong =
      this.names.find(name => typeof steps?.[name] !== 'function') ??
      given.map(([name]) => name).find(name => !this.#order.has(name as N));
    if (wrong !== undefined || typeof done !== 'function')
      throw new StagesError(
        'STAGES_INVALID',
        `run: expected a function for each of the stages ${this.names.join(', ')}, no other, and behind them a function done` +
          (wrong === undefined ? '' : `; see '${wrong}'`),
      );
  }
}

/** It would write behind the transaction. */
function assertNoPromise(result: unknown, what: string): void {
  if (typeof (result as PromiseLike<unknown> | undefined)?.then === 'function')
    throw new StagesError(
      'STAGES_INVALID',
      `${what} must not be asynchronous: it is part of a transaction. Await in the step, then write`,
    );
}

/**
 * Declares stages, in their order.
 *
 * @throws StagesError STAGES_INVALID
 */
export function stages<const N extends readonly [string, ...string[]]>(...names: N): Stages<N[number]> {
  return new Stages<N[number]>(names as readonly [N[number], ...N[number][]]);
}
