/** The digest of a body is one of its bytes, not of how they were cut; and any other byte is another digest. */
import {execFileSync} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';

const folder = fileURLToPath(new URL('../../../kernel-shim/native/exchange', import.meta.url));

const program = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "${folder}/digest.h"
enum { SIZE = 300 };
static uint64_t whole(const unsigned char *bytes, size_t count) {
  struct zlr_digest digest;
  zlr_digest_begin(&digest);
  zlr_digest_more(&digest, bytes, count);
  return zlr_digest_value(&digest);
}
int main(void) {
  unsigned char bytes[SIZE];
  srand(1);
  for (int i = 0; i < SIZE; i++) bytes[i] = (unsigned char)rand();
  int cut = 0, changed = 0, longer = 0;
  for (size_t size = 0; size < SIZE; size++) {
    const uint64_t right = whole(bytes, size);
    for (int tries = 0; tries < 50; tries++) {
      struct zlr_digest digest;
      zlr_digest_begin(&digest);
      for (size_t at = 0; at < size;) {
        size_t count = 1 + (size_t)rand() % 100;
        if (count > size - at) count = size - at;
        zlr_digest_more(&digest, bytes + at, count);
        zlr_digest_value(&digest); /* looking at it changes nothing */
        at += count;
      }
      if (zlr_digest_value(&digest) != right) cut++;
    }
    for (size_t at = 0; at < size; at++) {
      bytes[at] ^= 1;
      if (whole(bytes, size) == right) changed++;
      bytes[at] ^= 1;
    }
    if (whole(bytes, size + 1) == right) longer++;
    unsigned char zeros[SIZE] = {0};
    if (whole(zeros, size) == whole(zeros, size + 1)) longer++;
  }
  printf("%d %d %d\\n", cut, changed, longer);
  return 0;
}
`;

test('a digest tells bytes apart, and nothing else', t => {
  const work = mkdtempSync(join(tmpdir(), 'zlr-digest-'));
  t.teardown(() => rmSync(work, {recursive: true}));
  writeFileSync(join(work, 'digest.c'), program);
  const flags = ['-std=c17', '-O2', '-Wall', '-Wextra', '-Werror', '-fsanitize=undefined'];
  execFileSync('cc', [
    ...flags,
    join(work, 'digest.c'),
    join(folder, 'digest.c'),
    '-o',
    join(work, 'digest'),
  ]);
  t.is(execFileSync(join(work, 'digest'), {encoding: 'utf8'}), '0 0 0\n');
});
