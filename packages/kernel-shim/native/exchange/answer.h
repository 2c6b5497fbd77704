/* How an answer is framed, by its head. Pure; fuzzed against llhttp. */
#ifndef ZLR_ANSWER_H
#define ZLR_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zlr_answer_head {
  uint64_t length; /* of the body, when the framing is ZLR_LENGTH */
  uint16_t status;
  uint8_t framing; /* enum zlr_framing */
  bool closes;     /* the connection ends with this answer */
};

/* Reads a head; `to_head`: of the answer to a HEAD request. Its length in bytes; 0: it is not whole, or none. */
size_t zlr_answer_head(const unsigned char *bytes, size_t count, bool to_head, struct zlr_answer_head *out);

#endif
