/* Where the requests of a connection begin and end, and what matters to a proxy about each. Pure; fuzzed against llhttp. */
#ifndef ZLR_REQUEST_H
#define ZLR_REQUEST_H

#include "chunks.h"

enum zlr_request_flag {
  ZLR_REQUEST_HEAD = 1,       /* its answer has no body */
  ZLR_REQUEST_IDEMPOTENT = 2, /* its method is (RFC 9110, 9.2.2), or it carries an Idempotency-Key */
  ZLR_REQUEST_UPGRADES = 4,   /* what follows may be another protocol */
};

enum zlr_scanned {
  ZLR_SCAN_MORE, /* all that is there was looked at; a line that has no end yet is not counted as used */
  ZLR_SCAN_HEAD, /* behind a head: `flags` are known */
  ZLR_SCAN_END,  /* behind a request */
  ZLR_SCAN_ODD,  /* nothing that could be framed with certainty */
};

struct zlr_scanner {
  struct zlr_chunks chunks;
  uint64_t body; /* bytes that are missing, by Content-Length */
  uint8_t state;
  uint8_t flags; /* enum zlr_request_flag */
  bool has_length, is_chunked;
};

/* Goes on over bytes that follow those used before, at most to the next event. A fresh scanner is all zero. */
enum zlr_scanned zlr_scan(struct zlr_scanner *scanner, const unsigned char *bytes, size_t count, size_t *used);

/* A head has begun and is not whole. */
bool zlr_scan_in_head(const struct zlr_scanner *scanner);
/* Nothing of a next request has come. */
bool zlr_scan_between(const struct zlr_scanner *scanner);

#endif
