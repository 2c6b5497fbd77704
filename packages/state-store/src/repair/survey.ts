import {isRowed, isSlotted, type Rowed, type Slotted} from '../collections/collection.js';
import {LAST_GENERATION} from '../collections/slots.js';
import type {Placed} from '../schema/record.js';
import {Checker} from '../segment/check.js';
import type {Engine} from '../segment/engine.js';
import {classFor, classOf, ENCLOSED, FREE, USED} from '../segment/heap.js';
import {CELL} from '../segment/memory.js';
import type {HeapPlan} from './heap-repair.js';
import type {SetAside} from './ledger.js';
import {entryOfField, entryOfPlace, entryOfRow, entryOfSlot} from './set-aside.js';
import type {Side} from './side.js';
import {strays} from './slots-repair.js';

/** Of a fault's texts the first few tell enough. */
const MOST = 5;

/** What is set aside as a whole, or made anew as a whole. */
export class Unit {
  readonly faults: string[] = [];
  constructor(
    /** Nothing for what only holds others together, and can be made anew. */
    readonly entry?: (reason: string) => SetAside,
    /** Takes it out of its place and leaves the blocks it names alone. Part of a transaction. */
    readonly giveUp?: () => void,
    /** What goes with it. */
    readonly whole?: Unit,
  ) {}
  get bad(): boolean {
    return this.faults.length > 0 || this.whole?.bad === true;
  }
  fault(what: string): void {
    if (this.faults.length < MOST) this.faults.push(what);
  }
}

interface Claim {
  unit: Unit;
  bytes: number;
  path: string;
}

/** The walk of check(), taken unit by unit: which of them are damaged, and who names which block. Reads only. */
export class Surveyor extends Checker {
  private readonly bad = new Set<Unit>();
  private readonly ledgers = new Unit();
  readonly claims = new Map<number, Claim[]>();
  private readonly disordered = new Map<Slotted, Map<number, Unit>>();
  private at: Unit | undefined;

  constructor(
    engine: Engine,
    private readonly side: Side,
    private readonly fields: readonly Placed[],
  ) {
    super(engine);
  }

  run(): void {
    const {rootCell} = this.engine.header;
    this.visit(this.ledgers, () => this.side.ledger.verify(this));
    for (const field of this.fields) {
      const collection = this.side.collections.get(field.name);
      if (collection === undefined) {
        const unit = new Unit(
          reason => entryOfField(this.engine, this.side.root, field, reason),
          () => this.zero(rootCell, field.offset, field.type.size),
        );
        this.visit(unit, () => field.type.verify(this, rootCell, field.offset, field.name));
      } else if (isSlotted(collection)) this.slotted(collection);
      else if (isRowed(collection)) this.rowed(collection);
    }
  }

  /** What can be told only when it is known where blocks lie, and keys can be read. */
  settle({stretches}: HeapPlan): void {
    const used = new Map(
      stretches.filter(({state}) => state === USED).map(({start, end}) => [start, end - start] as const),
    );
    for (const [block, claims] of this.claims) this.settleClaims(block, used.get(block), claims);
    for (const [collection, units] of this.disordered)
      for (const [slot, reason] of collection.misfits(slot => units.get(slot)?.bad === false))
        this.blame(units.get(slot)!, `slot ${slot} ${reason}`);
  }

  /** What has to be set aside, each of it once. */
  damaged(): Unit[] {
    return [...this.bad].filter(({entry, whole}) => entry !== undefined && whole?.bad !== true);
  }

  /** True when nothing is wrong with the heap, and nobody names what is none. */
  heapFits(): boolean {
    this.heap();
    return this.problems.length === 0;
  }

  override problem(path: string, what: string): void {
    if (this.at) this.blame(this.at, `${path} ${what}`);
    else super.problem(path, what);
  }

