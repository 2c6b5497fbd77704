import type {RecordOf, TableMeta} from '@zlr/state-store';
import type {channelFields} from './channel-record.js';

/** The part of a channel's record that this package owns. */
export type ChannelRecord = RecordOf<typeof channelFields> & TableMeta;

/** What is sent in answer to held input. */
export interface Answer {
  /** A slot taken with `takeSlot`, filled from its start; the loop gives it back when all is sent. -1: none. */
  slot: number;
  /** Bytes in the slot. */
  length: number;
  /** A file opened with `openBeneath`, whose bytes follow; the loop closes it. -1: none. */
  fileFd: number;
  fileOffset: number;
  fileLength: number;
  /** End the connection when all is sent. */
  close: boolean;
}

/**
 * One connection in this generation. Its record is what outlives the process; everything here can be found again
 * from the record and the kernel's books.
 */
export class Channel<R extends ChannelRecord> {
  readonly index: number;
  readonly record: R;
  /** Held and not consumed are the bytes [start, end) of the pool; valid until the next event of this channel. */
  start = 0;
  end = 0;
  /** The peer has sent all it will ever send. */
  peerEnded = false;
  /** An answer is on its way: the next one must wait for it. */
  sending = false;
  /** No more output follows; what still comes in is thrown away until the peer ends. */
  lingering = false;
  outSlot = -1;
  fileFd = -1;
  closed = false;

  constructor(record: R) {
    this.index = record.$index;
    this.record = record;
  }

  /** Bytes that are held and not consumed. */
  get held(): number {
    return this.end - this.start;
  }
}
