import {formatHttpDate} from './http-date.js';
import {writeLatin1} from './latin1.js';
import type {RequestHead} from './request-head.js';

const REASONS = {
  200: 'OK',
  206: 'Partial Content',
  301: 'Moved Permanently',
  304: 'Not Modified',
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  414: 'URI Too Long',
  416: 'Range Not Satisfiable',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  503: 'Service Unavailable',
  505: 'HTTP Version Not Supported',
} as const;
export type Status = keyof typeof REASONS;

/** After these the connection is closed: the request's end is unknown, or the server is not well. */
const CLOSING: ReadonlySet<Status> = new Set([400, 408, 413, 414, 431, 500, 501, 503, 505]);

/**
 * Room that every answer's head and page fit in. The one long field is Location: of a target of at most 16 KiB
 * (MAX_HEAD) the path, shorter than PATH_MAX because it exists, may grow threefold: 16,384 + 2 * 4,095, and 1 KiB.
 */
export const MAX_RESPONSE = 16_384 + 2 * 4095 + 1024;

/**
 * An answer, decided on but not written. One object serves every request of a server. An empty text or -1 means that
 * the field is not sent. All texts are Latin-1 without controls: nothing from a request comes here unencoded.
 */
export class ResponsePlan {
  status: Status = 200;
  httpMinor = 1;
  keepAlive = true;
  contentType = '';
  contentLength = -1;
  etag = '';
  /** Seconds since 1970. */
  lastModified = -1;
  acceptRanges = false;
  contentRange = '';
  allow = '';
  location = '';
  /** A short body, written together with the head. */
  page = '';
  /** The part of the file to send after the head. */
  bodyOffset = 0;
  bodyLength = 0;

  /** Forgets the answer before and takes over what this request says of the connection. */
  begin(head: RequestHead, status: Status): void {
    this.status = status;
    this.httpMinor = head.httpMinor;
    this.keepAlive = head.keepAlive && !CLOSING.has(status);
    this.contentType = '';
    this.contentLength = -1;
    this.etag = '';
    this.lastModified = -1;
    this.acceptRanges = false;
    this.contentRange = '';
    this.allow = '';
    this.location = '';
    this.page = '';
    this.bodyOffset = 0;
    this.bodyLength = 0;
  }
}

/** Plans a complete small answer that says its status in words. Also for a head that the parser refused. */
export function planPage(plan: ResponsePlan, head: RequestHead, status: Status): void {
  plan.begin(head, status);
  const page = `${status} ${REASONS[status]}\n`;
  plan.contentType = 'text/plain; charset=utf-8';
  plan.contentLength = page.length;
  // HEAD is told the length of what GET would bring (RFC 9110 9.3.2).
  if (head.method !== 'HEAD') plan.page = page;
}

/** Writes the head, and the page if there is one, and returns their length. MAX_RESPONSE is always room enough. */
export function writeResponse(memory: Buffer, at: number, plan: ResponsePlan, nowSeconds: number): number {
  let text = `HTTP/1.1 ${plan.status} ${REASONS[plan.status]}\r\nDate: ${formatHttpDate(nowSeconds)}\r\n`;
  if (plan.contentType !== '') text += `Content-Type: ${plan.contentType}\r\n`;
  if (plan.contentLength >= 0) text += `Content-Length: ${plan.contentLength}\r\n`;
  if (plan.etag !== '') text += `ETag: ${plan.etag}\r\n`;
  if (plan.lastModified >= 0) text += `Last-Modified: ${formatHttpDate(plan.lastModified)}\r\n`;
  if (plan.acceptRanges) text += 'Accept-Ranges: bytes\r\n';
  if (plan.contentRange !== '') text += `Content-Range: ${plan.contentRange}\r\n`;
  if (plan.allow !== '') text += `Allow: ${plan.allow}\r\n`;
  if (plan.location !== '') text += `Location: ${plan.location}\r\n`;
  text += connectionField(plan);
  text += plan.page;
  const written = writeLatin1(memory, at, text);
  if (written !== text.length)
    throw new RangeError(`no room for a response of ${text.length} octets at ${at}`);
  return written;
}

/** Said only where the version's default is the other (RFC 9112 9.3); with the line that ends the head. */
function connectionField(plan: ResponsePlan): string {
  if (plan.keepAlive) return plan.httpMinor === 0 ? 'Connection: keep-alive\r\n\r\n' : '\r\n';
  return plan.httpMinor === 0 ? '\r\n' : 'Connection: close\r\n\r\n';
}
