import {CollectionType} from '../collections/collection.js';
import type {Fields} from '../schema/record.js';
import type {Struct} from '../schema/struct.js';
import type {Builder} from '../segment/builder.js';
import type {Header} from '../segment/header.js';
import {CELL, type Memory} from '../segment/memory.js';
import type {UndoLog} from '../segment/undo-log.js';

/** A word in the head of a collection that is not what it was made as, and never changes. */
export interface WrongWord {
  path: string;
  word: number;
  is: number;
  should: number;
}

/**
 * Where collections lie follows from the schema: they are laid out once more, on paper. The header, which has a checksum,
 * says where the heap begins; if it would begin elsewhere, the store was laid out by other rules and nothing is said.
 */
export function wrongHeads(memory: Memory, header: Header, root: Struct<Fields>): WrongWord[] {
  const paper = new Uint32Array(header.rootCells * 2);
  let next = header.rootCell + header.rootCells;
  let number = 0;
  const builder: Builder = {
    memory: {u32: paper},
    nextNumber: () => ++number,
    reserve(cells, _what, align = CELL) {
      const cell = Math.ceil(next / (align / CELL)) * (align / CELL);
      next = cell + cells;
      return cell;
    },
  };
  const heads: [path: string, word: number][] = [];
  for (const {name, type, offset} of root.placed)
    if (type instanceof CollectionType) {
      type.build(builder, offset / CELL);
      for (const word of type.lasting) heads.push([name, offset / 4 + word]);
    }
  if (next !== header.heapCell) return [];
  return heads
    .map(([path, at]) => {
      const word = header.rootCell * 2 + at;
      return {path, word, is: memory.u32[word]!, should: paper[at]!};
    })
    .filter(({is, should}) => is !== should);
}

/** Before collections are opened on them. Gives the paths of those that were damaged. */
export function restoreHeads(memory: Memory, log: UndoLog, header: Header, root: Struct<Fields>): string[] {
  const wrong = wrongHeads(memory, header, root);
  if (wrong.length === 0) return [];
  const before = log.begin();
  for (const {word, should} of wrong) {
    log.save(word >> 1);
    memory.u32[word] = should;
  }
  log.commit(before);
  return [...new Set(wrong.map(({path}) => path))];
}
