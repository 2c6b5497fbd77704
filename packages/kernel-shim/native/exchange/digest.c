#include "digest.h"

#include <string.h>

#define P1 0x9E3779B185EBCA87u
#define P2 0xC2B2AE3D27D4EB4Fu
#define P3 0x165667B19E3779F9u
#define P4 0x85EBCA77C2B2AE63u
#define P5 0x27D4EB2F165667C5u

static inline uint64_t turn(uint64_t word, int bits) { return word << bits | word >> (64 - bits); }
static inline uint64_t mix(uint64_t lane, uint64_t word) { return turn(lane + word * P2, 31) * P1; }
static inline uint64_t merge(uint64_t value, uint64_t lane) { return (value ^ mix(0, lane)) * P1 + P4; }

static inline uint64_t word64(const unsigned char *at) {
  uint64_t word;
  memcpy(&word, at, sizeof word); /* little-endian, as every machine this runs on */
  return word;
}

void zlr_digest_begin(struct zlr_digest *digest) {
  *digest = (struct zlr_digest){.lane = {P1 + P2, P2, 0, -(uint64_t)P1}};
}

static void blocks(uint64_t lane[4], const unsigned char *bytes, size_t count) {
  uint64_t a = lane[0], b = lane[1], c = lane[2], d = lane[3];
  for (; count; count -= 32, bytes += 32) {
    a = mix(a, word64(bytes));
    b = mix(b, word64(bytes + 8));
    c = mix(c, word64(bytes + 16));
    d = mix(d, word64(bytes + 24));
  }
  lane[0] = a, lane[1] = b, lane[2] = c, lane[3] = d;
}

void zlr_digest_more(struct zlr_digest *digest, const unsigned char *bytes, size_t count) {
  const size_t have = digest->length % 32;
  digest->length += count;
  if (have) {
    const size_t add = count < 32 - have ? count : 32 - have;
    memcpy(digest->rest + have, bytes, add);
    if (have + add < 32) return;
    blocks(digest->lane, digest->rest, 32);
    bytes += add;
    count -= add;
  }
  blocks(digest->lane, bytes, count & ~(size_t)31);
  memcpy(digest->rest, bytes + (count & ~(size_t)31), count % 32);
}

uint64_t zlr_digest_value(const struct zlr_digest *digest) {
  const uint64_t *lane = digest->lane;
  uint64_t value = P5;
  if (digest->length >= 32) {
    value = turn(lane[0], 1) + turn(lane[1], 7) + turn(lane[2], 12) + turn(lane[3], 18);
    for (int i = 0; i < 4; i++) value = merge(value, lane[i]);
  }
  value += digest->length;
  const unsigned char *at = digest->rest, *end = at + digest->length % 32;
  for (; at + 8 <= end; at += 8) value = turn(value ^ mix(0, word64(at)), 27) * P1 + P4;
  if (at + 4 <= end) {
    uint32_t half;
    memcpy(&half, at, sizeof half);
    value = turn(value ^ half * P1, 23) * P2 + P3;
    at += 4;
  }
  for (; at < end; at++) value = turn(value ^ *at * P5, 11) * P1;
  value = (value ^ value >> 33) * P2;
  value = (value ^ value >> 29) * P3;
  return value ^ value >> 32;
}
