import {createHash} from 'node:crypto';

/** What test/fixtures/http-app.cjs answers. */
export function textOf(seed: string, length: number): Buffer {
  let out = '';
  for (let at = 0; out.length < length; at++) {
    out += createHash('sha256').update(`${seed}:${at}`).digest('hex');
  }
  return Buffer.from(out.slice(0, length));
}
