const MEMORY = 1024;
const texts = new Map<number, string>();

/**
 * IMF-fixdate (RFC 9110 5.6.7) of a second since 1970. A server writes few different ones again and again, the
 * present second and its files' times, so they are remembered: Date's own way takes ten times as long.
 */
export function formatHttpDate(seconds: number): string {
  let text = texts.get(seconds);
  if (text === undefined) {
    if (texts.size === MEMORY) texts.clear();
    text = new Date(seconds * 1000).toUTCString();
    texts.set(seconds, text);
  }
  return text;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const MONTH = `(?<month>${MONTHS.join('|')})`;
const TIME = '(?<hour>\\d\\d):(?<minute>\\d\\d):(?<second>\\d\\d)';
// All three must be understood: IMF-fixdate, the form of RFC 850, that of C's asctime.
const FORMS = [
  new RegExp(`^[A-Z][a-z]{2}, (?<day>\\d\\d) ${MONTH} (?<year>\\d{4}) ${TIME} GMT$`),
  new RegExp(`^[A-Z][a-z]{5,8}, (?<day>\\d\\d)-${MONTH}-(?<year>\\d\\d) ${TIME} GMT$`),
  new RegExp(`^[A-Z][a-z]{2} ${MONTH} (?<day>[ \\d]\\d) ${TIME} (?<year>\\d{4})$`),
];

/** The second an HTTP-date names, or undefined for what is none. The present decides over a year of two digits. */
export function parseHttpDate(text: string, nowSeconds: number): number | undefined {
  for (const form of FORMS) {
    const groups = form.exec(text)?.groups;
    if (groups === undefined) continue;
    const [day, hour, minute, second] = [
      groups['day'],
      groups['hour'],
      groups['minute'],
      groups['second'],
    ].map(Number);
    const month = MONTHS.indexOf(groups['month']!);
    const year = fullYear(groups['year']!, nowSeconds);
    const date = new Date(Date.UTC(year, month, day, hour, minute, second));
    // Date.UTC carries what is out of range, 31 February or 24:00, into the next field.
    const carried =
      date.getUTCDate() !== day || date.getUTCHours() !== hour || date.getUTCMinutes() !== minute;
    return carried || second! > 59 ? undefined : date.getTime() / 1000;
  }
  return undefined;
}

function fullYear(year: string, nowSeconds: number): number {
  if (year.length === 4) return Number(year);
  const present = new Date(nowSeconds * 1000).getUTCFullYear();
  const candidate = present - (present % 100) + Number(year);
  // More than 50 years ahead means the century before (RFC 9110 5.6.7).
  return candidate > present + 50 ? candidate - 100 : candidate;
}
