import {inspect} from 'node:util';
import type {Checker} from './check.js';
import type {Engine} from './engine.js';
import {StoreError} from './errors.js';
import {generate} from './generate.js';
import {at} from './header.js';
import {CELL} from './memory.js';
import {element} from './scalars.js';
import {
  type Access,
  type AnyType,
  Captures,
  type Guard,
  refuse,
  seenFrom,
  Type,
  type TypeDescription,
} from './type.js';

/** The fields of a struct: types by name. */
export type Fields = Readonly<Record<string, AnyType>>;
/** A live record: its properties read and write the segment. */
export type RecordOf<F extends Fields> = {-readonly [K in keyof F]: F[K]['value']} & RecordMeta<F>;
/** What fills a record: any of its fields, as plain data. */
export type InitOf<F extends Fields> = {readonly [K in keyof F]?: F[K]['init'] | undefined};
/** A record as plain data, nothing in it live. */
export type PlainOf<F extends Fields> = {[K in keyof F]: F[K]['json']};

/** What every record has besides its fields. */
export interface RecordMeta<F extends Fields> {
  /** The fields as plain data, inner structs included; a ref becomes the `$id` of what it names. */
  toJSON(): PlainOf<F>;
  /**
   * Sets several fields as one transaction; inner structs, arrays and unions as plain data.
   *
   * @throws StoreError ERR_VALUE: there is no such field, or a value does not fit; nothing is written then
   */
  $set(fields: InitOf<F>): void;
}

/** Of `struct`. */
export interface StructOptions<F extends Fields> {
  /**
   * An invariant of each record: throws to refuse it. Run over all records in tables, maps, lists and sorted maps when the
   * store is opened for writing; one that is refused is set aside, see store.quarantine(). It may look, not write.
   */
  validate?(record: RecordOf<F>): void;
}

