/** What fstat(2) says of an opened file, as far as an answer depends on it. */
export interface FileStat {
  /** st_mode, type bits included. */
  readonly mode: number;
  readonly size: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  /** Of the last change of anything about it, which nobody can set: what is put in its place with its size and time is another. */
  readonly ctimeSeconds: number;
  readonly ctimeNanoseconds: number;
  readonly ino: number;
}

/**
 * A file written again within one tick of the clock keeps its times (also the one that `cp -p` and tar set back), so while the last change is as young as this the
 * validators cannot promise that equal means equal octet by octet (RFC 9110 8.8.1), and must say so: who resumes a
 * download by a strong one would join two files.
 */
const SETTLED_SECONDS = 2;

/** Whether a file that is written from now on will have another time of change. */
export function isSettled(stat: FileStat, nowSeconds: number): boolean {
  return nowSeconds - stat.ctimeSeconds >= SETTLED_SECONDS;
}

/** The entity tag of a file: strong, or weak while the file is young. */
export function etagOf(stat: FileStat, nowSeconds: number): string {
  const {size, mtimeSeconds, mtimeNanoseconds, ctimeSeconds, ctimeNanoseconds, ino} = stat;
  const tag = `"${size}-${mtimeSeconds}.${mtimeNanoseconds}-${ctimeSeconds}.${ctimeNanoseconds}-${ino}"`;
  return isSettled(stat, nowSeconds) ? tag : `W/${tag}`;
}

/** Never later than the Date beside it (RFC 9110 8.8.2.1), nor earlier than an HTTP-date can say simply. */
export function lastModifiedOf(stat: FileStat, nowSeconds: number): number {
  return Math.max(0, Math.min(stat.mtimeSeconds, nowSeconds));
}
