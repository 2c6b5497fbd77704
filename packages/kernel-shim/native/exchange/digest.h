/* A digest of the bytes of a body, however they are cut; as fast as they are read. Against accidents, not against an attacker. */
#ifndef ZLR_DIGEST_H
#define ZLR_DIGEST_H

#include <stddef.h>
#include <stdint.h>

enum { ZLR_DIGEST_BLOCK = 64 };

struct zlr_digest {
  uint64_t lane[4];
  uint64_t length;
  unsigned char rest[ZLR_DIGEST_BLOCK]; /* the last length % 64 bytes */
};

void zlr_digest_begin(struct zlr_digest *digest);
void zlr_digest_more(struct zlr_digest *digest, const unsigned char *bytes, size_t count);
uint64_t zlr_digest_value(const struct zlr_digest *digest);

#endif
