import {constants as files} from 'node:fs';
import {constants as system} from 'node:os';
import type {RequestHead} from '../message/request-head.js';
import {planPage, type ResponsePlan, type Status} from '../message/response.js';
import {checkPreconditions, isRangeCurrent} from './conditional.js';
import {contentTypeOf} from './content-type.js';
import {byteRange} from './range.js';
import {queryOf, staticPath} from './static-path.js';
import {etagOf, type FileStat, lastModifiedOf} from './validators.js';

const {S_IFMT, S_IFREG, S_IFDIR} = files;

/**
 * The path, relative to the served folder, of the file to open for a request; undefined if the plan is already
 * the answer. With what opening the file brought, planStatic makes the plan.
 */
export function pathFor(plan: ResponsePlan, head: RequestHead): string | undefined {
  if (head.method !== 'GET' && head.method !== 'HEAD') {
    planPage(plan, head, 405);
    plan.allow = 'GET, HEAD';
    return undefined;
  }
  const path = staticPath(head.target);
  if (typeof path === 'string') return path;
  planPage(plan, head, path);
  return undefined;
}

/** Plans the answer to a GET or HEAD from the opened file's stat, or from the errno that opening it ended with. */
export function planStatic(
  plan: ResponsePlan,
  head: RequestHead,
  path: string,
  file: FileStat | number,
  nowSeconds: number,
): void {
  if (typeof file === 'number') {
    planPage(plan, head, statusOfErrno(file));
    return;
  }
  const type = file.mode & S_IFMT;
  if (type === S_IFREG) planFile(plan, head, path, file, nowSeconds);
  else if (type === S_IFDIR) planRedirect(plan, head, path);
  // A pipe or a device is no document, whoever put it there.
  else planPage(plan, head, 404);
}

function planFile(
  plan: ResponsePlan,
  head: RequestHead,
  path: string,
  file: FileStat,
  nowSeconds: number,
): void {
  const etag = etagOf(file, nowSeconds);
  const lastModified = lastModifiedOf(file, nowSeconds);
  const outcome = checkPreconditions(head, etag, lastModified, nowSeconds);
  if (outcome === 412) {
    planPage(plan, head, 412);
    return;
  }
  if (outcome === 304) {
    plan.begin(head, 304);
    plan.etag = etag;
    return;
  }

  const value = head.method === 'GET' ? head.header('range') : undefined;
  const heeded = value !== undefined && isRangeCurrent(head, etag, lastModified, nowSeconds);
  const range = heeded ? byteRange(value, file.size) : undefined;
  if (range === 416) {
    planPage(plan, head, 416);
    plan.contentRange = `bytes */${file.size}`;
    return;
  }
  plan.begin(head, range === undefined ? 200 : 206);
  plan.contentType = contentTypeOf(path);
  plan.etag = etag;
  plan.lastModified = lastModified;
  plan.acceptRanges = true;
  plan.contentLength = file.size;
  if (range !== undefined) {
    const [offset, length] = range;
    plan.bodyOffset = offset;
    plan.contentLength = length;
    plan.contentRange = `bytes ${offset}-${offset + length - 1}/${file.size}`;
  }
  if (head.method === 'GET') plan.bodyLength = plan.contentLength;
}

/** A folder is served by its index, whose relative links hold only below a slash. */
function planRedirect(plan: ResponsePlan, head: RequestHead, path: string): void {
  planPage(plan, head, 301);
  // Made of the resolved path, encoded anew: neither `//host` nor `/\host`, which browsers take for another site.
  plan.location = `/${path.split('/').map(encodeURIComponent).join('/')}/${queryOf(head.target)}`;
}

const {ENOENT, ENOTDIR, ENAMETOOLONG, ELOOP, EXDEV, ENXIO, EACCES, EAGAIN, EPERM, EMFILE, ENFILE, ENOMEM} =
  system.errno;

function statusOfErrno(errno: number): Status {
  switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
    // openat2 with RESOLVE_BENEATH: a link leads out of the folder.
    case EXDEV:
    // A socket.
    case ENXIO:
      return 404;
    case EACCES:
    case EPERM:
      return 403;
    // The folder is away, or something on the path is being renamed: worth another try.
    case EAGAIN:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return 503;
    default:
      return 500;
  }
}
