import {compileRow, type Row} from '../schema/element.js';
import type {Live} from '../schema/record.js';
import type {Compiled} from '../schema/record-class.js';
import {Struct} from '../schema/struct.js';
import type {AnyType, Type} from '../schema/type.js';
import {OWNER} from '../segment/engine.js';
import type {Slots} from './slots.js';
import {compileFor} from './table.js';

/** The values that lie in slots, `inset` cells behind the start of each: live records when they are structs. */
export class SlotValues<V, I> {
  private readonly compiled: Compiled | undefined;
  private readonly row: Row<V> | undefined;
  readonly cells: number;
  /** Nothing in the value is live, so its generation does not matter. */
  private readonly lifeless: boolean;
  constructor(
    private readonly slots: Slots,
    private readonly type: Type<V, I, unknown>,
    private readonly inset: number,
  ) {
    this.cells = valueCells(type);
    this.lifeless = type.single;
    if (type instanceof Struct) this.compiled = compileFor(slots, type) as unknown as Compiled;
    else this.row = compileRow(type, slots.engine, slots.path);
  }

  get(slot: number): V {
    const {slots} = this;
    const cell = slots.cell(slot) + this.inset;
    if (this.lifeless) return this.row!.get(cell, 0, 0, 0);
    const word = slots.word(slot);
    const generation = slots.engine.memory.u32[word]!;
    return this.row ? this.row.get(cell, 0, word, generation) : (slots.make!(cell, word, generation) as V);
  }

  init(slot: number, value: unknown): void {
    const {engine, changes} = this.slots;
    const cell = this.slots.cell(slot) + this.inset;
    try {
      if (this.compiled) this.compiled.init(cell, engine.object(value, this.slots.path));
      else {
        engine.memory.f64.fill(0, cell, cell + this.cells);
        this.row!.init(cell, 0, value);
      }
      this.slots.assertUnchanged(changes);
    } catch (error) {
      this.slots.outlive(slot); // a getter of the value may have looked at it
      throw error;
    }
  }

  /** Replaces what is there. */
  put(slot: number, value: unknown): void {
    const {slots} = this;
    const {engine} = slots;
    const cell = slots.cell(slot) + this.inset;
    if (this.row) {
      if (!this.row.poke(cell, 0, value)) engine.transact(() => this.row!.put(cell, 0, value));
      return;
    }
    const record = engine.object(value, slots.path);
    if ((record as Partial<Record<symbol, unknown>>)[OWNER] === slots && (record as Live).$c === cell) return;
    engine.transact(() => {
      const {changes} = slots;
      const detached = this.type.detach(record) as object; // parts of what is replaced may be in it
      slots.assertUnchanged(changes);
      engine.log.saveRange(cell, this.cells);
      this.compiled!.drop(cell);
      this.compiled!.init(cell, detached);
    });
  }

  drop(slot: number): void {
    const cell = this.slots.cell(slot) + this.inset;
    if (this.compiled) this.compiled.drop(cell);
    else this.row!.drop(cell, 0);
  }

  plain(slot: number): unknown {
    return this.type.plain(this.get(slot));
  }
}

export function valueCells(type: AnyType): number {
  return Math.ceil(type.size / 8);
}

export function structOf(type: AnyType): Struct<Record<string, AnyType>> | undefined {
  return type instanceof Struct ? type : undefined;
}
