import {StoreError, show} from '../errors.js';
import type {Fields, RecordOf} from '../schema/record.js';
import {Struct} from '../schema/struct.js';
import {type Access, type Captures, refuse, Type, type TypeDescription} from '../schema/type.js';
import type {Checker} from '../segment/check.js';
import {CELL} from '../segment/memory.js';
import {SLOT_SPACE, Slots} from './slots.js';
import type {TableRecord} from './table.js';

/*
 * A ref names a record by what never changes for it, not by where it lies:
 *
 *   low word:   bits 0..25 slot | bits 26..31 number of the collection (1..63)
 *   high word:  generation of the slot; a null ref is all zero
 *
 * A record that was removed leaves null behind: its slot has another generation by then.
 */
/** The name of a record, for as long as it lives. Plain data has its `$id`. */
export class RefType<F extends Fields> extends Type<
  TableRecord<F> | null,
  RecordOf<F> | null,
  number | null
> {
  override readonly kind = 'ref';
  override readonly size = CELL;
  override readonly align = CELL;
  override readonly single = false;
  constructor(private readonly to: () => Struct<F>) {
    super();
    if (typeof to !== 'function')
      throw new StoreError(
        'ERR_SCHEMA',
        `t.ref(${show(to)}): expected a function that gives a struct: t.ref(() => Peer).`,
      );
  }
  private target(path: string): Struct<F> {
    const struct = this.to();
    if (!(struct instanceof Struct))
      throw new StoreError(
        'ERR_SCHEMA',
        `${path}: t.ref's function gave ${show(struct)}; expected a struct.`,
      );
    return struct;
  }
  override describe(): TypeDescription {
    return {kind: 'ref', size: CELL, name: this.target('t.ref').name};
  }
  override plain(value: TableRecord<F> | null): number | null {
    return value === null ? null : value.$id;
  }
  /** Itself: a ref may be null anyway. */
  override optional(): RefType<F> {
    return this;
  }
  override access(byte: number, path: string, captures: Captures): Access {
    const {engine} = captures;
    const target = this.target(path);
    const low = `U32[${captures.element(4, byte)}]`;
    const high = `U32[${captures.element(4, byte + 4)}]`;
    const resolve = captures.add((lowWord: number, generation: number) => {
      const slots = Slots.numbered(engine, lowWord >>> 26);
      return slots?.record(lowWord % SLOT_SPACE, generation) ?? null;
    });
    const expected = `a record of ${target.name} in this store, or null`;
    const check = captures.add((v: unknown) => {
      if (v === null || v === undefined) return null;
      const slots = Slots.of(engine, v);
      if (slots === undefined || slots.struct !== target || !slots.holds(v)) refuse(path, expected, v);
      return v;
    });
    const lowOf = captures.add((v: object) => {
      const slots = Slots.of(engine, v)!;
      return (slots.number * SLOT_SPACE + slots.slotOf(v)) >>> 0;
    });
    return {
      get: `(${high}===0?null:${resolve}(${low},${high}))`,
      check: `v=${check}(v);`,
      set: `if(v===null){${low}=0;${high}=0;}else{${low}=${lowOf}(v);${high}=v.$n;}`,
    };
  }
  override verify(checker: Checker, cell: number, byte: number, path: string): void {
    const {u32} = checker.engine.memory;
    const [low, generation] = [u32[cell * 2 + byte / 4]!, u32[cell * 2 + byte / 4 + 1]!];
    if (low === 0 && generation === 0) return;
    const slots = Slots.numbered(checker.engine, low >>> 26);
    if (slots === undefined || (generation & 1) === 0 || slots.capacity <= low % SLOT_SPACE) {
      checker.problem(
        path,
        `a ref to slot ${low % SLOT_SPACE}, generation ${generation} of collection ${low >>> 26}, which cannot be`,
      );
      return;
    }
    if (slots.struct !== this.target(path))
      checker.problem(path, `a ref to a record of ${slots.struct?.name}, not of ${this.target(path).name}`);
  }
}
