/* Lines of a head, as both directions have them. */
#ifndef ZLR_FIELDS_H
#define ZLR_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The line that begins at `line`, before `limit`: returns where the next one begins, and sets `end` to where this one's text
 * ends. NULL: it has no end yet. A CR inside of it, which some take for an end of a line, makes `end` NULL.
 */
const unsigned char *zlr_line(const unsigned char *line, const unsigned char *limit, const unsigned char **end);

/* What stands between the colon and the line's end, without white space around it. */
struct zlr_value {
  const unsigned char *at, *end;
};

/* Does the line [line, end) have this name (in lower case, with its colon)? Then its value. */
bool zlr_field(const unsigned char *line, const unsigned char *end, const char *name, struct zlr_value *value);

/* The value is a number of decimal digits below 2^53 and nothing else. */
bool zlr_number(struct zlr_value value, uint64_t *number);

/* The list has this element (in lower case), compared as tokens are: without case. */
bool zlr_has_token(struct zlr_value value, const char *token);

/* The list's last element is this one. */
bool zlr_ends_with_token(struct zlr_value value, const char *token);

#endif
