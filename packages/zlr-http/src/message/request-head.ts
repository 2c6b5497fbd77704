import {readLatin1} from './latin1.js';
import {spells} from './octets.js';

/** More fields than this in one head are refused (431). Browsers send about 20. */
export const MAX_FIELDS = 100;

/** How the end of the body is found, RFC 9112 6.3. */
export const NO_BODY = 0;
export const LENGTH_BODY = 1;
export const CHUNKED_BODY = 2;
export type Framing = typeof NO_BODY | typeof LENGTH_BODY | typeof CHUNKED_BODY;

/**
 * What a parse found. One object serves every request of a server: a parse overwrites it, and texts are cut out
 * of the memory only when asked for, so ask before the octets are given back. Positions are offsets in the memory.
 */
export class RequestHead {
  memory: Buffer = Buffer.alloc(0);
  /** '' until the method was read, so that after an error too a HEAD can be told from a GET. */
  method = '';
  targetStart = 0;
  targetEnd = 0;
  /** Of the Host field or, in absolute-form, of the target (RFC 9112 3.2.2). */
  hostStart = 0;
  hostEnd = 0;
  /** 0 or 1. A higher minor version counts as 1 (RFC 9110 2.5). */
  httpMinor = 1;
  keepAlive = false;
  framing: Framing = NO_BODY;
  /** Only for LENGTH_BODY; above 0 there, for an empty body is NO_BODY. */
  contentLength = 0;
  /** The client waits for a 100 (Continue) before it sends the body (RFC 9110 10.1.1). */
  expectContinue = false;
  /** From the start given to the parser to the body, empty lines before the request line included. */
  headLength = 0;
  fieldCount = 0;
  /** The parser's own: which of the fields it rests on were there. */
  seen = 0;
  /** Per field: name start, name end, value start, value end. */
  readonly spans = new Uint32Array(MAX_FIELDS * 4);

  reset(memory: Buffer): void {
    this.memory = memory;
    this.method = '';
    this.targetStart = 0;
    this.targetEnd = 0;
    this.hostStart = 0;
    this.hostEnd = 0;
    this.httpMinor = 1;
    this.keepAlive = false;
    this.framing = NO_BODY;
    this.contentLength = 0;
    this.expectContinue = false;
    this.headLength = 0;
    this.fieldCount = 0;
    this.seen = 0;
  }

  /** As sent, one character an octet. */
  get target(): string {
    return readLatin1(this.memory, this.targetStart, this.targetEnd);
  }

  /** '' if an HTTP/1.0 client named none. */
  get host(): string {
    return readLatin1(this.memory, this.hostStart, this.hostEnd);
  }

  fieldName(index: number): string {
    return readLatin1(this.memory, this.spans[index * 4]!, this.spans[index * 4 + 1]!);
  }

  fieldValue(index: number): string {
    return readLatin1(this.memory, this.spans[index * 4 + 2]!, this.spans[index * 4 + 3]!);
  }

  /** The value of a field by its name in lower case; of several lines the list they stand for (RFC 9110 5.2). */
  header(lowerCaseName: string): string | undefined {
    const {memory, spans, fieldCount} = this;
    const {length} = lowerCaseName;
    let value: string | undefined;
    for (let index = 0; index < fieldCount; index++) {
      const start = spans[index * 4]!;
      // Most names are ruled out by their length, without a call.
      if (spans[index * 4 + 1]! - start !== length) continue;
      if (!spells(memory, start, start + length, lowerCaseName)) continue;
      const line = this.fieldValue(index);
      // Cookie is the one list that is not joined by commas (RFC 6265 5.4, RFC 9113 8.2.3).
      value = value === undefined ? line : value + (lowerCaseName === 'cookie' ? '; ' : ', ') + line;
    }
    return value;
  }
}
