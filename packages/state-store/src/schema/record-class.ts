import {inspect, types} from 'node:util';
import {StoreError, show} from '../errors.js';
import type {Engine} from '../segment/engine.js';
import {at} from '../segment/header.js';
import {CELL} from '../segment/memory.js';
import {closeRecord, FIELDS} from './closed.js';
import {generate} from './generate.js';
import type {Fields, Layout, Live, RecordOf} from './record.js';
import {type Access, Captures, type Guard, refuse, zeros} from './type.js';

export interface Compiled<R = Live> {
  /** The class of live records: plain properties over the segment. */
  Record: new (
    cell: number,
    generationWord: number,
    generation: number,
  ) => R & Live;
  /** Fills cells nobody has seen yet: zeroes them, then stores what `init` has. */
  init(cell: number, init: object): void;
  /** Replaces all fields by what `init` has, by zero what it lacks. All cells must have been saved. */
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
  /** Whether it can own anything. */
  owns: boolean;
}

/**
 * The text that steps from slot to slot, extent by extent, of whatever is used by then; see Slots for what it reads. #g and
 * #c are those of the slot it came to last, e is the word behind the generations of the extent, w the word they would
 * begin at if slot 0 were in it. Where there is but one extent, two numbers less are to be kept in registers.
 */
function step(extents: number, int: string, found: string, ended: string): string {
  const search =
    extents === 1
      ? `if(g>=((U32[head+2]|0)+word${int})){${ended}}`
      : `if(g>=this.#e){const s=g-this.#w,u=U32[head+2];if(!(s<u)){${ended}}
const k=s<first?0:32-Math.clz32(s/first),f=k===0?0:first<<k-1,w=U32[head+8+k*2]*2-f;
this.#w=w;this.#e=w+Math.min(k===0?first:f*2,u);g=w+s;c=U32[head+9+k*2]+(s-f)*stride;}`;
  return `let g=this.#g+1${int},c=this.#c+stride${int};for(;;g=g+1${int},c=c+stride${int}){${search}
const n=U32[g]|0;if(n&1){this.#c=c;this.#g=g;${found}}}`;
}

/** Extra getters of a record class, by name: the text of the body, which sees `this`. */
export type Extras = (captures: Captures) => Record<string, string>;

/**
 * Writes the accessors of a struct as source text: offsets become constants and each class has its own type feedback,
 * which one set of shared closures would not (past four structs it turns megamorphic). Only field names that FIELD
 * admits and numbers enter the text; everything else is captured.
 */