/** Where a record lies and which life of its slot it is. Generated code keeps these names, so fields may not start with $. */
export interface Live {
  readonly $c: number; // its first cell
  readonly $g: number; // the 32-bit word that holds the generation of its slot
  readonly $n: number; // the generation it was made for
  $r: number; // with one writer: when it was last seen to be live, see Validity in memory.ts
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

/** What `struct` makes: a type of records, laid out as a C struct with the same members. */
export class Struct<F extends Fields> extends Type<RecordOf<F>, InitOf<F>, PlainOf<F>> {
  override readonly kind = 'struct';
  override readonly align = CELL;
  override readonly single = false;
  override readonly size: number;
  /** @internal */
  readonly placed: readonly Placed[];
  /** As given to `struct`. */
  readonly validate: StructOptions<F>['validate'];
  constructor(
    /** As given to `struct`. */
    readonly name: string,
    /** As given to `struct`. */
    readonly fields: F,
    {validate}: StructOptions<F> = {},
  ) {
    super();
    if (validate !== undefined && typeof validate !== 'function')
      throw new StoreError('ERR_SCHEMA', `struct('${name}'): validate is a function that throws.`);
    this.validate = validate;
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
  override detach(value: unknown): unknown {
    if (typeof value !== 'object' || value === null) return value;
    const copy: Record<string, unknown> = {};
    for (const {name, type} of this.placed) {
      const field = (value as Record<string, unknown>)[name];
      if (field !== undefined) copy[name] = type.detach(field);
    }
    return copy;
  }
  /** The same, but a plain object of simple fields, in which nothing is live, stays as it is. */
  private settle(value: object): unknown {
    const simple = !this.placed.some(({type}) => type.compound);
    return simple && Object.getPrototypeOf(value) === Object.prototype ? value : this.detach(value);
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
    const inner = compile(this, captures.engine, path, undefined, 1, seenFrom(byte, captures.guards));
    const cell = `c+${byte / CELL}`;
    const settle = captures.add((v: object) => this.settle(v));
    return {
      get: `new ${captures.add(inner.Record)}(${cell},${captures.g},${captures.n})`,
      check: `if(typeof v!=='object'||v===null)${captures.add(refuse)}(${JSON.stringify(path)},${JSON.stringify(`an object with fields of ${this.name}`)},v);v=${settle}(v);`,
      set: `${captures.add(inner.assign)}(${cell},v);`,
      init: `${captures.add(inner.init)}(${cell},v);`,
      drop: `${captures.add(inner.drop)}(${cell});`,
    };
  }
}

/**
 * Declares a type of records, for tables and other collections, or as a field of another struct.
 *
 * @param name - letters, digits and _; it is part of the schema, and refs and migrations go by it
 * @param fields - types by name, laid out in this order as C does. A field is named by letters, digits and _, and none is
 *   called as what every object has (`constructor`, `toString`, ...)
 * @param options - an invariant of each record, see StructOptions; no part of the schema
 * @throws StoreError ERR_SCHEMA: a name that cannot be, no field, or what is no type
 * @example
 * const Peer = struct('Peer', {host: t.string(), score: t.u16});
 * const Conn = struct('Conn', {fd: t.i32, peer: t.ref(() => Peer), since: t.timestamp.optional()});
 */
export function struct<const F extends Fields>(
  name: string,
  fields: F,
  options?: StructOptions<F>,
): Struct<F> {
  return new Struct(name, fields, options);
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
  /** The ways through the records of slots: `head` is the word of their head, the last two are of extent 0. */
  walks(
    head: number,
    first: number,
    stride: number,
    generationWord: number,
    cell: number,
  ): {iterate(): IterableIterator<R>; scan(): R & {next(): boolean}};
  /** Gives back what the record owns elsewhere. */
  drop(cell: number): void;
}

/**
 * The text that steps from slot to slot, extent by extent, of whatever is used by then; see Slots for what it reads. $g and
 * $c are those of the slot it came to last, e is the word behind the generations of the extent, w the word they would
 * begin at if slot 0 were in it. Where there is but one extent, two numbers less are to be kept in registers.
 */
function step(extents: number, found: string, ended: string): string {
  const search =
    extents === 1
      ? `if((g-word|0)>=(U32[head+2]|0)){${ended}}`
      : `if(g>=this.e){const s=g-this.w,u=U32[head+2];if(!(s<u)){${ended}}
const k=s<first?0:32-Math.clz32(s/first),f=k===0?0:first<<k-1,w=U32[head+8+k*2]*2-f;
this.w=w;this.e=w+Math.min(k===0?first:f*2,u);g=w+s;c=U32[head+9+k*2]+(s-f)*stride;}`;
  return `let g=this.$g+1,c=this.$c+stride;for(;;g++,c+=stride){${search}
const n=U32[g]|0;if(n&1){this.$c=c;this.$g=g;${found}}}`;
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
  /** Of the slots the records lie in: 1, or more. */
  extents = 1,
  guards: readonly Guard[] = [],
): Compiled<RecordOf<F>> {
  const captures = new Captures(engine, undefined, undefined, guards);
  const broken = guards.map(({byte, value}) => `||U8[${element(1, byte)}]!==${value}`).join('');
  const [seen, itself] =
    guards.length === 0 ? ['g,n', 'this.$g,this.$n'] : ['g,n,c', 'this.$g,this.$n,this.$c'];
  const stale = captures.add(() => engine.stale(`record of ${type.name}`));
  // Few bytecodes each: the compiler takes what has no more than 27 into its caller whatever else is there.
  const members: string[] = [
    'get $at(){if(this.$r!==V.epoch)return this.$again;return this.$c;}',
    `get $again(){this.$r=look(${itself});return this.$c;}`,
  ];
  const puts: string[] = [];
  const inits: string[] = [];
  const assigns: string[] = [];
  const drops: string[] = [];
  for (const {name, type: field, offset} of type.placed) {
    const access = field.access(offset, `${path}.${name}`, captures);
    const firstCell = Math.floor(offset / CELL);
    const cells = Math.ceil((offset + field.size) / CELL) - firstCell;
    const save = cells === 1 ? `L.save(c+${firstCell});` : `L.saveRange(c+${firstCell},${cells});`;
    members.push(`get ${name}(){const c=this.$at;return ${access.get};}`);
    // What may fail half-way is undone on its own, also when its caller catches the error and goes on. The record may go
    // while the lock is waited for, or while an iterator of the user gives the values: it is looked at last.
    if (field.compound)
      members.push(`set ${name}(v){E.transact(()=>{${access.check}const c=this.$at;${save}${access.set}});}`);
    // The check may replace v by what is stored, so the detour, which comes back here, is taken before it.
    else if (!field.single)
      members.push(
        `set ${name}(v){const c=this.$at;if(M.mode!==1)return void E.set(this,'${name}',v);${access.check}${save}${access.set}}`,
      );
    else {
      const fits = access.fits ? `&&${access.fits}` : '';
      const check = access.fits ? '' : access.check;
      members.push(
        `set ${name}(v){if(this.$r===V.direct${fits}){${check}const c=this.$c;${access.set}}else this.$put_${name}=v;}`,
        `set $put_${name}(v){this.$r=put_${name}(this.$c,this.$g,this.$n,v);}`,
      );
      puts.push(
        `function put_${name}(c,g,n,v){const r=look(${seen});if(M.mode===2)E.set(new R(c,g,n),'${name}',v);else{${access.check}if(M.mode!==0)${save}${access.set}}return r;}`,
      );
    }
    inits.push(`{let v=o.${name};if(v!==undefined){${access.check}${access.init ?? access.set}}}`);
    assigns.push(`{let v=o.${name};if(v!==undefined){${access.check}${access.set}}}`);
    if (access.drop) drops.push(access.drop);
  }
  for (const [name, body] of Object.entries(extras?.(captures) ?? {}))
    members.push(`get ${name}(){this.$at;${body}}`);
  const json = type.placed.map(({name, type: field}) => `${name}:${captures.add(field)}.plain(this.${name})`);
  members.push(`$set(o){E.assign(this,o,${captures.add(type.fields)});}`);
  members.push(`toJSON(){return {${json.join(',')}};}`);
  const zero = Array.from({length: type.size / CELL}, (_, i) => `F64[c+${i}]=0;`);
  const zeroing = zero.length <= 16 ? zero.join('') : `F64.fill(0,c,c+${zero.length});`;
  const cursor =
    extents === 1 ? 'this.$c=cell-stride;this.$g=word-1;' : 'this.$c=-stride;this.$g=-1;this.e=0;this.w=0;';
  const source = `function look(${seen}){if(U32[g]!==n||V.closed${broken})${stale}();return V.stamp;}
${puts.join('\n')}
const R=class{constructor(c,g,n){this.$c=c;this.$g=g;this.$n=n;this.$r=V.stamp;}
${members.join('\n')}};
return {Record:R,init(c,o){${zeroing}${inits.join('')}},assign(c,o){${assigns.join('')}},
getter(first,word,cell,stride,slow){return id=>{const s=id&67108863,n=(id-s)/33554432+1;
if(s<first&&U32[word+s]===n)return new R(cell+s*stride,word+s,n);return slow(id);};},
walks(head,first,stride,word,cell){
const I=class{constructor(){${cursor}}
next(){${step(extents, 'return {done:false,value:new R(c,g,n)};', 'return {done:true,value:undefined};')}}
[Symbol.iterator](){return this;}};
const C=class{constructor(){${cursor}this.$n=-1;this.$r=-1;}
next(){${step(extents, 'this.$n=n;this.$r=V.stamp;return true;', 'return false;')}}};
Object.setPrototypeOf(C.prototype,R.prototype);
return {iterate:()=>new I(),scan:()=>new C()};},
drop(c){${drops.join('')}}};`;
  const compiled = generate<Compiled<RecordOf<F>>>(captures, source);
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
