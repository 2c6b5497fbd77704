/* The chunked coding of RFC 9112, 7.1: where its data lies, byte by byte. Pure. */
#ifndef ZLR_CHUNKS_H
#define ZLR_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum zlr_chunk_state {
  ZLR_CHUNK_SIZE,      /* before a chunk, or in the digits of its size */
  ZLR_CHUNK_EXTENSION, /* behind the digits */
  ZLR_CHUNK_SIZE_LF,   /* and behind the CR of that line */
  ZLR_CHUNK_DATA,
  ZLR_CHUNK_CR, /* before the line end behind the data */
  ZLR_CHUNK_LF,
  ZLR_CHUNK_TRAILER,      /* at the beginning of a line behind the last chunk */
  ZLR_CHUNK_TRAILER_LINE, /* in such a line */
  ZLR_CHUNK_TRAILER_LF,
  ZLR_CHUNK_END_LF, /* behind the CR of the empty line */
  ZLR_CHUNK_END,
};

struct zlr_chunks {
  uint64_t left; /* of the chunk; its size, while that is being read */
  uint8_t state;
  uint8_t digits;
};

/*
 * Goes over bytes that are no data, or over one run of data: at most `count` of them. Returns how many; `data` tells
 * which they were. Never goes beyond the end (ZLR_CHUNK_END). -1: this is no chunked coding.
 */
ptrdiff_t zlr_chunks_step(struct zlr_chunks *chunks, const unsigned char *bytes, size_t count, bool *data);

/* As if `count` bytes of data had been gone over; no more than `left`. */
void zlr_chunks_skip(struct zlr_chunks *chunks, uint64_t count);

#endif
