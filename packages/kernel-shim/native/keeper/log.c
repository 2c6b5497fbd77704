#define _GNU_SOURCE
#include "log.h"

#include <poll.h>
#include <time.h>
#include <unistd.h>

void zlr_put(struct zlr_text *text, const char *string) {
  while (*string && text->length < sizeof text->bytes - 2) text->bytes[text->length++] = *string++;
}

void zlr_put_number(struct zlr_text *text, uint64_t value) {
  char digits[21];
  int at = 20;
  digits[at] = 0;
  do digits[--at] = (char)('0' + value % 10);
  while (value /= 10);
  zlr_put(text, digits + at);
}

void zlr_say(struct zlr_text *text) {
  text->bytes[text->length++] = '\n';
  struct pollfd wait = {2, POLLOUT, 0}; /* a pipe that is writable has room for PIPE_BUF bytes */
  if (poll(&wait, 1, 0) == 1 && wait.revents == POLLOUT && write(2, text->bytes, text->length) < 0) return;
}

uint64_t zlr_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