  override block(payload: number, bytes: number, path: string): boolean {
    const {heap, memory} = this.engine;
    const block = payload - 1;
    const state = memory.u32[block * 2 + 1];
    if (!(block >= heap.start && payload < heap.limit) || state === FREE || state === ENCLOSED) {
      this.problem(path, `names cell ${payload} as its block, but there is none`);
      return false;
    }
    this.reached.set(block, path);
    const claims = this.claims.get(block);
    const claim = {unit: this.at!, bytes, path};
    if (claims) claims.push(claim);
    else this.claims.set(block, [claim]);
    return bytes <= (heap.limit - payload) * CELL;
  }

  private slotted(collection: Slotted): void {
    const {slots} = collection;
    const units = new Map<number, Unit>();
    const unitOf = (slot: number): Unit => {
      const unit = new Unit(
        reason => entryOfSlot(collection, slot, reason),
        () => {
          if (slots.isLive(slot)) slots.give(slot);
        },
      );
      units.set(slot, unit);
      return unit;
    };
    this.visit(new Unit(), () => slots.verify(this, () => {})); // for its extents
    const stray = new Map(strays(slots).map(({slot, reason}) => [slot, reason]));
    for (let slot = 0; slot < slots.used; slot++) {
      const odd = stray.get(slot);
      if (!slots.isLive(slot) && odd === undefined) continue;
      const unit = unitOf(slot);
      if (slots.generation(slot) > LAST_GENERATION)
        this.blame(unit, `slot ${slot} is in life ${slots.generation(slot)}, which none reaches`);
      if (odd !== undefined) this.blame(unit, `slot ${slot} ${odd}`);
      // What a free slot seems to name is others'.
      if (odd === undefined || !slots.isLive(slot)) this.visit(unit, () => collection.verifySlot(this, slot));
    }
    const order = this.visit(new Unit(), () => collection.verifyOrder(this));
    if (order.bad) this.disordered.set(collection, units);
  }

  private rowed(collection: Rowed): void {
    const whole = new Unit(
      reason => entryOfRow(collection, reason),
      () => collection.forsake(),
    );
    let open = false;
    this.visit(whole, () => {
      open = collection.verifyHead(this);
    });
    for (let place = 0; open && place < collection.filled; place++) {
      const unit = new Unit(
        reason => entryOfPlace(collection, place, reason),
        () => {
          const {cell, byte} = collection.where(place);
          this.zero(cell, byte, collection.type.size);
          collection.expire(place);
        },
        whole,
      );
      this.visit(unit, () => collection.verifyPlace(this, place));
    }
  }

  private visit(unit: Unit, look: () => void): Unit {
    this.at = unit;
    look();
    this.at = undefined;
    return unit;
  }

  private blame(unit: Unit, what: string): void {
    unit.fault(what);
    this.bad.add(unit);
  }

  /**
   * A block has one owner. If the size of just one of those who name it is what the block was made for, it is that one's; if
   * that does not tell them apart, nobody can. What was set aside is told by its content.
   */
  private settleClaims(block: number, cells: number | undefined, claims: Claim[]): void {
    if (cells === undefined) {
      for (const {unit, path} of claims)
        this.blame(unit, `${path} names cell ${block + 1} as its block, but there is none`);
      return;
    }
    const room = (cells - 1) * CELL;
    const able = claims.filter(({bytes}) => bytes <= room);
    for (const {unit, path, bytes} of claims)
      if (bytes > room) this.blame(unit, `${path} needs ${bytes} bytes, its block has ${room}`);
    if (claims.length < 2) return;
    const fitting = able.filter(({bytes}) => classFor(1 + Math.ceil(bytes / CELL)) === classOf(cells));
    const owner =
      able.find(({unit}) => unit === this.ledgers) ?? (fitting.length === 1 ? fitting[0] : undefined);
    for (const claim of able)
      if (claim !== owner)
        this.blame(claim.unit, `${claim.path} shares its block at cell ${block + 1} with another`);
  }

  private zero(cell: number, byte: number, bytes: number): void {
    const {memory, log} = this.engine;
    const first = cell + Math.floor(byte / CELL);
    log.saveRange(first, cell + Math.ceil((byte + bytes) / CELL) - first);
    memory.u8.fill(0, cell * CELL + byte, cell * CELL + byte + bytes);
  }
}
