import {readLatin1} from './latin1.js';
import {ADDRESS, COLON, endOfRun, HOST, SLASH, spells} from './octets.js';
import {CHUNKED_BODY, LENGTH_BODY, NO_BODY, type RequestHead} from './request-head.js';

// What the fields that decide over the connection and the body's framing mean. Each function returns 0 for "go on"
// or the status to refuse with.

type Verdict<Status extends number> = 0 | Status;

// Bits of RequestHead.seen.
const SEEN_HOST = 1;
const SEEN_CLOSE = 2;
const SEEN_KEEP_ALIVE = 4;
const SEEN_CONTENT_LENGTH = 8;
const SEEN_TRANSFER_ENCODING = 16;

const ABSOLUTE = /^https?:\/\/([^/?]*)/i;

/** Checks the target's form (RFC 9112 3.2) and takes the host from an absolute one. */
export function readTargetForm(head: RequestHead): Verdict<400 | 501> {
  const {memory, targetStart, targetEnd} = head;
  // A tunnel is a proxy's business; refused here, its target in authority-form is never met below.
  if (head.method === 'CONNECT') return 501;
  if (memory[targetStart] === SLASH) return 0;
  if (memory[targetStart] === 0x2a && targetEnd - targetStart === 1)
    return head.method === 'OPTIONS' ? 0 : 400;
  const absolute = ABSOLUTE.exec(head.target);
  if (absolute === null) return 400;
  const authority = absolute[1]!;
  head.hostStart = targetStart + absolute[0].length - authority.length;
  head.hostEnd = head.hostStart + authority.length;
  // An http URI without a host is invalid (RFC 9110 4.2.1), userinfo a trap (4.2.4); HOST has no '@'.
  return authority !== '' && !authority.startsWith(':') && isHost(memory, head.hostStart, head.hostEnd)
    ? 0
    : 400;
}

/** Notes a field that the framing or the connection rests on. */
export function readField(
  head: RequestHead,
  nameStart: number,
  nameEnd: number,
  start: number,
  end: number,
): Verdict<400 | 413 | 501> {
  const {memory} = head;
  switch (nameEnd - nameStart) {
    case 4:
      return spells(memory, nameStart, nameEnd, 'host') ? readHost(head, start, end) : 0;
    case 6:
      // In HTTP/1.0 it must be ignored; other expectations may be (RFC 9110 10.1.1).
      if (head.httpMinor === 1 && spells(memory, nameStart, nameEnd, 'expect')) {
        head.expectContinue ||= spells(memory, start, end, '100-continue');
      }
      return 0;
    case 10:
      if (spells(memory, nameStart, nameEnd, 'connection')) readConnection(head, start, end);
      return 0;
    case 14:
      return spells(memory, nameStart, nameEnd, 'content-length') ? readContentLength(head, start, end) : 0;
    case 17:
      return spells(memory, nameStart, nameEnd, 'transfer-encoding')
        ? readTransferEncoding(head, start, end)
        : 0;
    default:
      return 0;
  }
}

/** What can be judged only when every field was read. */
export function checkHead(head: RequestHead): 1 | 400 {
  if (head.httpMinor === 1 && (head.seen & SEEN_HOST) === 0) return 400;
  // RFC 9112 9.3.
  head.keepAlive =
    (head.seen & SEEN_CLOSE) === 0 && (head.httpMinor === 1 || (head.seen & SEEN_KEEP_ALIVE) !== 0);
  if (head.framing === NO_BODY) head.expectContinue = false;
  return 1;
}

function readHost(head: RequestHead, start: number, end: number): Verdict<400> {
  // RFC 9112 3.2: more than one, or an invalid one.
  if ((head.seen & SEEN_HOST) !== 0 || !isHost(head.memory, start, end)) return 400;
  head.seen |= SEEN_HOST;
  if (head.hostStart === 0) {
    head.hostStart = start;
    head.hostEnd = end;
  }
  return 0;
}

/** uri-host [":" port], RFC 9110 7.2; the host may be empty. */
function isHost(memory: Buffer, start: number, end: number): boolean {
  let at = endOfRun(memory, start, end, HOST);
  if (at === start && at < end && memory[at] === 0x5b) {
    at = endOfRun(memory, start + 1, end, ADDRESS);
    if (at === end || memory[at] !== 0x5d) return false;
    at++;
  }
  if (at === end) return true;
  if (memory[at] !== COLON) return false;
  for (at++; at < end; at++) if (!isDigit(memory[at]!)) return false;
  return true;
}

function readConnection(head: RequestHead, start: number, end: number): void {
  const {memory} = head;
  if (spells(memory, start, end, 'keep-alive')) head.seen |= SEEN_KEEP_ALIVE;
  else if (spells(memory, start, end, 'close')) head.seen |= SEEN_CLOSE;
  else {
    for (const option of readLatin1(memory, start, end).toLowerCase().split(',')) {
      const name = option.trim();
      if (name === 'keep-alive') head.seen |= SEEN_KEEP_ALIVE;
      if (name === 'close') head.seen |= SEEN_CLOSE;
    }
  }
}

/**
 * Only one line with one number. Equal numbers repeated might be merged (RFC 9112 6.3), but no honest client sends
 * them, and a length beside a transfer coding is how requests are smuggled (6.1).
 */
function readContentLength(head: RequestHead, start: number, end: number): Verdict<400 | 413> {
  if ((head.seen & (SEEN_CONTENT_LENGTH | SEEN_TRANSFER_ENCODING)) !== 0 || start === end) return 400;
  head.seen |= SEEN_CONTENT_LENGTH;
  let length = 0;
  for (let at = start; at < end; at++) {
    const octet = head.memory[at]!;
    if (!isDigit(octet)) return 400;
    length = length * 10 + (octet - 0x30);
  }
  // Above this a number in JavaScript is no longer exact; a float never overflows back below it.
  if (length > Number.MAX_SAFE_INTEGER) return 413;
  if (length > 0) head.framing = LENGTH_BODY;
  head.contentLength = length;
  return 0;
}

/** RFC 9112 6.1 and 6.3: chunked must be last, no other coding is understood here, and HTTP/1.0 has none. */
function readTransferEncoding(head: RequestHead, start: number, end: number): Verdict<400 | 501> {
  if ((head.seen & (SEEN_CONTENT_LENGTH | SEEN_TRANSFER_ENCODING)) !== 0 || head.httpMinor === 0) return 400;
  head.seen |= SEEN_TRANSFER_ENCODING;
  head.framing = CHUNKED_BODY;
  if (spells(head.memory, start, end, 'chunked')) return 0;
  const codings = readLatin1(head.memory, start, end)
    .toLowerCase()
    .split(',')
    .map(coding => coding.trim());
  // Chunked twice or not last leaves the end of the body open: 400. Otherwise a coding in front of it: 501.
  return codings.indexOf('chunked') === codings.length - 1 ? 501 : 400;
}

function isDigit(octet: number): boolean {
  return octet >= 0x30 && octet <= 0x39;
}
