import {inspect} from 'node:util';
import type {Checker} from './check.js';
import type {Engine} from './engine.js';
import {StoreError} from './errors.js';
import {at} from './header.js';
import {CELL} from './memory.js';
import {type Access, type AnyType, arrays, Captures, refuse, Type, type TypeDescription} from './type.js';

export type Fields = Readonly<Record<string, AnyType>>;
export type RecordOf<F extends Fields> = {-readonly [K in keyof F]: F[K]['value']} & RecordMeta<F>;
export type InitOf<F extends Fields> = {readonly [K in keyof F]?: F[K]['init'] | undefined};
export type PlainOf<F extends Fields> = {[K in keyof F]: F[K]['json']};

export interface RecordMeta<F extends Fields> {
  /** A plain object with the same fields, nested records included. */
  toJSON(): PlainOf<F>;
  /** Sets several fields as one transaction; inner structs, arrays and unions as plain data. */
  $set(fields: InitOf<F>): void;
}

/** Where a record lies and which life of its slot it is. Generated code keeps these names, so fields may not start with $. */
export interface Live {
  readonly $c: number; // its first cell
  readonly $g: number; // the 32-bit word that holds the generation of its slot
  readonly $n: number; // the generation it was made for
  $r: number; // when it was last seen to be live, see Engine.validity
}

const FIELD = /^[A-Za-z_][A-Za-z0-9_]*$/;
const RESERVED = new Set([
  'constructor',
  'toJSON',
  '__proto__',
  'toString',
  'valueOf',
  'hasOwnProperty',
  'then',
]);

export interface Placed {
  name: string;
  type: AnyType;
  offset: number;
}

/**
 * C's layout rules and no others: fields in the order they are declared, each at a multiple of its own alignment; the
 * whole rounded up to a cell. A C struct with _Alignas(8) and the same members has the same bytes.
 */
export function layOut(name: string, fields: Fields): {placed: Placed[]; size: number} {
  const placed: Placed[] = [];
  let offset = 0;
  for (const [field, type] of Object.entries(fields)) {
    if (!FIELD.test(field) || RESERVED.has(field))
      throw new StoreError(
        'ERR_SCHEMA',
        `${name}.${field}: a field is named by letters, digits and _, does not start with a digit, and is none of ${[...RESERVED].join(', ')}.`,
      );
    if (!(type instanceof Type))
      throw new StoreError('ERR_SCHEMA', `${name}.${field}: expected a type such as t.u32 or a struct.`);
    offset = Math.ceil(offset / type.align) * type.align;
    placed.push({name: field, type, offset});
    offset += type.size;
  }
  return {placed, size: Math.max(CELL, Math.ceil(offset / CELL) * CELL)};
}

export class Struct<F extends Fields> extends Type<RecordOf<F>, InitOf<F>, PlainOf<F>> {
  override readonly kind = 'struct';
  override readonly align = CELL;
  override readonly single = false;
  override readonly size: number;
  readonly placed: readonly Placed[];
  constructor(
    readonly name: string,
    readonly fields: F,
  ) {
    super();
    if (!FIELD.test(name))
      throw new StoreError('ERR_SCHEMA', `struct('${name}'): a struct is named by letters, digits and _.`);
    if (typeof fields !== 'object' || fields === null || Object.keys(fields).length === 0)
      throw new StoreError('ERR_SCHEMA', `struct('${name}') needs an object with at least one field.`);
    const {placed, size} = layOut(name, fields);
    this.placed = placed;
    this.size = size;
  }
  override get compound(): boolean {
    return true;
  }
  override describe(): TypeDescription {
    return {
      kind: 'struct',
      name: this.name,
      size: this.size,
      fields: this.placed.map(p => ({name: p.name, offset: p.offset, type: p.type.describe()})),
    };
  }
  override plain(value: RecordOf<F>): PlainOf<F> {
    return value.toJSON();
  }
  override verify(checker: Checker, cell: number, byte: number, path: string): void {
    for (const {name, type, offset} of this.placed)
      type.verify(checker, cell, byte + offset, `${path}.${name}`);
  }
  /** A struct inside another: reading gives a live record of the inner one, writing copies a plain object in. */
  override access(byte: number, path: string, captures: Captures): Access {
    const inner = compile(this, captures.engine, path);
    const cell = `c+${byte / CELL}`;
    return {
      get: `new ${captures.add(inner.Record)}(${cell},${captures.g},${captures.n})`,
      check: `if(typeof v!=='object'||v===null)${captures.add(refuse)}(${JSON.stringify(path)},${JSON.stringify(`an object with fields of ${this.name}`)},v);`,
      set: `${captures.add(inner.assign)}(${cell},v);`,
      init: `${captures.add(inner.init)}(${cell},v);`,
      drop: `${captures.add(inner.drop)}(${cell});`,
    };
  }
}

export function struct<const F extends Fields>(name: string, fields: F): Struct<F> {
  return new Struct(name, fields);
}

