import {readLatin1} from './latin1.js';
import {COLON, CR, endOfRun, endOfTarget, endOfValue, HTAB, LF, SP, TOKEN} from './octets.js';
import {checkHead, readField, readTargetForm} from './request-fields.js';
import {MAX_FIELDS, type RequestHead} from './request-head.js';

/**
 * The longest head, empty lines before it included. A head is parsed in place in a hold slot of twice this size,
 * so one that can no longer fit is refused while there is still room to say so.
 */
export const MAX_HEAD = 16 * 1024;
/** Longer than any registered method (UPDATEREDIRECTREF, 17). */
const MAX_METHOD = 32;

export const INCOMPLETE = 0;
export const COMPLETE = 1;
export type ParseError = 400 | 413 | 414 | 431 | 501 | 505;
/** An error is the status to answer with; the connection must be closed after it, for its framing is lost. */
export type ParseStatus = typeof INCOMPLETE | typeof COMPLETE | ParseError;

/**
 * Parses the request head at [start, end), RFC 9112, strictly: what two parsers could read differently is refused.
 *
 * It keeps no state between calls; an incomplete head is parsed again from its start. Octets are judged in their
 * order and the first fault decides, so the answer does not depend on how the head was cut into packets: a longer
 * prefix never changes an error or a completion.
 */
export function parseRequest(memory: Buffer, start: number, end: number, head: RequestHead): ParseStatus {
  head.reset(memory);
  const limit = Math.min(end, start + MAX_HEAD);
  const full = limit - start === MAX_HEAD;
  const ranOut = full ? 431 : INCOMPLETE;
  const lineRanOut = full ? 414 : INCOMPLETE;
  let at = start;

  // Empty lines before a request are skipped (2.2).
  while (at < limit && memory[at] === CR) {
    if (at + 1 === limit) return ranOut;
    if (memory[at + 1] !== LF) return 400;
    at += 2;
  }

  const methodStart = at;
  at = endOfRun(memory, at, limit, TOKEN);
  if (at - methodStart > MAX_METHOD) return 501;
  if (at === limit) return ranOut;
  if (memory[at] !== SP || at === methodStart) return 400;
  head.method = methodOf(memory, methodStart, at);

  const targetStart = ++at;
  at = endOfTarget(memory, at, limit);
  if (at === limit) return lineRanOut;
  if (memory[at] !== SP || at === targetStart) return 400;
  head.targetStart = targetStart;
  head.targetEnd = at++;

  for (let i = 0; i < VERSION_LENGTH; i++) {
    if (at + i === limit) return lineRanOut;
    if (!fitsVersion(memory[at + i]!, i)) return 400;
  }
  if (memory[at + MAJOR] !== 0x31) return 505;
  head.httpMinor = memory[at + MINOR] === 0x30 ? 0 : 1;
  at += VERSION_LENGTH;
  const form = readTargetForm(head);
  if (form !== 0) return form;

  const {spans} = head;
  while (true) {
    if (at === limit) return ranOut;
    if (memory[at] === CR) {
      if (at + 1 === limit) return ranOut;
      if (memory[at + 1] !== LF) return 400;
      head.headLength = at + 2 - start;
      return checkHead(head);
    }

    const nameStart = at;
    at = endOfRun(memory, at, limit, TOKEN);
    if (at === limit) return ranOut;
    // Refuses space before the colon (5.1), a folded line (5.2) and space before the first field (2.2) alike.
    if (memory[at] !== COLON || at === nameStart) return 400;
    const nameEnd = at++;

    while (at < limit && (memory[at] === SP || memory[at] === HTAB)) at++;
    const valueStart = at;
    at = endOfValue(memory, at, limit);
    if (at === limit) return ranOut;
    if (memory[at] !== CR) return 400;
    if (at + 1 === limit) return ranOut;
    if (memory[at + 1] !== LF) return 400;
    let valueEnd = at;
    while (valueEnd > valueStart && (memory[valueEnd - 1] === SP || memory[valueEnd - 1] === HTAB))
      valueEnd--;
    at += 2;

    if (head.fieldCount === MAX_FIELDS) return 431;
    const span = head.fieldCount++ * 4;
    spans[span] = nameStart;
    spans[span + 1] = nameEnd;
    spans[span + 2] = valueStart;
    spans[span + 3] = valueEnd;
    const field = readField(head, nameStart, nameEnd, valueStart, valueEnd);
    if (field !== 0) return field;
  }
}

// `HTTP/1.1` CR LF
const VERSION = Buffer.from('HTTP/d.d\r\n', 'latin1');
const VERSION_LENGTH = VERSION.length;
const MAJOR = 5;
const MINOR = 7;

function fitsVersion(octet: number, index: number): boolean {
  if (index === MAJOR || index === MINOR) return octet >= 0x30 && octet <= 0x39;
  return octet === VERSION[index];
}

/** The common methods without making a string. */
function methodOf(memory: Buffer, start: number, end: number): string {
  const length = end - start;
  if (length === 3) {
    const word = (memory[start]! << 16) | (memory[start + 1]! << 8) | memory[start + 2]!;
    if (word === 0x474554) return 'GET';
    if (word === 0x505554) return 'PUT';
  } else if (length === 4) {
    const word =
      (memory[start]! << 24) | (memory[start + 1]! << 16) | (memory[start + 2]! << 8) | memory[start + 3]!;
    if (word === 0x48454144) return 'HEAD';
    if (word === 0x504f5354) return 'POST';
  }
  return readLatin1(memory, start, end);
}
