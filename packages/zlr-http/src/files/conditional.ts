import {parseHttpDate} from '../message/http-date.js';
import type {RequestHead} from '../message/request-head.js';

/**
 * What the preconditions of a GET or HEAD say, in the order of RFC 9110 13.2.2: 200 to go on, 304 if the client has
 * the representation, 412 if it wants only another one. A date that is none is ignored, as each field's rule says.
 */
export function checkPreconditions(
  head: RequestHead,
  etag: string,
  lastModified: number,
  nowSeconds: number,
): 200 | 304 | 412 {
  const match = head.header('if-match');
  if (match !== undefined) {
    if (!lists(match, etag, false)) return 412;
  } else {
    const unmodifiedSince = dateOf(head, 'if-unmodified-since', nowSeconds);
    if (unmodifiedSince !== undefined && lastModified > unmodifiedSince) return 412;
  }
  const noneMatch = head.header('if-none-match');
  if (noneMatch !== undefined) return lists(noneMatch, etag, true) ? 304 : 200;
  const modifiedSince = dateOf(head, 'if-modified-since', nowSeconds);
  return modifiedSince !== undefined && lastModified <= modifiedSince ? 304 : 200;
}

/**
 * Whether a Range may be heeded: without If-Range always, else only if its validator is the current one, and a
 * strong one (13.1.5). A date counts as strong as long as the tag made beside it is.
 */
export function isRangeCurrent(
  head: RequestHead,
  etag: string,
  lastModified: number,
  nowSeconds: number,
): boolean {
  const validator = head.header('if-range');
  if (validator === undefined) return true;
  if (etag.startsWith('W/')) return false;
  return validator === etag || parseHttpDate(validator, nowSeconds) === lastModified;
}

function dateOf(head: RequestHead, name: string, nowSeconds: number): number | undefined {
  const value = head.header(name);
  return value === undefined ? undefined : parseHttpDate(value, nowSeconds);
}

const TAG = /(?:W\/)?"[!#-~\x80-\xff]*"/g;

/** Whether `*` or a list of entity tags includes this one, by the weak or the strong comparison (8.8.3.2). */
function lists(value: string, etag: string, weak: boolean): boolean {
  if (value === '*') return true;
  const wanted = weak ? opaque(etag) : etag;
  if (!weak && etag.startsWith('W/')) return false;
  for (const [tag] of value.matchAll(TAG)) if ((weak ? opaque(tag) : tag) === wanted) return true;
  return false;
}

function opaque(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag;
}
