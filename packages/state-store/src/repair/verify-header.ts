import {decodeLineage, decodeSchema, fingerprintOf} from '../declaration/schema-blob.js';
import type {Checker} from '../segment/check.js';
import {at, BUILDING, readHeader, sizeOf, stateOf} from '../segment/header.js';
import {CELL} from '../segment/memory.js';

/** Part of check(): what stands in the header under a checksum, or has one value only. */
export function verifyHeader(checker: Checker): void {
  const {memory, where, header} = checker.engine;
  if (stateOf(memory) === BUILDING) return; // the checksum comes last
  const {u32} = memory;
  const look = (what: string, read: () => void) => {
    try {
      read();
    } catch (error) {
      checker.problem(what, (error as Error).message);
    }
  };
  look('header', () => readHeader(memory, where));
  if (u32[at.live / 4] !== 1)
    checker.problem('header', `the generation of the root is ${u32[at.live / 4]}, not 1`);
  if (u32[at.heap / 4 + 1] !== sizeOf(memory) / CELL)
    checker.problem('header', `the heap ends at cell ${u32[at.heap / 4 + 1]}, not with the segment`);
  look('schema', () => {
    const from = header.schemaCell * CELL;
    const bytes = memory.u8.slice(from, from + header.schemaBytes);
    const description = decodeSchema(bytes, where);
    decodeLineage(bytes, where);
    if (!fingerprintOf(description).equals(header.fingerprint))
      checker.problem('schema', 'what stands in the segment is not what its fingerprint was made of');
  });
}
