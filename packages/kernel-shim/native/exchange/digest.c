#include "digest.h"

#include <string.h>

/*
 * The step of wyhash (github.com/wangyi-fudan/wyhash): one 64 x 64 -> 128 bit multiplication mixes 16 bytes. Four lanes, none of
 * which waits for another. The constants are its own: odd, half of their bits set.
 */
static const uint64_t salt[4] = {0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3, 0x589965cc75374cc3};

static inline uint64_t mix(uint64_t a, uint64_t b) {
  const unsigned __int128 product = (unsigned __int128)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t word(const unsigned char *at) {
  uint64_t out;
  memcpy(&out, at, sizeof out); /* little-endian, as every machine this runs on */
  return out;
}

void zlr_digest_begin(struct zlr_digest *digest) {
  for (int i = 0; i < 4; i++) digest->lane[i] = salt[i];
  digest->length = 0;
}

static void blocks(uint64_t lane[4], const unsigned char *at, size_t count) {
  uint64_t a = lane[0], b = lane[1], c = lane[2], d = lane[3];
  for (; count; count -= ZLR_DIGEST_BLOCK, at += ZLR_DIGEST_BLOCK) {
    a = mix(word(at) ^ salt[0], word(at + 8) ^ a);
    b = mix(word(at + 16) ^ salt[1], word(at + 24) ^ b);
    c = mix(word(at + 32) ^ salt[2], word(at + 40) ^ c);
    d = mix(word(at + 48) ^ salt[3], word(at + 56) ^ d);
  }
  lane[0] = a, lane[1] = b, lane[2] = c, lane[3] = d;
}

void zlr_digest_more(struct zlr_digest *digest, const unsigned char *bytes, size_t count) {
  const size_t have = digest->length % ZLR_DIGEST_BLOCK;
  digest->length += count;
  if (have) {
    const size_t add = count < ZLR_DIGEST_BLOCK - have ? count : ZLR_DIGEST_BLOCK - have;
    memcpy(digest->rest + have, bytes, add);
    if (have + add < ZLR_DIGEST_BLOCK) return;
    blocks(digest->lane, digest->rest, ZLR_DIGEST_BLOCK);
    bytes += add;
    count -= add;
  }
  const size_t whole = count - count % ZLR_DIGEST_BLOCK;
  blocks(digest->lane, bytes, whole);
  memcpy(digest->rest, bytes + whole, count - whole);
}

uint64_t zlr_digest_value(const struct zlr_digest *digest) {
  uint64_t lane[4];
  unsigned char last[ZLR_DIGEST_BLOCK] = {0};
  memcpy(lane, digest->lane, sizeof lane);
  const size_t rest = digest->length % ZLR_DIGEST_BLOCK;
  if (rest) {
    memcpy(last, digest->rest, rest);
    blocks(lane, last, ZLR_DIGEST_BLOCK);
  }
  return mix(mix(lane[0] ^ digest->length, lane[1] ^ salt[0]) ^ salt[1], mix(lane[2], lane[3] ^ salt[2]) ^ salt[3]);
}
