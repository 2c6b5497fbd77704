/* A digest of the bytes of a body, however they are cut: XXH64 with seed 0 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md). */
#ifndef ZLR_DIGEST_H
#define ZLR_DIGEST_H

#include <stddef.h>
#include <stdint.h>

struct zlr_digest {
  uint64_t lane[4];
  uint64_t length;
  unsigned char rest[32]; /* the last length % 32 bytes */
};

void zlr_digest_begin(struct zlr_digest *digest);
void zlr_digest_more(struct zlr_digest *digest, const unsigned char *bytes, size_t count);
uint64_t zlr_digest_value(const struct zlr_digest *digest);

#endif
