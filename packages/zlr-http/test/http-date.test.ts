/** A failure here means that caches keep what changed, or fetch again what did not. */
import test from 'ava';
import fc from 'fast-check';
import {formatHttpDate, parseHttpDate} from '../src/message/http-date.js';

const NOW = 1_700_000_000;
const EXAMPLE = 784_111_777;

test('the example of RFC 9110 5.6.7, written and read in its three forms', t => {
  t.is(formatHttpDate(EXAMPLE), 'Sun, 06 Nov 1994 08:49:37 GMT');
  t.is(parseHttpDate('Sun, 06 Nov 1994 08:49:37 GMT', NOW), EXAMPLE);
  t.is(parseHttpDate('Sunday, 06-Nov-94 08:49:37 GMT', NOW), EXAMPLE);
  t.is(parseHttpDate('Sun Nov  6 08:49:37 1994', NOW), EXAMPLE);
});

test('a year of two digits lies at most 50 years ahead', t => {
  t.is(parseHttpDate('Sunday, 06-Nov-73 08:49:37 GMT', NOW), Date.UTC(2073, 10, 6, 8, 49, 37) / 1000);
  t.is(parseHttpDate('Sunday, 06-Nov-74 08:49:37 GMT', NOW), Date.UTC(1974, 10, 6, 8, 49, 37) / 1000);
});

const none = [
  '',
  'now',
  '784111777',
  '1994-11-06T08:49:37Z',
  'Sun, 06 Nov 1994 08:49:37',
  'Sun, 06 Nov 1994 08:49:37 UTC',
  'Sun, 06 Nov 1994 08:49:37 GMT ',
  'Sun, 6 Nov 1994 08:49:37 GMT',
  'Sun, 06 nov 1994 08:49:37 GMT',
  'Sun, 31 Feb 1994 08:49:37 GMT',
  'Sun, 00 Nov 1994 08:49:37 GMT',
  'Sun, 06 Nov 1994 24:00:00 GMT',
  'Sun, 06 Nov 1994 08:60:37 GMT',
  'Sun, 06 Nov 1994 08:49:60 GMT',
];
for (const text of none) {
  test(`${JSON.stringify(text)} is no date`, t => {
    t.is(parseHttpDate(text, NOW), undefined);
  });
}

test('every second survives being written and read, however many were written before', t => {
  const fourDigitYears = fc.integer({min: 0, max: Date.UTC(9999, 11, 31) / 1000});
  fc.assert(
    fc.property(fourDigitYears, seconds => {
      t.is(parseHttpDate(formatHttpDate(seconds), NOW), seconds);
    }),
    {numRuns: 3000},
  );
});

test('no text makes it throw', t => {
  const piece = fc.constantFrom('Sun', ', ', '06', ' ', 'Nov', '1994', '99', '08:49:37', ' GMT', '-', 'day');
  fc.assert(
    fc.property(fc.array(piece, {maxLength: 9}), pieces => {
      const seconds = parseHttpDate(pieces.join(''), NOW);
      t.true(seconds === undefined || Number.isInteger(seconds));
    }),
  );
});
