/**
 * The file a request target names, as a path relative to the served folder: without leading slash, '.', '..', empty
 * segments or NUL, so that the file system sees nothing left to resolve but links. A path that ends in a slash names
 * the folder's index. Or the status to refuse with: 400 for what is no path, 404 for what no path here can be.
 *
 * Takes the origin-form and the absolute-form (RFC 9112 3.2), one character an octet as the parser gives it.
 */
export function staticPath(target: string): string | 400 | 404 {
  const encoded = pathOf(target);
  // The common target is its own answer.
  const path = PLAIN.test(encoded) ? encoded : normalise(encoded);
  if (typeof path === 'number') return path;
  return path.endsWith('/') ? `${path.slice(1)}index.html` : path.slice(1);
}

/** The query of a target with its question mark, or ''. */
export function queryOf(target: string): string {
  const mark = target.indexOf('?');
  return mark < 0 ? '' : target.slice(mark);
}

// Segments of unreserved characters that neither are empty nor begin with a dot.
const PLAIN = /^(?:\/[\w~-][\w.~-]*)+\/?$|^\/$/;

function pathOf(target: string): string {
  const mark = target.indexOf('?');
  const end = mark < 0 ? target.length : mark;
  if (target.startsWith('/')) return target.slice(0, end);
  // Absolute-form: behind the authority. Without a path it means the root (RFC 9110 4.2.3).
  const slash = target.indexOf('/', target.indexOf('://') + 3);
  return slash < 0 || slash >= end ? '/' : target.slice(slash, end);
}

/** The decoded path with its dot segments resolved (RFC 3986 5.2.4), from slash to slash or name. */
function normalise(encoded: string): string | 400 | 404 {
  // An encoded slash is part of a name (RFC 3986 2.2), and no file's name has one.
  if (/%2f/i.test(encoded)) return 404;
  let decoded: string;
  try {
    // Clients that send UTF-8 as it is mean the same as those that encode it.
    decoded = decodeURIComponent(
      encoded.replace(/[\x80-\xff]/g, octet => `%${octet.charCodeAt(0).toString(16)}`),
    );
  } catch {
    return 400;
  }
  if (decoded.includes('\0')) return 400;

  const segments: string[] = [];
  let folder = false;
  for (const segment of decoded.split('/')) {
    folder = segment === '' || segment === '.' || segment === '..';
    // Above the root there is nothing: browsers never send such a path.
    if (segment === '..' && segments.pop() === undefined) return 400;
    if (!folder) segments.push(segment);
  }
  if (segments.some(isHidden)) return 404;
  return `/${segments.join('/')}${folder && segments.length > 0 ? '/' : ''}`;
}

/** Names with a dot in front are not for the public, but for the one RFC 8615 makes so, at the root. */
function isHidden(segment: string, index: number): boolean {
  return segment.startsWith('.') && !(index === 0 && segment === '.well-known');
}
