import type {RecordOf, TableMeta} from '@zlr/state-store';
import type {channelFields} from './channel-record.js';

/** The part of a channel's record that this package owns. */
export type ChannelRecord = RecordOf<typeof channelFields> & TableMeta;

/** Words of a channel's flow: struct zlr_flow, drawn in kernel-shim/native/reactor/pool.h. */
export const FLOW_WORDS = 8;
const Flow = {read: 0, written: 2, waiting: 4, wants: 7} as const;

/**
 * One connection in this generation. Its record is what outlives the process; everything here can be found again
 * from the record and the kernel's books.
 */
export class Channel<R extends ChannelRecord> {
  readonly index: number;
  readonly record: R;
  /** Names the connection for ever, also in the generations to come. */
  readonly id: number;
  /** It was there before this process. */
  recovered = false;
  /** The peer has sent all it will ever send. */
  peerEnded = false;
  /** Nothing can be sent any more; what is held is still served. */
  failed = false;
  /** No more output follows; what still comes in is thrown away until the peer ends. */
  lingering = false;
  /** User code is at work on its input and will say when it is done (`ChannelLoop.done`). */
  busy = false;
  /** It waits for its turn. */
  queued = false;
  closed = false;
  /** What the transaction that goes on asks of native code for it, and whether it has put output into the queue. */
  asked = 0;
  isTouched = false;
  /** The last extent of its output, while there is one. */
  outTail = -1;
  readonly #flows: Uint32Array;
  readonly #flow: number;

  constructor(record: R, flows: Uint32Array) {
    this.index = record.$index;
    this.id = record.$id;
    this.record = record;
    this.#flows = flows;
    this.#flow = this.index * FLOW_WORDS;
  }

  /** Where it stands, of one that was there before. */
  begin(books: {read: number; written: number}, output: {waiting: number; outTail: number}): void {
    this.#setLong(Flow.read, books.read);
    this.#setLong(Flow.written, books.written);
    this.waiting = output.waiting;
    this.outTail = output.outTail;
  }

  /** Bytes that were ever read from it. */
  get read(): number {
    return this.#long(Flow.read);
  }

  /** Bytes that were ever written to it. */
  get written(): number {
    return this.#long(Flow.written);
  }

  /** Bytes that are held and not consumed. */
  get held(): number {
    return this.read - this.record.consumed;
  }

  /** Output waits to be sent. */
  get sending(): boolean {
    return this.record.outHead !== 0;
  }

  /** Bytes of memory that its output occupies. */
  get waiting(): number {
    return this.#flows[this.#flow + Flow.waiting]!;
  }

  set waiting(bytes: number) {
    this.#flows[this.#flow + Flow.waiting] = bytes;
  }

  /** To be told when there is room for more output. */
  set wantsRoom(wants: boolean) {
    this.#flows[this.#flow + Flow.wants] = wants ? 1 : 0;
  }

  #long(word: number): number {
    return this.#flows[this.#flow + word]! + this.#flows[this.#flow + word + 1]! * 2 ** 32;
  }

  #setLong(word: number, value: number): void {
    this.#flows[this.#flow + word] = value;
    this.#flows[this.#flow + word + 1] = value / 2 ** 32;
  }
}
