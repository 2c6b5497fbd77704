/* How quantities are said to a person. */

export const count = (number: number, what: string): string =>
  `${number.toLocaleString('en')} ${what}${number === 1 ? '' : 's'}`;

export const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;

const UNITS = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
  [1, 's'],
] as const;

/** In its two largest units: 2 h 5 min. */
export function duration(ms: number): string {
  let seconds = Math.max(0, Math.floor(ms / 1000));
  const parts: string[] = [];
  for (const [unit, name] of UNITS) {
    const amount = Math.floor(seconds / unit);
    if (amount === 0 && (parts.length > 0 || unit > 1)) {
      if (parts.length > 0) break;
      continue;
    }
    parts.push(`${amount} ${name}`);
    seconds %= unit;
    if (parts.length === 2) break;
  }
  return parts.join(' ');
}

/** Since a time, ISO 8601. */
export const since = (at: string, now = Date.now()): string => duration(now - Date.parse(at));
