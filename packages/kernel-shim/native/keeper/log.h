/* Lines for standard error without stdio and without waiting: nobody may be reading. */
#ifndef ZLR_LOG_H
#define ZLR_LOG_H

#include <stddef.h>
#include <stdint.h>

struct zlr_text {
  char bytes[256];
  size_t length;
};

void zlr_put(struct zlr_text *text, const char *string);
void zlr_put_number(struct zlr_text *text, uint64_t value);

/* Writes it as one line; it is dropped where standard error is closed or full. */
void zlr_say(struct zlr_text *text);

uint64_t zlr_now_ns(void); /* CLOCK_MONOTONIC */

#endif
