#include "fields.h"

#include <string.h>
#include <strings.h>

const unsigned char *zlr_line(const unsigned char *line, const unsigned char *limit, const unsigned char **end) {
  const unsigned char *newline = memchr(line, '\n', (size_t)(limit - line));
  if (!newline) return NULL;
  const unsigned char *text_end = newline > line && newline[-1] == '\r' ? newline - 1 : newline;
  *end = memchr(line, '\r', (size_t)(text_end - line)) ? NULL : text_end;
  return newline + 1;
}

static bool is_space(unsigned char byte) { return byte == ' ' || byte == '\t'; }

static struct zlr_value trim(const unsigned char *at, const unsigned char *end) {
  while (at < end && is_space(*at)) at++;
  while (at < end && is_space(end[-1])) end--;
  return (struct zlr_value){at, end};
}

bool zlr_field(const unsigned char *line, const unsigned char *end, const char *name, struct zlr_value *value) {
  const size_t length = strlen(name);
  if ((size_t)(end - line) < length || strncasecmp((const char *)line, name, length) != 0) return false;
  *value = trim(line + length, end);
  return true;
}

bool zlr_number(struct zlr_value value, uint64_t *number) {
  if (value.at == value.end || value.end - value.at > 15) return false;
  *number = 0;
  for (; value.at < value.end; value.at++) {
    if (*value.at < '0' || *value.at > '9') return false;
    *number = *number * 10 + (uint64_t)(*value.at - '0');
  }
  return true;
}

static bool is(struct zlr_value value, const char *token) {
  const size_t length = strlen(token);
  return (size_t)(value.end - value.at) == length && strncasecmp((const char *)value.at, token, length) == 0;
}

bool zlr_has_token(struct zlr_value value, const char *token) {
  while (value.at < value.end) {
    const unsigned char *comma = memchr(value.at, ',', (size_t)(value.end - value.at));
    if (!comma) comma = value.end;
    if (is(trim(value.at, comma), token)) return true;
    value.at = comma + 1;
  }
  return false;
}

bool zlr_ends_with_token(struct zlr_value value, const char *token) {
  const unsigned char *at = value.end;
  while (at > value.at && at[-1] != ',') at--;
  return is(trim(at, value.end), token);
}
