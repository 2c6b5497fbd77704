import {generate} from '../schema/generate.js';
import type {Compiled} from '../schema/record-class.js';
import {Captures} from '../schema/type.js';
import type {Engine} from '../segment/engine.js';
import {LAST_GENERATION, type Slots} from './slots.js';

/** Insert and remove of a table outside transactions, each a transaction of its own. */
export interface Exchange<R> {
  insert(init: object): R;
  /** Of a slot that is live. */
  remove(slot: number): void;
}

/**
 * `Slots.take` and `give` and the log's part of them as one function each, for one table: spread over methods that all
 * collections share they take twice as long. Whatever is not the common case goes to `slowly`, which calls those methods:
 * a transaction that is open, other writers, a reader that copies, no room in the newest extent, lives that were undone.
 */
export function compileExchange<R>(
  engine: Engine,
  slots: Slots,
  compiled: Compiled<R>,
  slowly: Exchange<R> & {
    /** After `init` threw and all was undone. */
    failed(error: unknown, init: object): R;
  },
): Exchange<R> {
  const captures = new Captures(engine);
  const [own, init, Record] = [slots, compiled.init, compiled.Record].map(each => captures.add(each));
  const {ready, save3, commit} = engine.log.spelled();
  const head = slots.head * 2;
  const {int} = captures;
  const far = `const k=32-Math.clz32(s/${slots.first}),f=${slots.first}<<k-1;
c=U32[${head + 9}+k*2]+(s-f)*${slots.stride}${int};g=U32[${head + 8}+k*2]*2+s-f${int};`;
  const near = `c=${slots.cell(0)}+s*${slots.stride}${int};g=${slots.word(0)}+s${int};`;
  const place = slots.extents === 1 ? near : `if(s<${slots.first}){${near}}else{${far}}`;
  return generate<Exchange<R>>(
    captures,
    `return{insert(o){
const free=U32[${head}],fresh=free===0;let c,g,s=fresh?U32[${head + 2}]:free-1;
if(M.mode!==0||!(${ready})||${own}.lived!==undefined||fresh&&s>=U32[${head + 5}]||typeof o!=='object'||o===null)return ${captures.add(slowly)}.insert(o);
${place}
L.serial++;M.enter(1);
${save3(`${slots.head}`, 'g>>>1', `fresh?${slots.head + 1}:c`)}
if(fresh)U32[${head + 2}]=s+1;else U32[${head}]=U32[c*2${int}];
U32[${head + 1}]=U32[${head + 1}]+1;
const n=U32[g]+1,changes=++${own}.changes;
U32[g]=n;
try{${init}(c,o);${own}.assertUnchanged(changes);}catch(error){${own}.outlive(s);L.rollback(0);return ${captures.add(slowly)}.failed(error,o);}
${commit}
return new ${Record}(c,g,n);},
remove(s){
let c,g;
${place}
const n=U32[g];
if(M.mode!==0||!(${ready})||n>=${LAST_GENERATION})return ${captures.add(slowly)}.remove(s);
L.serial++;M.enter(1);
${compiled.owns ? `try{${captures.add(compiled.drop)}(c);}catch(error){L.rollback(0);throw error;}` : ''}
${save3(`${slots.head}`, 'g>>>1', 'c')}
M.invalidate();
U32[g]=n+1;
U32[${head + 1}]=U32[${head + 1}]-1;
U32[c*2${int}]=U32[${head}];
U32[${head}]=s+1;
${commit}}};`,
  );
}
