import {StoreError} from '../errors.js';
import type {Memory} from '../segment/memory.js';
import type {Captures} from './type.js';

/** How generated text names the views of the segment. */
const VIEWS = {
  U8: 'u8',
  I8: 'i8',
  U16: 'u16',
  I16: 'i16',
  U32: 'u32',
  I32: 'i32',
  F32: 'f32',
  F64: 'f64',
  U64: 'u64',
  I64: 'i64',
} as const satisfies Record<string, keyof Memory>;

/**
 * Accessors are written as source text and compiled, which is what makes them as quick as plain properties.
 *
 * @throws StoreError ERR_UNSUPPORTED: this process may not, see docs/decisions/store-accessors.md
 */
export function assertMayGenerate(): void {
  try {
    new Function('');
  } catch (cause) {
    throw new StoreError(
      'ERR_UNSUPPORTED',
      'the accessors of a store are compiled from text, which this process or its vm context refuses (--disallow-code-generation-from-strings, codeGeneration: {strings: false}): open the store in one that allows it.',
      {cause},
    );
  }
}

/**
 * Makes what `body`, the text of a function, returns. It sees M the memory, V its validity, L the log, E the engine, the
 * views and what was captured, all as parameters: one that is never assigned is a constant to the compiler, which puts the
 * very address of a view into the machine code. Of a segment that may move the views are assigned anew at each move.
 */
export function generate<T>(captures: Captures, body: string): T {
  const {engine} = captures;
  const {memory, log} = engine;
  const names = Object.keys(VIEWS) as (keyof typeof VIEWS)[];
  const assign = names.map(name => `${name}=M.${VIEWS[name]};`).join('');
  const follow = engine.settled ? '' : `M.onAttach(()=>{${assign}});`;
  const make = new Function('M', 'V', 'L', 'E', ...names, ...captures.names, `'use strict';${follow}${body}`);
  const views = names.map(name => memory[VIEWS[name]]);
  return make(memory, memory.validity, log, engine, ...views, ...captures.values) as T;
}