export interface Compiled<R = Live> {
  /** The class of live records: plain properties over the segment. */
  Record: new (
    cell: number,
    generationWord: number,
    generation: number,
  ) => R & Live;
  /** Fills cells nobody has seen yet: zeroes them, then stores what `init` has. */
  init(cell: number, init: object): void;
  /** Overwrites the fields that `init` has. All cells must have been saved. */
  assign(cell: number, init: object): void;
  /** Finds a record by its id: in the first extent right here, else by `slow`. An id is life * 2^26 + slot. */
  getter(
    first: number,
    generationWord: number,
    cell: number,
    stride: number,
    slow: (id: number) => R | undefined,
  ): (id: number) => R | undefined;
  /** Moves one record over the live ones of `count` slots. */
  scan(fn: (record: R) => void, generationWord: number, cell: number, count: number, stride: number): void;
  /** Gives back what the record owns elsewhere. */
  drop(cell: number): void;
}

/** Extra getters of a record class, by name: the text of the body, which sees `this`. */
export type Extras = (captures: Captures) => Record<string, string>;

/**
 * Writes the accessors of a struct as source text: offsets become constants and each class has its own type feedback,
 * which one set of shared closures would not (past four structs it turns megamorphic). Only field names that FIELD
 * admits and numbers enter the text; everything else is captured.
 */
export function compile<F extends Fields>(
  type: Struct<F>,
  engine: Engine,
  path = type.name,
  extras?: Extras,
): Compiled<RecordOf<F>> {
  const captures = new Captures(engine);
  const {validity} = engine;
  const look = captures.add((record: Live) => {
    if (engine.memory.u32[record.$g] !== record.$n) engine.stale(`record of ${type.name}`);
    record.$r = validity.stamp;
  });
  const members: string[] = [];
  const inits: string[] = [];
  const assigns: string[] = [];
  const drops: string[] = [];
  const live = `if(this.$r!==V.epoch)${look}(this);`;
  for (const {name, type: field, offset} of type.placed) {
    const access = field.access(offset, `${path}.${name}`, captures);
    const firstCell = Math.floor(offset / CELL);
    const cells = Math.ceil((offset + field.size) / CELL) - firstCell;
    const save = cells === 1 ? `L.save(c+${firstCell});` : `L.saveRange(c+${firstCell},${cells});`;
    members.push(`get ${name}(){${live}const c=this.$c;return ${access.get};}`);
    // The check may replace v by what is stored, so the slow path, which comes back here, is taken before it.
    const early = `if(M.mode${field.single ? '===2' : '!==1'})return void E.set(this,'${name}',v);`;
    const late = field.single ? `if(M.mode!==0)${save}` : save;
    // What may fail half-way is undone on its own, also when its caller catches the error and goes on.
    if (field.compound)
      members.push(
        `set ${name}(v){${live}E.transact(()=>{${access.check}const c=this.$c;${save}${access.set}});}`,
      );
    else members.push(`set ${name}(v){${live}${early}${access.check}const c=this.$c;${late}${access.set}}`);
    inits.push(`{let v=o.${name};if(v!==undefined){${access.check}${access.init ?? access.set}}}`);
    assigns.push(`{let v=o.${name};if(v!==undefined){${access.check}${access.set}}}`);
    if (access.drop) drops.push(access.drop);
  }
  for (const [name, body] of Object.entries(extras?.(captures) ?? {}))
    members.push(`get ${name}(){${live}${body}}`);
  const json = type.placed.map(({name, type: field}) => `${name}:${captures.add(field)}.plain(this.${name})`);
  members.push('$set(o){E.assign(this,o);}');
  members.push(`toJSON(){return {${json.join(',')}};}`);
  const zero = Array.from({length: type.size / CELL}, (_, i) => `F64[c+${i}]=0;`);
  const zeroing = zero.length <= 16 ? zero.join('') : `F64.fill(0,c,c+${zero.length});`;
  const source = `'use strict';const V=E.validity;${arrays(engine)}
const R=class{constructor(c,g,n){this.$c=c;this.$g=g;this.$n=n;this.$r=V.stamp;}
${members.join('\n')}};
return {Record:R,init(c,o){${zeroing}${inits.join('')}},assign(c,o){${assigns.join('')}},
getter(first,word,cell,stride,slow){return id=>{const s=id&67108863,n=(id-s)/33554432+1;
if(s<first&&U32[word+s]===n)return new R(cell+s*stride,word+s,n);return slow(id);};},
scan(f,w,c,count,stride){const r=new R(c,w,0);
try{for(let i=0;i<count;i++){const n=U32[w+i];if(n&1){r.$c=c+i*stride;r.$g=w+i;r.$n=n;r.$r=V.stamp;f(r);}}}
finally{r.$r=-2;r.$n=-1;}},drop(c){${drops.join('')}}};`;
  const make = new Function('M', 'L', 'E', ...captures.names, source);
  const compiled = make(engine.memory, engine.log, engine, ...captures.values) as Compiled<RecordOf<F>>;
  Object.defineProperty(compiled.Record, 'name', {value: type.name});
  Object.defineProperty(compiled.Record.prototype, inspect.custom, {
    value(this: {toJSON(): object}) {
      return this.toJSON();
    },
  });
  return compiled;
}

/** The generation word of records that cannot be removed, such as the root. */
export const ALWAYS_LIVE = at.live / 4;
