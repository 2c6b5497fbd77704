import {COLON, CR, endOfRun, endOfValue, HTAB, LF, SEMICOLON, SP, TOKEN} from './octets.js';
import {CHUNKED_BODY, LENGTH_BODY, NO_BODY, type RequestHead} from './request-head.js';

/**
 * Where in a body the reader stands. The numbers are recorded by services and read by their next generation:
 * never renumber them.
 */
const ENDED = 0;
const LENGTH_DATA = 1;
/** The first digit of a chunk's size is due. */
const SIZE_START = 2;
const SIZE = 3;
/** Space after the size: only an extension may follow. */
const EXTENSION_SPACE = 4;
const EXTENSION = 5;
const SIZE_LF = 6;
const CHUNK_DATA = 7;
const DATA_CR = 8;
const DATA_LF = 9;
const TRAILER_START = 10;
const TRAILER_NAME = 11;
const TRAILER_VALUE = 12;
const TRAILER_LF = 13;
const END_LF = 14;

/** Octets of extensions, trailers and needless noughts in one body; without a bound one octet could cost any number. */
export const MAX_OVERHEAD = 16 * 1024;

/** All that was given is consumed; more is needed. */
export const BODY_MORE = 0;
/** [dataStart, dataEnd) is content; read on from dataEnd. */
export const BODY_DATA = 1;
/** The body ended at `next`. */
export const BODY_DONE = 2;
export type BodyStatus = typeof BODY_MORE | typeof BODY_DATA | typeof BODY_DONE | 400 | 413 | 431;

const FRAMING_PHASE = {[NO_BODY]: ENDED, [LENGTH_BODY]: LENGTH_DATA, [CHUNKED_BODY]: SIZE_START} as const;

/**
 * Tells the content of a body from its framing (RFC 9112 6 and 7.1), any number of octets at a time. Extensions and
 * trailers are checked and dropped, as 7.1.1 and 7.1.2 allow.
 *
 * `phase`, `remaining` and `overhead` are all its memory, three whole numbers: who stores and restores them
 * together with the position goes on at the octet where another reader stopped.
 */
export class BodyReader {
  phase: number = ENDED;
  /** Octets of content still due: of the body, or of the chunk. */
  remaining = 0;
  overhead = 0;

  dataStart = 0;
  dataEnd = 0;
  /** The first octet not consumed. */
  next = 0;

  begin(head: RequestHead): void {
    this.phase = FRAMING_PHASE[head.framing];
    this.remaining = head.contentLength;
    this.overhead = 0;
  }

  /** Reads on in [start, end), up to and with the next run of content. After an error the connection is of no use. */
  read(memory: Buffer, start: number, end: number): BodyStatus {
    this.next = start;
    while (true) {
      if (this.phase === ENDED) return BODY_DONE;
      if (this.next === end) return BODY_MORE;
      if (this.phase === LENGTH_DATA || this.phase === CHUNK_DATA) return this.#content(end);
      const error = this.#framing(memory, end);
      if (error !== 0) return error;
    }
  }

  #content(end: number): typeof BODY_DATA {
    this.dataStart = this.next;
    this.dataEnd = this.next + Math.min(end - this.next, this.remaining);
    this.remaining -= this.dataEnd - this.dataStart;
    this.next = this.dataEnd;
    if (this.remaining === 0) this.phase = this.phase === LENGTH_DATA ? ENDED : DATA_CR;
    return BODY_DATA;
  }

  /** Consumes one octet of the framing, or a run of them. */
  #framing(memory: Buffer, end: number): 0 | 400 | 413 | 431 {
    const octet = memory[this.next]!;
    switch (this.phase) {
      case SIZE_START:
        return digitOf(octet) < 0 ? 400 : this.#size(octet);
      case SIZE:
        return this.#size(octet);
      case EXTENSION_SPACE:
        // Space before an extension must be borne (7.1.1); at the end of a size readers differ over it.
        if (octet === SEMICOLON) return this.#take(1, EXTENSION, 413);
        return octet === SP || octet === HTAB ? this.#take(1, EXTENSION_SPACE, 413) : 400;
      case EXTENSION:
        if (octet === CR) return this.#expect(true, SIZE_LF);
        return this.#take(endOfValue(memory, this.next, end) - this.next, EXTENSION, 413);
      case SIZE_LF:
        return this.#expect(octet === LF, this.remaining === 0 ? TRAILER_START : CHUNK_DATA);
      case DATA_CR:
        return this.#expect(octet === CR, DATA_LF);
      case DATA_LF:
        return this.#expect(octet === LF, SIZE_START);
      case TRAILER_START:
        if (octet === CR) return this.#expect(true, END_LF);
        return this.#take(endOfRun(memory, this.next, end, TOKEN) - this.next, TRAILER_NAME, 431);
      case TRAILER_NAME:
        if (octet === COLON) return this.#take(1, TRAILER_VALUE, 431);
        return this.#take(endOfRun(memory, this.next, end, TOKEN) - this.next, TRAILER_NAME, 431);
      case TRAILER_VALUE:
        if (octet === CR) return this.#expect(true, TRAILER_LF);
        return this.#take(endOfValue(memory, this.next, end) - this.next, TRAILER_VALUE, 431);
      case TRAILER_LF:
        return this.#expect(octet === LF, TRAILER_START);
      case END_LF:
        return this.#expect(octet === LF, ENDED);
      default:
        throw new Error(`a body has no phase ${this.phase}`);
    }
  }

  #size(octet: number): 0 | 400 | 413 {
    const digit = digitOf(octet);
    if (digit < 0) {
      if (octet === CR) return this.#expect(true, SIZE_LF);
      if (octet === SEMICOLON) return this.#take(1, EXTENSION, 413);
      return octet === SP || octet === HTAB ? this.#take(1, EXTENSION_SPACE, 413) : 400;
    }
    if (this.remaining > MAX_BEFORE_DIGIT) return 413;
    const leadingNought = this.phase === SIZE && this.remaining === 0;
    this.remaining = this.remaining * 16 + digit;
    return leadingNought ? this.#take(1, SIZE, 413) : this.#expect(true, SIZE);
  }

  #expect(fits: boolean, phase: number): 0 | 400 {
    if (!fits) return 400;
    this.next++;
    this.phase = phase;
    return 0;
  }

  /** Consumes octets that count as overhead; none is an octet that does not belong there. */
  #take<Status extends number>(length: number, phase: number, tooMuch: Status): 0 | 400 | Status {
    if (length === 0) return 400;
    this.overhead += length;
    if (this.overhead > MAX_OVERHEAD) return tooMuch;
    this.next += length;
    this.phase = phase;
    return 0;
  }
}

/** One more digit than this would leave the whole numbers that JavaScript holds exactly. */
const MAX_BEFORE_DIGIT = Math.floor(Number.MAX_SAFE_INTEGER / 16);

function digitOf(octet: number): number {
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30;
  const lower = octet | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}
