/**
 * Which octets may stand where in a message: a table of bit sets for the irregular sets; for the others comparisons,
 * which are faster on long runs.
 */

/** tchar, RFC 9110 5.6.2: methods and field names. */
export const TOKEN = 1;
/** Octets of a reg-name, RFC 3986 3.2.2: what may stand in a host outside brackets, its port aside. */
export const HOST = 2;
/** Octets of an address in brackets, IPv6 or later. */
export const ADDRESS = 4;

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const SLASH = 0x2f;
const HASH = 0x23;
const DEL = 0x7f;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;

const OCTETS: Uint8Array = buildTable();

function buildTable(): Uint8Array {
  const table = new Uint8Array(256);
  const mark = (octets: string, bit: number) => {
    for (const octet of Buffer.from(octets, 'latin1')) table[octet]! |= bit;
  };
  const alphanumeric = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  mark(`${alphanumeric}!#$%&'*+-.^_\`|~`, TOKEN);
  mark(`${alphanumeric}-._~%!$&'()*+,;=`, HOST);
  mark(`${alphanumeric}-._~!$&'()*+,;=:`, ADDRESS);
  return table;
}

/** Where a run of the set's octets that starts at `at` ends. */
export function endOfRun(memory: Buffer, at: number, limit: number, set: number): number {
  while (at < limit && (OCTETS[memory[at]!]! & set) !== 0) at++;
  return at;
}

/** The end of a field value, RFC 9110 5.5: VCHAR, obs-text, SP and HTAB; neither CR, LF, NUL nor any other control. */
export function endOfValue(memory: Buffer, at: number, limit: number): number {
  for (; at < limit; at++) {
    const octet = memory[at]!;
    if ((octet < SP && octet !== HTAB) || octet === DEL) break;
  }
  return at;
}

/**
 * The end of a request target. Wider than the grammar of RFC 3986 by what clients really send (raw UTF-8, `|`, `^`,
 * `{`, quotes): harmless, because neither the line's framing nor a path's rests on them. A fragment is never sent.
 */
export function endOfTarget(memory: Buffer, at: number, limit: number): number {
  for (; at < limit; at++) {
    const octet = memory[at]!;
    if (octet <= SP || octet === DEL || octet === HASH) break;
  }
  return at;
}

/** Whether [start, end) spells `lowerCase`, ASCII letters compared without case. */
export function spells(memory: Buffer, start: number, end: number, lowerCase: string): boolean {
  if (end - start !== lowerCase.length) return false;
  for (let i = 0; i < lowerCase.length; i++) {
    const octet = memory[start + i]!;
    const folded = octet >= 0x41 && octet <= 0x5a ? octet | 0x20 : octet;
    if (folded !== lowerCase.charCodeAt(i)) return false;
  }
  return true;
}
