const LATIN1 = 'abcdefghijklmnopqrstuvwxyz0123456789-äöüé';
const OTHERS = 'абвгдежзийклмнопрстуфхцчшщъыьэюя漢字仮名交文';

/** @param {() => number} random @param {number} units @param {boolean} wide with units beyond latin1 */
export function text(random, units, wide = false) {
  const alphabet = wide ? OTHERS : LATIN1;
  let result = '';
  for (let i = 0; i < units; i++) result += alphabet[Math.floor(random() * alphabet.length)];
  return result;
}

/**
 * Different keys of 12 to 24 units.
 * @param {() => number} random @param {number} count @param {boolean} wide
 */
export function keys(random, count, wide) {
  /** @type {Set<string>} */
  const all = new Set();
  while (all.size < count) all.add(text(random, 12 + Math.floor(random() * 13), wide));
  return [...all];
}

/**
 * Makes the same keys again and again as strings nobody has seen, as a server gets them out of its input.
 * @param {readonly string[]} of
 */
export function fresh(of) {
  const wide = of.some(key => /[^\0-\xff]/.test(key));
  const encoding = wide ? 'utf16le' : 'latin1';
  const bytes = Buffer.from(of.join(''), encoding);
  const ends = new Uint32Array(of.length + 1);
  of.forEach((key, i) => {
    ends[i + 1] = ends[i] + key.length * (wide ? 2 : 1);
  });
  const slices =
    /** @type {Buffer & Record<'latin1Slice' | 'ucs2Slice', (from: number, to: number) => string>} */ (bytes);
  return wide
    ? (/** @type {number} */ i) => slices.ucs2Slice(ends[i], ends[i + 1])
    : (/** @type {number} */ i) => slices.latin1Slice(ends[i], ends[i + 1]);
}
