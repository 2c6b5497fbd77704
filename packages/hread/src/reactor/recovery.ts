import {native} from '@zlr/kernel-shim/internal';
import type {ChannelRecord} from '../channels/channel.js';
import {type Extents, Word} from '../channels/extents.js';
import type {Inheritance, InheritedConnection, InheritedListener} from '../channels/inheritance.js';
import {trimOutput, verify} from './verify.js';

/** What became of the former generation's channels. */
export interface RecoveryReport<R = ChannelRecord> {
  /** Connections that go on where they stood. */
  recovered: number;
  /** Connections without a record: accepted in the last instant, served as new ones. */
  adopted: number;
  /** Records without a connection: it ended with the fault, or its keeper died too. */
  dropped: R[];
  /** Connections whose record was damaged, and why: they were ended, and nobody else was. */
  refused: string[];
}

/** A connection that goes on, or begins; and how much memory its output occupies. */
export interface Match<R> {
  connection: InheritedConnection;
  record: R | undefined;
  waiting: number;
  outTail: number;
}

export interface Recovery<R> {
  report: RecoveryReport<R>;
  matches: Match<R>[];
  listeners: InheritedListener[];
}

/** Takes what is this server's of what the process inherited, and frees the extents that nothing needs. */
export function recover<R extends ChannelRecord>(
  records: Iterable<R>,
  listenerCookies: Iterable<bigint>,
  extents: Extents,
  inheritance: Inheritance,
): Recovery<R> {
  const report: RecoveryReport<R> = {recovered: 0, adopted: 0, dropped: [], refused: []};
  const matches: Match<R>[] = [];
  const used = new Set<number>();
  const listeners = [...listenerCookies].flatMap(cookie => inheritance.listener(cookie) ?? []);

  for (const record of records) {
    const connection = inheritance.connection(record.cookie);
    const holdings = connection && verify(record, connection.books, extents, used);
    if (connection && typeof holdings === 'object' && mayGoOn(record, connection)) {
      const {hold, output} = holdings;
      if (takeFiles(record, extents, output, inheritance)) {
        for (const extent of [...hold, ...output]) used.add(extent);
        if (output.length === 0) record.outHead = 0;
        record.fd = connection.fd;
        const waiting = trimOutput(record, extents, output);
        matches.push({connection, record, waiting, outTail: output.at(-1) ?? -1});
        report.recovered++;
        continue;
      }
      report.refused.push(describe(record, 'the file that it was being sent is not there'));
    } else if (typeof holdings === 'string') {
      report.refused.push(describe(record, holdings));
    }
    if (connection) native().close(connection.fd);
    report.dropped.push(record);
  }
  for (const connection of inheritance.accepted(listeners)) {
    if (connection.books.dead) {
      native().close(connection.fd);
      continue;
    }
    matches.push({connection, record: undefined, waiting: 0, outTail: -1});
    report.adopted++;
  }
  extents.free(used);
  return {report, matches, listeners};
}

/** Of a connection that was reset what was read before still counts. */
const mayGoOn = (record: ChannelRecord, {books}: InheritedConnection): boolean =>
  !books.dead || record.consumed < books.read || books.unread > 0;

/** Descriptors may have other numbers here. False: one is missing. */
function takeFiles(
  record: ChannelRecord,
  extents: Extents,
  output: readonly number[],
  inheritance: Inheritance,
): boolean {
  const taken: number[] = [];
  for (const extent of output) {
    const base = extents.getLong(extent, Word.base);
    const isSent = extents.getLong(extent, Word.fileLength) === 0;
    if (isSent || base + extents.get(extent, Word.length) >= record.outEnd) {
      extents.set(extent, Word.fileFd, -1);
      continue;
    }
    const device = extents.getLong(extent, Word.fileDevice);
    const fd = inheritance.file(device, extents.getLong(extent, Word.fileInode));
    if (fd === undefined) {
      for (const each of taken) native().close(each);
      return false;
    }
    taken.push(fd);
    extents.set(extent, Word.fileFd, fd);
  }
  return true;
}

const describe = (record: ChannelRecord, why: string): string =>
  `connection ${record.$id} does not fit its record and is ended: ${why}`;
