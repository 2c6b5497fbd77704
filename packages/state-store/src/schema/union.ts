import {StoreError, show} from '../errors.js';
import type {Checker} from '../segment/check.js';
import {CELL} from '../segment/memory.js';
import {
  type Access,
  type AnyType,
  type Captures,
  refuse,
  strangeness,
  Type,
  type TypeDescription,
} from './type.js';

/** The types a union chooses from, by tag. */
export type Variants = Readonly<Record<string, AnyType>>;
/** What a read of a union gives. Narrow it by its `tag`. */
export type UnionOf<U extends Variants> = {
  [K in keyof U & string]: {readonly tag: K; readonly value: U[K]['value']};
}[keyof U & string];
/** What a write of a union takes. */
export type UnionInit<U extends Variants> = {
  [K in keyof U & string]: {readonly tag: K; readonly value: U[K]['init']};
}[keyof U & string];
/** A union as plain data. */
export type UnionPlain<U extends Variants> = {
  [K in keyof U & string]: {tag: K; value: U[K]['json']};
}[keyof U & string];

/**
 * One of several types, with a tag that says which: {tag, value}. A struct inside is a live record as long as the tag stays.
 * In C: struct {uint64_t tag; union {...} value;}; the tag is the number of the variant, in the order declared.
 */
export class UnionType<U extends Variants> extends Type<UnionOf<U>, UnionInit<U>, UnionPlain<U>> {
  override readonly kind = 'union';
  override readonly align = CELL;
  override readonly single = false;
  override readonly size: number;
  private readonly tags: string[];
  constructor(readonly variants: U) {
    super();
    this.tags = Object.keys(variants);
    if (this.tags.length < 1 || this.tags.length > 256)
      throw new StoreError('ERR_SCHEMA', `t.union: ${this.tags.length} variants; expected 1 to 256.`);
    for (const [tag, type] of Object.entries(variants))
      if (!(type instanceof Type))
        throw new StoreError('ERR_SCHEMA', `t.union: variant ${show(tag)} is no type${strangeness(type)}.`);
    this.size = CELL + Math.ceil(Math.max(...this.tags.map(tag => variants[tag]!.size)) / CELL) * CELL;
  }
  override get compound(): boolean {
    return true;
  }
  override describe(): TypeDescription {
    return {
      kind: 'union',
      size: this.size,
      names: this.tags,
      of: this.tags.map(tag => this.variants[tag]!.describe()),
    };
  }
  override detach(union: unknown): unknown {
    const {tag, value} = (union ?? {}) as {tag: string; value: unknown};
    this.admit(union, 't.union');
    return Object.hasOwn(this.variants, tag) ? {tag, value: this.variants[tag]!.detach(value)} : union;
  }
  /** Refuses what has more than the two. */
  private admit(union: unknown, path: string): void {
    const other = Object.keys(Object(union)).find(name => name !== 'tag' && name !== 'value');
    if (other !== undefined)
      throw new StoreError(
        'ERR_VALUE',
        `${path}: ${show(other)} has no place in a union; expected {tag, value}.`,
      );
  }
  override plain(union: UnionOf<U>): UnionPlain<U> {
    return {tag: union.tag, value: this.variants[union.tag]!.plain(union.value)} as UnionPlain<U>;
  }
  override access(byte: number, path: string, captures: Captures): Access {
    const {tags} = this;
    const accesses = tags.map(tag =>
      captures.under({byte, value: tags.indexOf(tag)}, () =>
        this.variants[tag]!.access(byte + CELL, `${path}.${tag}`, captures),
      ),
    );
    const place = `U8[c*8+${byte}]`;
    const first = byte / CELL;
    const pick = (what: string, text: (a: Access) => string) =>
      `switch(${what}){${accesses.map((a, i) => `case ${i}:{${text(a)}break;}`).join('')}}`;
    const numbers = new Map(this.tags.map((tag, i) => [tag, i]));
    const expected = `{tag, value} with a tag of ${this.tags.join(', ')}`;
    const numberOf = captures.add((v: unknown) => {
      const {tag} = Object(v) as {tag?: string};
      const number = numbers.get(tag!) ?? refuse(path, expected, v);
      this.admit(v, path);
      return number;
    });
    const drops = accesses.some(a => a.drop) ? pick(place, a => a.drop ?? '') : '';
    const u = captures.variable();
    const init = `${place}=${u};${pick(u, a => a.init ?? a.set)}`;
    const reads = this.tags
      .map((tag, i) => `${place}===${i}?{tag:${JSON.stringify(tag)},value:${accesses[i]!.get}}:`)
      .join('');
    const damaged = captures.add((tag: number) => {
      throw new StoreError(
        'ERR_CORRUPT',
        `${path}: tag ${tag}, but there are ${this.tags.length}; run check().`,
      );
    });
    return {
      get: `(${reads}${damaged}(${place}))`,
      check: `var ${u}=${numberOf}(v);v=v.value;${pick(u, a => a.check)}`,
      // Under the same tag the new value may be the live record of the old one: nothing is cleared then.
      set: `if(${place}===${u}){${pick(u, a => a.set)}}else{${drops}M.invalidate();F64.fill(0,c+${first},c+${first + this.size / CELL});${init}}`,
      init: `{${init}}`,
      drop: drops,
    };
  }
  override verify(checker: Checker, cell: number, byte: number, path: string): void {
    const tag = checker.engine.memory.u8[cell * CELL + byte]!;
    const name = this.tags[tag];
    if (name === undefined) {
      checker.problem(path, `tag ${tag} of ${this.tags.length}`);
      return;
    }
    this.variants[name]!.verify(checker, cell, byte + CELL, `${path}.${name}`);
  }
}
