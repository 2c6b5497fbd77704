/** A failure here means a file outside the served folder, or a hidden one, may be asked for. */
import test from 'ava';
import fc from 'fast-check';
import {queryOf, staticPath} from '../src/files/static-path.js';

const table: ReadonlyArray<readonly [target: string, path: string | 400 | 404]> = [
  ['/', 'index.html'],
  ['/a', 'a'],
  ['/a/b.c', 'a/b.c'],
  ['/a/', 'a/index.html'],
  ['/a?b=c', 'a'],
  ['/?a/../b', 'index.html'],
  ['/a/?/x', 'a/index.html'],
  ['http://h/a/b', 'a/b'],
  ['http://h:80', 'index.html'],
  ['HTTP://h?q', 'index.html'],
  ['http://h?a/b', 'index.html'],
  ['http://h/a?b', 'a'],
  // Percent-decoding, once.
  ['/%61', 'a'],
  ['/a%20b', 'a b'],
  ['/%C3%A9', 'é'],
  ['/\xc3\xa9', 'é'],
  ['/%e2%82%ac', '€'],
  ['/%25%36%31', '%61'],
  ['/%252e%252e/a', '%2e%2e/a'],
  ['/a%3Fb', 'a?b'],
  ['/a+b', 'a+b'],
  ['/%', 400],
  ['/%4', 400],
  ['/%zz', 400],
  ['/%FF', 400],
  ['/\xff', 400],
  ['/%C0%AE%C0%AE/etc/passwd', 400],
  ['/%00', 400],
  ['/a%00.html', 400],
  ['/a%2Fb', 404],
  ['/a%2f..%2f..%2fetc/passwd', 404],
  // Dot segments.
  ['/./a', 'a'],
  ['/a/./b', 'a/b'],
  ['/a/../b', 'b'],
  ['/a/b/../../c', 'c'],
  ['/a/.', 'a/index.html'],
  ['/a/b/..', 'a/index.html'],
  ['/a/..', 'index.html'],
  ['/%2e', 'index.html'],
  ['/a/%2E%2e/b', 'b'],
  ['/..', 400],
  ['/../etc/passwd', 400],
  ['/a/../../etc/passwd', 400],
  ['/%2e%2e/etc/passwd', 400],
  ['/.%2e/etc/passwd', 400],
  ['http://h/../a', 400],
  // Empty segments, so that nothing is absolute.
  ['//a', 'a'],
  ['/a//b', 'a/b'],
  ['//', 'index.html'],
  ['//../a', 400],
  // A backslash is a character of a name.
  ['/a\\b', 'a\\b'],
  ['/..\\..\\etc', 404],
  ['/a/..%5c..%5cetc', 404],
  // Hidden files.
  ['/.git/config', 404],
  ['/a/.env', 404],
  ['/%2egit/config', 404],
  ['/...', 404],
  ['/.well-known/acme-challenge/x', '.well-known/acme-challenge/x'],
  ['/.well-known/.x', 404],
  ['/a/.well-known/x', 404],
  ['/.well-knownx', 404],
  ['/a/../.git', 404],
  // A hidden folder that the path leaves again is not asked for.
  ['/.git/../a', 'a'],
];

for (const [target, path] of table) {
  test(`${JSON.stringify(target)} names ${path}`, t => {
    t.is(staticPath(target), path);
  });
}

test('the query is what follows the first question mark', t => {
  t.is(queryOf('/a'), '');
  t.is(queryOf('/a?'), '?');
  t.is(queryOf('/a?b?c'), '?b?c');
});

const hostile = fc
  .array(
    fc.oneof(
      {
        weight: 9,
        arbitrary: fc.constantFrom(
          '/',
          '/',
          '/',
          '..',
          '.',
          '%2e',
          '%2F',
          '%00',
          '%',
          '\\',
          'a',
          'é',
          '\xff',
          '?',
          '%c3%a9',
          ' ',
        ),
      },
      {weight: 1, arbitrary: fc.string({unit: 'binary-ascii', maxLength: 3})},
    ),
    {maxLength: 15},
  )
  .map(parts => `/${parts.join('')}`);

test('whatever is asked for, the path stays inside and has nothing to resolve', t => {
  fc.assert(
    fc.property(hostile, target => {
      const path = staticPath(target);
      if (typeof path === 'number') return;
      for (const [index, segment] of path.split('/').entries()) {
        t.not(segment, '', target);
        t.false(segment.startsWith('.') && !(index === 0 && segment === '.well-known'), target);
      }
      t.false(path.includes('\0'));
    }),
    {numRuns: 5000},
  );
});

test('a path is the one the URL standard makes of it', t => {
  const segment = fc.constantFrom('a', 'b.c', '..', '.', '%2e%2e', 'é', 'x%20y', '~z');
  fc.assert(
    fc.property(fc.array(segment, {minLength: 1, maxLength: 8}), segments => {
      const target = `/${segments.join('/')}`;
      const path = staticPath(target.replaceAll('é', '\xc3\xa9'));
      // The standard stops at the root where this refuses.
      if (path === 400) return;
      const url = decodeURIComponent(new URL(target, 'http://h').pathname);
      t.is(path, url.slice(1) + (url.endsWith('/') ? 'index.html' : ''));
    }),
    {numRuns: 2000},
  );
});

test('a name survives encoding', t => {
  const name = fc
    .string({unit: 'grapheme', minLength: 1, maxLength: 12})
    .filter(text => !/^\.|[/\0]/.test(text));
  fc.assert(
    fc.property(fc.array(name, {minLength: 1, maxLength: 4}), names => {
      t.is(staticPath(`/${names.map(encodeURIComponent).join('/')}`), names.join('/'));
    }),
  );
});
