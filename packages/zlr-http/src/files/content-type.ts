import {mimes} from 'mrmime';

const UNKNOWN = 'application/octet-stream';

/** Types the library leaves out (it keeps to the registered ones) that sites are full of. */
const MISSING = {
  flac: 'audio/flac',
  ico: 'image/x-icon',
  m3u8: 'application/vnd.apple.mpegurl',
  tar: 'application/x-tar',
} as const;

// A Map, not the library's object: `file.constructor` must find nothing.
const types = new Map<string, string>();
for (const [extension, type] of [...Object.entries(mimes), ...Object.entries(MISSING)]) {
  // Only text/* has a charset with a default to override (RFC 9110 8.3.2); JSON and SVG carry their own rule.
  types.set(extension, type.startsWith('text/') ? `${type}; charset=utf-8` : type);
}

/** The Content-Type for a file's path, by the extension of its last segment. */
export function contentTypeOf(path: string): string {
  const dot = path.lastIndexOf('.');
  // A dot in an earlier segment (`v1.2/LICENSE`) is no extension of the file.
  if (dot < 0 || path.indexOf('/', dot) >= 0) return UNKNOWN;
  const extension = path.slice(dot + 1);
  return types.get(extension) ?? types.get(extension.toLowerCase()) ?? UNKNOWN;
}
