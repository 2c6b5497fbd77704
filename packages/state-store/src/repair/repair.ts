import {isSlotted, type Slotted} from '../collections/collection.js';
import {StoreError} from '../errors.js';
import type {Fields} from '../schema/record.js';
import type {Struct} from '../schema/struct.js';
import {Checker, type CheckResult} from '../segment/check.js';
import type {Engine} from '../segment/engine.js';
import {at} from '../segment/header.js';
import {FREE, USED} from '../segment/heap.js';
import {CELL, LOGGED} from '../segment/memory.js';
import {nameOf} from '../segment/process-identity.js';
import {otherWriter} from '../segment/writers.js';
import {wrongHeads} from './heads.js';
import {mendChain, planHeap, relistFree, settleLimit} from './heap-repair.js';
import type {SetAside} from './ledger.js';
import type {Side} from './side.js';
import {relistSlots, settleUsed} from './slots-repair.js';
import {Surveyor} from './survey.js';

/** What `store.repair()` did. */
export interface RepairResult {
  /** What was damaged and is out of its place now; see store.quarantine(). */
  setAside: SetAside[];
  /** What check() still says: empty when all is well. */
  problems: string[];
}

/** One sets aside, one frees what nobody owns since; the others are for damage that only then can be seen. */
const ROUNDS = 4;

/**
 * Makes a damaged store whole again. What is damaged is set aside, never guessed; what can be told from the rest (indexes,
 * chains, free lists, counts, headers of blocks) is made anew. Each step is a transaction, or leaves what the next repair
 * finishes; none of them needs the whole log.
 *
 *   1. survey, reading only: which values are damaged, which blocks are named by whom, where blocks lie
 *   2. the heap, so that the ledger can have blocks: nothing that anybody names is given away yet
 *   3. each damaged value: an entry in the ledger, its place given up, the blocks it names left alone
 *   4. free slots, indexes, chains and lanes, where they are broken
 *
 * The next round finds the blocks that nobody names any more, and makes them free in its second step.
 */
export class Repair {
  private readonly setAside: SetAside[] = [];
  constructor(
    private readonly engine: Engine,
    private readonly side: Side,
    private readonly schema: Struct<Fields>,
    private readonly check: () => CheckResult,
  ) {}

  run(): RepairResult {
    const {engine} = this;
    engine.assertWritable();
    if (engine.memory.mode === LOGGED)
      throw new StoreError(
        'ERR_TRANSACTION',
        `store '${engine.name}' cannot be repaired inside a transaction.`,
      );
    // A single writer is alone anyway.
    const {tenure} = engine;
    if (tenure && !tenure.alone())
      throw new StoreError(
        'ERR_BUSY',
        `${engine.where} is also written by ${nameOf(otherWriter(engine.memory))}; it can be repaired only by one that is alone.`,
      );
    try {
      this.liven();
      for (let round = 0; round < ROUNDS && !this.check().ok && this.round(); round++);
      return {setAside: this.setAside, problems: this.check().problems};
    } finally {
      tenure?.join();
    }
  }

  /** False when it must be left alone: whose is what, or where blocks lie, cannot be told. */
  private round(): boolean {
    // Collections have been opened on them: it is when the store is opened that they are made anew.
    if (wrongHeads(this.engine.memory, this.engine.header, this.schema).length > 0) return false;
    const places = new Checker(this.engine);
    for (const {slots} of this.slotted()) slots.verify(places, () => {}); // for their extents
    settleLimit(
      this.engine,
      [...places.extents].map(([start, {end}]) => [start, end]),
    );
    const {enclosed, faults} = places.layout();
    if (faults.length > 0) return false;
    for (const {slots} of this.slotted()) settleUsed(slots);
    const survey = this.survey();
    const plan = planHeap(this.engine, survey.claims.keys(), enclosed);
    if (plan === undefined) return false;
    const heapFits = survey.heapFits();
    if (!heapFits) mendChain(this.engine, plan);
    survey.settle(plan);
    // While all they name is still as it was.
    const damaged = survey.damaged().map(unit => ({unit, entry: unit.entry!(unit.faults.join('; '))}));
    this.mendLedger();
    if (!heapFits)
      relistFree(
        this.engine,
        plan.stretches.filter(
          ({start, state, torn}) =>
            state === FREE ||
            (state === USED && !torn && !survey.claims.has(start) && !this.side.ledger.adopt(start + 1)),
        ),
      );
    for (const {unit, entry} of damaged) {
      this.engine.transact(() => {
        this.side.ledger.add(entry);
        unit.giveUp!();
      });
      this.setAside.push(entry);
    }
    for (const collection of this.slotted()) {
      const {slots} = collection;
      if (this.fails(checker => slots.verify(checker, () => {}))) relistSlots(slots);
      if (this.fails(checker => collection.verifyOrder(checker))) collection.relink();
    }
    return true;
  }

  private survey(): Surveyor {
    const survey = new Surveyor(this.engine, this.side, this.schema.placed);
    survey.run();
    return survey;
  }

  private slotted(): Slotted[] {
    return [...this.side.collections.values()].filter(isSlotted);
  }

  private fails(look: (checker: Checker) => void): boolean {
    const checker = new Checker(this.engine);
    look(checker);
    return checker.problems.length > 0;
  }

  private mendLedger(): void {
    if (this.fails(checker => this.side.ledger.verify(checker)))
      this.engine.transact(() => this.side.ledger.mend());
  }

  /** Without it, no access to the root works. */
  private liven(): void {
    const {memory, log} = this.engine;
    if (memory.u32[at.live / 4] === 1) return;
    this.engine.transact(() => {
      log.save(Math.floor(at.live / CELL));
      memory.u32[at.live / 4] = 1;
    });
  }
}
