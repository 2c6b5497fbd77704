const SINGLE = /^bytes=(?:(\d+)-(\d*)|-(\d+))$/i;

/**
 * The part of `size` octets that a Range field asks for, as offset and length; undefined if the field is to be
 * ignored, 416 if it asks for nothing that is there (RFC 9110 14.1.2). Several ranges are ignored, as 14.2 allows:
 * the parts of a multipart answer help few clients and cost every server.
 */
export function byteRange(
  value: string,
  size: number,
): readonly [offset: number, length: number] | 416 | undefined {
  const match = SINGLE.exec(value);
  // Of an empty file no range can be told, not even the whole; a client that resumes one has all of it.
  if (match === null || size === 0) return undefined;
  const [, first, last, suffix] = match;
  if (suffix !== undefined) {
    const length = Math.min(Number(suffix), size);
    return length === 0 ? 416 : [size - length, length];
  }
  const offset = Number(first);
  const end = last === '' ? size - 1 : Number(last);
  if (last !== '' && end < offset) return undefined;
  return offset >= size ? 416 : [offset, Math.min(end, size - 1) - offset + 1];
}
