import type {Engine} from '../segment/engine.js';
import {CELL} from '../segment/memory.js';
import {generate} from './generate.js';
import {type AnyType, Captures} from './type.js';

/*
 * Values of one type in a row, as in a C array: element i at byte i * stride. Elements narrower than a cell share one;
 * a group is the fewest elements that fill whole cells, a lane a place in the group.
 */
export interface Row<V = unknown> {
  readonly lanes: number;
  readonly groupCells: number;
  /** A struct gives a live record, stale as soon as word `g` of the segment is not `n`. */
  get(base: number, i: number, g: number, n: number): V;
  /** Checks, saves and stores; the caller has opened a transaction. */
  put(base: number, i: number, v: unknown): void;
  /** One machine store, if no transaction is open and the type allows it. False: use `put`. */
  poke(base: number, i: number, v: unknown): boolean;
  /** Stores into a place that holds nothing; its cells need no saving or were saved. */
  init(base: number, i: number, v: unknown): void;
  /** Gives back what the element owns elsewhere. */
  drop(base: number, i: number): void;
}

export function strideOf(type: AnyType): number {
  return Math.ceil(type.size / type.align) * type.align;
}

function shape(type: AnyType): {stride: number; lanes: number; groupCells: number} {
  const stride = strideOf(type);
  let lanes = 1;
  while ((stride * lanes) % CELL !== 0) lanes *= 2;
  return {stride, lanes, groupCells: (stride * lanes) / CELL};
}

/** Cells that `count` elements need. */
export function rowCells(type: AnyType, count: number): number {
  return Math.ceil((strideOf(type) * count) / CELL);
}

/** The first cell of element `i` and how many it touches. */
export function cellsOf(type: AnyType, base: number, i: number): {first: number; count: number} {
  const from = strideOf(type) * i;
  const first = Math.floor(from / CELL);
  return {first: base + first, count: Math.ceil((from + type.size) / CELL) - first};
}

const known = new WeakMap<Engine, Map<string, Row>>();

export function compileRow<V>(type: AnyType, engine: Engine, path: string): Row<V> {
  let rows = known.get(engine);
  if (rows === undefined) {
    rows = new Map();
    known.set(engine, rows);
  }
  const key = `${path}\0${JSON.stringify(type.describe())}`;
  const before = rows.get(key);
  if (before) return before as Row<V>;
  const {stride, lanes, groupCells} = shape(type);
  const captures = new Captures(engine, 'g', 'n');
  const accesses = Array.from({length: lanes}, (_, lane) => ({
    byte: lane * stride,
    ...type.access(lane * stride, path, captures),
  }));
  const start =
    lanes === 1 ? `const c=b+i*${groupCells};` : `const l=i%${lanes},c=b+(i-l)/${lanes}*${groupCells};`;
  const lanewise = (text: (a: (typeof accesses)[number]) => string) =>
    lanes === 1
      ? text(accesses[0]!)
      : `switch(l){${accesses.map((a, lane) => `case ${lane}:{${text(a)}break;}`).join('')}}`;
  const save = (byte: number) => {
    const first = Math.floor(byte / CELL);
    const count = Math.ceil((byte + type.size) / CELL) - first;
    return `L.saveRange(c+${first},${count});`;
  };
  const source = `return{
get(b,i,g,n){${start}${lanewise(a => `return ${a.get};`)}},
put(b,i,v){${start}${lanewise(a => `${a.check}${save(a.byte)}${a.set}`)}},
poke(b,i,v){${type.single ? `if(M.mode!==0)return false;${start}${lanewise(a => `${a.check}${a.set}`)}return true;` : 'return false;'}},
init(b,i,v){${start}${lanewise(a => `${a.check}${a.init ?? a.set}`)}},
drop(b,i){${accesses[0]!.drop ? `${start}${lanewise(a => a.drop!)}` : ''}}};`;
  const row = {
    lanes,
    groupCells,
    ...generate<object>(captures, source),
  } as Row<V>;
  rows.set(key, row as Row);
  return row;
}
