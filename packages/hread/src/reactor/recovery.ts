import {type Books, localAddress, readBooks} from '@zlr/kernel-shim';
import {native} from '@zlr/kernel-shim/internal';
import type {ChannelRecord} from '../channels/channel.js';
import type {ListeningSocket} from './listen.js';

/** What became of the former generation's channels. */
export interface RecoveryReport<R = ChannelRecord> {
  /** Connections that go on where they stood. */
  recovered: number;
  /** Connections without a record: accepted in the last instant, served as new ones. */
  adopted: number;
  /** Records without a connection: it ended with the fault, or its keeper died too. */
  dropped: R[];
  listeners: ListeningSocket[];
}

export interface Match<R> {
  fd: number;
  books: Books;
  record: R | undefined;
}

/**
 * Matches descriptors with records by SO_COOKIE, which is never used twice, and not by fd numbers, which are.
 * Sockets that are of no use any more are closed here.
 */
export function matchChannels<R extends ChannelRecord>(
  records: Iterable<R>,
  fds: readonly number[],
): {report: RecoveryReport<R>; matches: Match<R>[]; usedSlots: Set<number>; usedFiles: Set<number>} {
  const byCookie = new Map<bigint, R>();
  for (const record of records) byCookie.set(record.cookie, record);
  const report: RecoveryReport<R> = {recovered: 0, adopted: 0, dropped: [], listeners: []};
  const matches: Match<R>[] = [];
  const usedSlots = new Set<number>();
  const usedFiles = new Set<number>();

  for (const fd of fds) {
    const local = localAddress(fd);
    if (local?.listening) {
      report.listeners.push({fd, address: local.address, port: local.port});
      continue;
    }
    const books = readBooks(fd);
    if (!books || books.dead) {
      native().close(fd);
      continue;
    }
    const record = byCookie.get(books.cookie);
    matches.push({fd, books, record});
    if (!record) {
      report.adopted++;
      continue;
    }
    byCookie.delete(books.cookie);
    report.recovered++;
    if (record.holdSlot !== 0) usedSlots.add(record.holdSlot - 1);
    // A slot or file of an answer that is sent whole is free, though the record still names it.
    if (books.written < record.outBase + record.outLength + record.fileLength) {
      if (record.outSlot !== 0) usedSlots.add(record.outSlot - 1);
      if (record.fileFd >= 0) usedFiles.add(record.fileFd);
    }
  }
  report.dropped.push(...byCookie.values());
  return {report, matches, usedSlots, usedFiles};
}
