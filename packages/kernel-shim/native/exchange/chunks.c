#include "chunks.h"

enum { DIGITS_MAX = 13 }; /* 2^52: more is no body */

static int digit(unsigned char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  const unsigned char letter = byte | 32;
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

static bool go(struct zlr_chunks *chunks, enum zlr_chunk_state state) {
  chunks->state = state;
  return true;
}

/* One byte that is no data. False: it must not stand here. */
static bool take(struct zlr_chunks *chunks, unsigned char byte) {
  switch (chunks->state) {
    case ZLR_CHUNK_SIZE: {
      const int value = digit(byte);
      if (value >= 0) {
        chunks->left = (chunks->digits ? chunks->left * 16 : 0) + (uint64_t)value;
        return ++chunks->digits <= DIGITS_MAX;
      }
      if (chunks->digits == 0) return false;
      if (byte == '\r') return go(chunks, ZLR_CHUNK_SIZE_LF);
      return byte == ';' && go(chunks, ZLR_CHUNK_EXTENSION);
    }
    case ZLR_CHUNK_EXTENSION:
      return byte == '\r' ? go(chunks, ZLR_CHUNK_SIZE_LF) : byte != '\n';
    case ZLR_CHUNK_SIZE_LF:
      chunks->digits = 0;
      return byte == '\n' && go(chunks, chunks->left ? ZLR_CHUNK_DATA : ZLR_CHUNK_TRAILER);
    case ZLR_CHUNK_CR:
      return byte == '\r' && go(chunks, ZLR_CHUNK_LF);
    case ZLR_CHUNK_LF:
      return byte == '\n' && go(chunks, ZLR_CHUNK_SIZE);
    case ZLR_CHUNK_TRAILER:
      if (byte == '\r') return go(chunks, ZLR_CHUNK_END_LF);
      return byte != '\n' && go(chunks, ZLR_CHUNK_TRAILER_LINE);
    case ZLR_CHUNK_TRAILER_LINE:
      return byte == '\r' ? go(chunks, ZLR_CHUNK_TRAILER_LF) : byte != '\n';
    case ZLR_CHUNK_TRAILER_LF:
      return byte == '\n' && go(chunks, ZLR_CHUNK_TRAILER);
    case ZLR_CHUNK_END_LF:
      return byte == '\n' && go(chunks, ZLR_CHUNK_END);
    default:
      return false;
  }
}

void zlr_chunks_skip(struct zlr_chunks *chunks, uint64_t count) {
  chunks->left -= count;
  if (chunks->left == 0) chunks->state = ZLR_CHUNK_CR;
}

ptrdiff_t zlr_chunks_step(struct zlr_chunks *chunks, const unsigned char *bytes, size_t count, bool *data) {
  *data = chunks->state == ZLR_CHUNK_DATA;
  if (*data) {
    const size_t run = count < chunks->left ? count : (size_t)chunks->left;
    zlr_chunks_skip(chunks, run);
    return (ptrdiff_t)run;
  }
  size_t at = 0;
  while (at < count && chunks->state != ZLR_CHUNK_DATA && chunks->state != ZLR_CHUNK_END)
    if (!take(chunks, bytes[at++])) return -1;
  return (ptrdiff_t)at;
}
