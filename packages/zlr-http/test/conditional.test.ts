/** A failure here means a stale page, a needless transfer, or a download joined from two versions of a file. */
import test from 'ava';
import {checkPreconditions, isRangeCurrent} from '../src/files/conditional.js';
import {etagOf, type FileStat, lastModifiedOf} from '../src/files/validators.js';
import {formatHttpDate} from '../src/message/http-date.js';
import {requestOf} from './request-of.js';

const NOW = 1_700_000_000;
const MODIFIED = NOW - 1000;
const TAG = '"a,b"';
const before = formatHttpDate(MODIFIED - 1);
const same = formatHttpDate(MODIFIED);
const after = formatHttpDate(MODIFIED + 1);

const table: ReadonlyArray<readonly [etag: string, fields: readonly string[], outcome: 200 | 304 | 412]> = [
  [TAG, [], 200],
  [TAG, [`If-None-Match: ${TAG}`], 304],
  [TAG, [`If-None-Match: W/${TAG}`], 304],
  [`W/${TAG}`, [`If-None-Match: ${TAG}`], 304],
  [TAG, [`If-None-Match: "x", ${TAG}`], 304],
  [TAG, ['If-None-Match: "x"', `If-None-Match: ${TAG}`], 304],
  [TAG, ['If-None-Match: *'], 304],
  [TAG, ['If-None-Match: "x", "a", "b"'], 200],
  [TAG, ['If-None-Match: a,b'], 200],
  [TAG, ['If-None-Match:'], 200],
  [TAG, [`If-Modified-Since: ${same}`], 304],
  [TAG, [`If-Modified-Since: ${after}`], 304],
  [TAG, [`If-Modified-Since: ${before}`], 200],
  [TAG, ['If-Modified-Since: yesterday'], 200],
  // The tag decides over the date (13.2.2).
  [TAG, ['If-None-Match: "x"', `If-Modified-Since: ${after}`], 200],
  [TAG, [`If-None-Match: ${TAG}`, `If-Modified-Since: ${before}`], 304],
  [TAG, [`If-Match: ${TAG}`], 200],
  [TAG, ['If-Match: *'], 200],
  [TAG, ['If-Match: "x"'], 412],
  // Strong comparison (8.8.3.2).
  [TAG, [`If-Match: W/${TAG}`], 412],
  [`W/${TAG}`, [`If-Match: W/${TAG}`], 412],
  [TAG, [`If-Unmodified-Since: ${before}`], 412],
  [TAG, [`If-Unmodified-Since: ${same}`], 200],
  [TAG, ['If-Unmodified-Since: never'], 200],
  [TAG, [`If-Match: ${TAG}`, `If-Unmodified-Since: ${before}`], 200],
  [TAG, [`If-Match: ${TAG}`, `If-None-Match: ${TAG}`], 304],
  [TAG, ['If-Match: "x"', `If-None-Match: ${TAG}`], 412],
];
for (const [etag, fields, outcome] of table) {
  test(`${fields.join('; ') || 'no precondition'} against ${etag} is ${outcome}`, t => {
    t.is(checkPreconditions(requestOf('GET / HTTP/1.1', ...fields), etag, MODIFIED, NOW), outcome);
  });
}

const ranges: ReadonlyArray<readonly [etag: string, fields: readonly string[], current: boolean]> = [
  [TAG, [], true],
  [TAG, [`If-Range: ${TAG}`], true],
  [TAG, ['If-Range: "x"'], false],
  [TAG, [`If-Range: W/${TAG}`], false],
  [`W/${TAG}`, [`If-Range: W/${TAG}`], false],
  [TAG, [`If-Range: ${same}`], true],
  // Not the same is another version, be it older or newer (13.1.5).
  [TAG, [`If-Range: ${after}`], false],
  [TAG, [`If-Range: ${before}`], false],
  [`W/${TAG}`, [`If-Range: ${same}`], false],
];
for (const [etag, fields, current] of ranges) {
  test(`${fields.join('') || 'no If-Range'} against ${etag}: the range ${current ? 'counts' : 'is void'}`, t => {
    t.is(isRangeCurrent(requestOf('GET / HTTP/1.1', ...fields), etag, MODIFIED, NOW), current);
  });
}

const stat: FileStat = {
  mode: 0o100644,
  size: 5,
  mtimeSeconds: MODIFIED,
  mtimeNanoseconds: 7,
  ctimeSeconds: MODIFIED,
  ctimeNanoseconds: 8,
  ino: 9,
};

test('a tag changes with each thing that tells two versions of a file apart', t => {
  const tag = etagOf(stat, NOW);
  t.is(tag, etagOf({...stat, mode: 0}, NOW + 1));
  t.regex(tag, /^"[!#-~]+"$/);
  for (const change of [
    {size: 6},
    {mtimeSeconds: MODIFIED - 1},
    {mtimeNanoseconds: 8},
    {ctimeSeconds: MODIFIED - 1},
    {ctimeNanoseconds: 9},
    {ino: 10},
  ]) {
    t.not(etagOf({...stat, ...change}, NOW), tag);
  }
});

test('a file that may be written again within the same tick has a weak tag', t => {
  t.is(etagOf(stat, MODIFIED + 1), `W/${etagOf(stat, NOW)}`);
  t.is(etagOf(stat, MODIFIED - 5), `W/${etagOf(stat, NOW)}`);
  t.is(etagOf(stat, MODIFIED + 2), etagOf(stat, NOW));
});

test('a time of modification is never in the future, nor before HTTP can say it', t => {
  t.is(lastModifiedOf(stat, NOW), MODIFIED);
  t.is(lastModifiedOf({...stat, mtimeSeconds: NOW + 60}, NOW), NOW);
  t.is(lastModifiedOf({...stat, mtimeSeconds: -1e15}, NOW), 0);
});
