/**
 * HalfSipHash-1-3 over whole words and one last word, instead of bytes and their number (Aumasson and Bernstein, SipHash, 2012).
 * Who does not know the secret cannot choose keys that collide. A u32.
 *
 * @param from - the first of `count` words
 * @param last - the length word of the key; 0 of an integer
 */
export function keyedHash(
  words: Uint32Array,
  from: number,
  count: number,
  last: number,
  secret: number,
): number {
  let v0 = secret | 0;
  let v1 = Math.imul(secret, 0x9e3779b1);
  let v2 = 0x6c796765 ^ v0;
  let v3 = 0x74656462 ^ v1;
  // The rounds: one for each word, three at the end.
  for (let i = 0; i < count + 4; i++) {
    const word = i < count ? words[from + i]! : i === count ? last : 0;
    if (i === count + 1) v2 ^= 0xff;
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  return (v1 ^ v3) >>> 0;
}
