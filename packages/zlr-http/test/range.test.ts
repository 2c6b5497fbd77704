/** A failure here means that a resumed download is joined wrongly. */
import test from 'ava';
import fc from 'fast-check';
import {byteRange} from '../src/files/range.js';

const table: ReadonlyArray<readonly [value: string, range: ReturnType<typeof byteRange>]> = [
  ['bytes=0-499', [0, 500]],
  ['bytes=500-999', [500, 500]],
  ['bytes=500-', [500, 500]],
  ['bytes=0-', [0, 1000]],
  ['bytes=999-', [999, 1]],
  ['bytes=999-999', [999, 1]],
  ['bytes=900-5000', [900, 100]],
  ['bytes=0-99999999999999999999', [0, 1000]],
  ['bytes=-1', [999, 1]],
  ['bytes=-5000', [0, 1000]],
  ['BYTES=1-1', [1, 1]],
  ['bytes=1000-', 416],
  ['bytes=1000-1001', 416],
  ['bytes=99999999999999999999-', 416],
  ['bytes=-0', 416],
  ['bytes=5-4', undefined],
  ['bytes=-', undefined],
  ['bytes=', undefined],
  ['bytes=a-b', undefined],
  ['bytes=1-2x', undefined],
  ['bytes 1-2', undefined],
  ['lines=1-2', undefined],
  ['bytes=0-1,3-4', undefined],
  ['bytes=0-1, bytes=3-4', undefined],
];
for (const [value, range] of table) {
  test(`${JSON.stringify(value)} of 1,000 octets`, t => {
    t.deepEqual(byteRange(value, 1000), range);
  });
}

test('an empty file has no ranges, and none that fail', t => {
  for (const value of ['bytes=0-', 'bytes=-5', 'bytes=7-']) t.is(byteRange(value, 0), undefined);
});

test('a range is what the octets themselves say', t => {
  const octets = Array.from({length: 40}, (_, i) => i);
  const bound = fc.oneof(fc.constant(''), fc.nat(45).map(String));
  fc.assert(
    fc.property(fc.nat(40), bound, bound, (size, first, last) => {
      const range = byteRange(`bytes=${first}-${last}`, size);
      const whole = octets.slice(0, size);
      const wanted = whole.filter(i =>
        first === '' ? i >= size - Number(last) : i >= Number(first) && (last === '' || i <= Number(last)),
      );
      const malformed =
        (first === '' && last === '') || (first !== '' && last !== '' && Number(last) < Number(first));
      if (malformed || size === 0) t.is(range, undefined);
      else if (wanted.length === 0) t.is(range, 416);
      else t.deepEqual(range, [wanted[0]!, wanted.length]);
    }),
    {numRuns: 2000},
  );
});