export function compile<F extends Fields>(
  type: Layout<F>,
  engine: Engine,
  path = type.name,
  extras?: Extras,
  /** Of the slots the records lie in: 1, or more. */
  extents = 1,
  guards: readonly Guard[] = [],
  /** Whether `walks` will be asked for. */
  scanned = false,
): Compiled<RecordOf<F>> {
  const captures = new Captures(engine, undefined, undefined, guards);
  const broken = guards.map(({byte, value}) => `||U8[${captures.element(1, byte)}]!==${value}`).join('');
  const [seen, itself] =
    guards.length === 0 ? ['g,n', 'this.#g,this.#n'] : ['g,n,c', 'this.#g,this.#n,this.#c'];
  const stale = captures.add(() => engine.stale(`record of ${type.name}`));
  // Few bytecodes each, so that the compiler takes them into their callers. What a record keeps is private: no loop over its
  // properties comes upon it, and no copy of them takes it for a field. #r is when it was last seen to be live, see Validity.
  const members: string[] = [
    'get $at(){if(this.#r!==V.epoch)return this.$again;return this.#c;}',
    `get $again(){this.#r=look(${itself});return this.#c;}`,
    'get $c(){return this.#c;}get $g(){return this.#g;}get $n(){return this.#n;}',
  ];
  const puts: string[] = [];
  const inits: string[] = [];
  const assigns: string[] = [];
  const drops: string[] = [];
  for (const {name, type: field, offset} of type.placed) {
    const plain = field.access(offset, `${path}.${name}`, captures);
    const access = engine.written ? told(plain, captures.add(engine.written), offset) : plain;
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
        `set ${name}(v){if(this.#r===V.direct${fits}){${check}const c=this.#c;${access.set}}else this.$put_${name}=v;}`,
        `set $put_${name}(v){this.#r=put_${name}(this.#c,this.#g,this.#n,v);}`,
      );
      puts.push(
        `function put_${name}(c,g,n,v){const r=look(${seen});if(M.mode===2)E.set(new R(c,g,n),'${name}',v);else{${access.check}if(M.mode!==0)${save}${access.set}}return r;}`,
      );
    }
    const gone = field.compound ? 'M.invalidate();' : '';
    const clear = `${access.drop ?? ''}${gone}${zeros(offset, field.size)}`;
    inits.push(`{let v=o.${name};if(v!==undefined){p++;${access.check}${access.init ?? access.set}}}`);
    assigns.push(`{let v=o.${name};if(v!==undefined){p++;${access.check}${access.set}}else{${clear}}}`);
    if (access.drop) drops.push(access.drop);
  }
  for (const [name, body] of Object.entries(extras?.(captures) ?? {}))
    members.push(`get ${name}(){this.$at;${body}}`);
  const json = type.placed.map(({name, type: field}) => `${name}:${captures.add(field)}.plain(this.${name})`);
  members.push(`$set(o){${captures.add(setFields)}(E,this,o,${captures.add(type.fields)});}`);
  members.push(`toJSON(){return {${json.join(',')}};}`);
  const zero = Array.from({length: type.size / CELL}, (_, i) => `F64[c+${i}]=0;`);
  const zeroing = zero.length <= 16 ? zero.join('') : `F64.fill(0,c,c+${zero.length});`;
  // As many names as values is what nearly every object has; what it has besides is looked for only then.
  const admitted = `let m=0;for(const _ in o)m++;if(m!==p||m===0)${captures.add((value: object) => admit(value, type.fields, path))}(o);`;
  const own = extents === 1 ? '#c=cell-stride;#g=word-1;' : '#c=-stride;#g=-1;#e=0;#w=0;';
  const {int} = captures;
  const gone = `if(V.closed)${captures.add(() => engine.assertOpen())}();`;
  // The stamp is read anyway, and is negative once the store is closed.
  const goesOn = `const r=V.stamp;if(r<0)${gone}`;
  const noScan = captures.add(() => {
    throw new StoreError(
      'ERR_VALUE',
      `scan() of ${path}: ${type.name} has a field 'next', which a row that moves on by next() cannot have; use for ... of, or rename the field.`,
    );
  });
  const row = captures.add((prototype: object, parent: object) => {
    Object.setPrototypeOf(prototype, parent);
    list(prototype, type);
  });
  const walks = scanned
    ? `walks(head,first,stride,word,cell){
const I=class{${own}
next(){${step(extents, int, `${goesOn}return {done:false,value:new R(c,g,n)};`, `${gone}return {done:true,value:undefined};`)}}
[Symbol.iterator](){return this;}};
const C=class{${own}#n=-1;#r=-1;
${members.join('\n')}
next(){${step(extents, int, `${goesOn}this.#n=n;this.#r=r;return true;`, `${gone}return false;`)}}};
${row}(C.prototype,R.prototype);
return {iterate:()=>new I(),scan:${'next' in type.fields ? noScan : '()=>new C()'}};},`
    : '';
  const source = `function look(${seen}){if(U32[g]!==n||V.closed${broken}){${stale}();return look(${seen});}return V.stamp;}
