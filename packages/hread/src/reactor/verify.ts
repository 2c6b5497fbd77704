import type {Books} from '@zlr/kernel-shim';
import type {ChannelRecord} from '../channels/channel.js';
import {CHANNEL_VERSION, Kind} from '../channels/channel-record.js';
import {type Extents, Word} from '../channels/extents.js';

/** What a record names, when all of it can be. */
export interface Holdings {
  /** Extents of held input. */
  hold: number[];
  /** Extents of output that waits, in order. */
  output: number[];
}

/**
 * Looks at all that a former generation has recorded of a connection, before any of it is used: against its bounds, and
 * against the kernel's books. What is cut off here (links beyond the end, what is sent already) is what a kill or an
 * undone transaction may leave; anything else that does not fit is a reason, in words, and nothing is changed.
 */
export function verify<R extends ChannelRecord>(
  record: R,
  books: Pick<Books, 'read' | 'written' | 'dead'>,
  extents: Extents,
  used: ReadonlySet<number>,
): Holdings | string {
  if (record.version !== CHANNEL_VERSION) return `its record has version ${record.version}`;
  if (record.kind !== Kind.Tcp) return `its record is of kind ${record.kind}`;
  const hold = verifyHold(record, books, extents, used);
  if (typeof hold === 'string') return hold;
  if (books.dead) return {hold, output: []}; // nobody can have it
  const output = verifyOutput(record, books, extents, used, hold);
  return typeof output === 'string' ? output : {hold, output};
}

function verifyHold<R extends ChannelRecord>(
  record: R,
  {read}: Pick<Books, 'read'>,
  extents: Extents,
  used: ReadonlySet<number>,
): number[] | string {
  const {consumed, holdHead} = record;
  if (consumed > read) return `${consumed} bytes are consumed, of ${read} that were read`;
  const chain: number[] = [];
  let end: number | undefined;
  for (let next = holdHead; next !== 0; next = extents.get(next - 1, Word.next)) {
    const problem = problemOf(next - 1, record, extents, used, chain);
    if (problem !== undefined) return `held input: ${problem}`;
    const base = extents.getLong(next - 1, Word.base);
    if (end === undefined ? base > consumed : base !== end)
      return `held input: extent ${next - 1} is of another place in the stream`;
    end = base + extents.sizeOf(next - 1);
    chain.push(next - 1);
  }
  if (read > (end ?? consumed)) return `of ${read - consumed} bytes of held input not all are there`;
  return chain;
}

function verifyOutput<R extends ChannelRecord>(
  record: R,
  {written}: Pick<Books, 'written'>,
  extents: Extents,
  used: ReadonlySet<number>,
  hold: readonly number[],
): number[] | string {
  const {outEnd, outHead} = record;
  if (written > outEnd) return `${written} bytes were written, of ${outEnd} that were to be`;
  if (written === outEnd) return [];
  const chain: number[] = [];
  let end: number | undefined;
  for (let next = outHead; end === undefined || end < outEnd; next = extents.get(next - 1, Word.next)) {
    if (next === 0) return `of ${outEnd - written} bytes of output not all are there`;
    const extent = next - 1;
    const problem = hold.includes(extent)
      ? `extent ${extent} is in use twice`
      : problemOf(extent, record, extents, used, chain);
    if (problem !== undefined) return `output: ${problem}`;
    const base = extents.getLong(extent, Word.base);
    if (end === undefined ? base > written : base !== end)
      return `output: extent ${extent} is of another place in the stream`;
    const length = extents.get(extent, Word.length);
    if (length > extents.sizeOf(extent)) return `output: extent ${extent} has ${length} bytes`;
    // What a transaction that did not end has put behind the end is cut off.
    const kept = Math.min(length, outEnd - base);
    const inFile = extents.getLong(extent, Word.fileLength);
    const keptInFile = kept < length || base + length === outEnd ? 0 : inFile;
    if (base + kept + keptInFile > outEnd) return `output: extent ${extent} reaches beyond the end`;
    end = base + kept + keptInFile;
    if (end === base) return `output: extent ${extent} is empty`;
    chain.push(extent);
  }
  return chain;
}

function problemOf<R extends ChannelRecord>(
  extent: number,
  record: R,
  extents: Extents,
  used: ReadonlySet<number>,
  chain: readonly number[],
): string | undefined {
  if (extent >= extents.count) return `there is no extent ${extent}`;
  if (extents.get(extent, Word.owner) !== record.$index + 1)
    return `extent ${extent} is another connection's`;
  if (used.has(extent) || chain.includes(extent)) return `extent ${extent} is in use twice`;
  return undefined;
}

/** Cuts the chain of output off behind its last extent, and what that has beyond the end. Gives the memory it occupies. */
export function trimOutput<R extends ChannelRecord>(
  record: R,
  extents: Extents,
  output: readonly number[],
): number {
  const last = output.at(-1);
  if (last === undefined) return 0;
  const base = extents.getLong(last, Word.base);
  const length = Math.min(extents.get(last, Word.length), record.outEnd - base);
  extents.set(last, Word.next, 0);
  extents.set(last, Word.length, length);
  if (base + length === record.outEnd) {
    extents.setLong(last, Word.fileLength, 0);
    extents.set(last, Word.fileFd, -1);
  }
  return output.reduce((sum, extent) => sum + extents.sizeOf(extent), 0);
}