${puts.join('\n')}
const R=class{#c=0;#g=0;#n=0;#r=0;constructor(c,g,n){this.#c=c;this.#g=g;this.#n=n;this.#r=V.stamp;}
${members.join('\n')}};
return {Record:R,init(c,o){let p=0;${zeroing}${inits.join('')}${admitted}},assign(c,o){let p=0;${assigns.join('')}${admitted}},
getter(first,word,cell,stride,slow){return id=>{if(typeof id==='number'){const s=id&67108863,n=(id-s)/33554432+1;
if(s<first&&U32[word+s]===n)return new R(cell+s*stride,word+s,n);}return slow(id);};},
${walks}drop(c){${drops.join('')}},owns:${drops.length > 0}};`;
  const compiled = generate<Compiled<RecordOf<F>>>(captures, source);
  const {prototype} = compiled.Record;
  closeRecord(prototype);
  list(prototype, type);
  Object.defineProperties(compiled.Record, {name: {value: type.name}});
  Object.defineProperties(prototype, {
    [FIELDS]: {value: type.fields},
    // What compares two objects finds no properties in records; by this it knows whether they hold the same.
    [Symbol.toStringTag]: {
      get(this: {toJSON(): object}) {
        if (this === prototype || Object.hasOwn(this, type.placed[0]!.name)) return type.name;
        try {
          return `${type.name} ${inspect(this.toJSON(), WHOLE)}`;
        } catch (error) {
          if (error instanceof StoreError) return `${type.name} (${error.code})`;
          throw error;
        }
      },
    },
    [inspect.custom]: {
      value(this: {toJSON(): object}) {
        return this.toJSON();
      },
    },
  });
  return compiled;
}

/** The same, with a word to `written` about each change. What is filled for the first time was told of when it was given up. */
function told({get, check, set, init = set, drop = ''}: Access, written: string, byte: number): Access {
  const tell = `${written}(c*8+${byte});`;
  return {get, check, set: set + tell, init, drop: drop + tell};
}

const WHOLE = {
  depth: Number.POSITIVE_INFINITY,
  breakLength: Number.POSITIVE_INFINITY,
  maxArrayLength: null,
  maxStringLength: null,
};

/** Has `for ... in` find the fields. */
function list(prototype: object, {placed}: Layout<Fields>): void {
  for (const {name} of placed) Object.defineProperty(prototype, name, {enumerable: true});
}

/** A record that is made once has its fields for its own, so that what copies or lists properties finds them. */
export function ownFields<R extends object>(record: R, {placed}: Layout<Fields>): R {
  const prototype = Object.getPrototypeOf(record) as object;
  for (const {name} of placed)
    Object.defineProperty(record, name, Object.getOwnPropertyDescriptor(prototype, name)!);
  return record;
}

/** Refuses what has names that are no fields, and what is no plain object at all. */
export function admit(value: object, fields: Fields, path: string): void {
  const theirs = (value as {[FIELDS]?: Fields})[FIELDS];
  if (theirs === fields) return;
  for (const name of Object.keys(theirs ?? value))
    if (!Object.hasOwn(fields, name))
      throw new StoreError(
        'ERR_VALUE',
        `${path}: there is no field ${show(name)}; its struct has ${Object.keys(fields).join(', ')}.`,
      );
  if (
    Array.isArray(value) ||
    types.isMap(value) ||
    types.isSet(value) ||
    types.isDate(value) ||
    ArrayBuffer.isView(value)
  )
    refuse(path, `an object with fields of its struct: ${Object.keys(fields).join(', ')}`, value);
}

function setFields(engine: Engine, record: object, values: unknown, fields: Fields): void {
  engine.transact(() => {
    const given = engine.object(values, '$set') as Record<string, unknown>;
    admit(given, fields, '$set');
    // All are read before any is written: they may be parts of this very record.
    const detached = Object.keys((given as {[FIELDS]?: Fields})[FIELDS] ?? given).map(
      field => [field, fields[field]!.detach(given[field])] as const,
    );
    for (const [field, value] of detached)
      if (value !== undefined) (record as Record<string, unknown>)[field] = value;
  });
}

/** The generation word of records that cannot be removed, such as the root. */
export const ALWAYS_LIVE = at.live / 4;
