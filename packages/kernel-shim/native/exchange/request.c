#include "request.h"

#include <string.h>

#include "fields.h"

enum { BETWEEN, FIELDS, BODY, CHUNKED_BODY, AT_END };

static const char *const idempotent[] = {"GET ", "HEAD ", "PUT ", "DELETE ", "OPTIONS ", "TRACE "};

static bool begins(const unsigned char *line, const unsigned char *end, const char *word) {
  const size_t length = strlen(word);
  return (size_t)(end - line) >= length && memcmp(line, word, length) == 0;
}

/* "GET / HTTP/1.1": anything else, HTTP/2's preface too, is not ours to frame */
static bool request_line(struct zlr_scanner *scanner, const unsigned char *line, const unsigned char *end) {
  static const size_t version = sizeof " HTTP/1.1" - 1;
  if ((size_t)(end - line) < version + 3 || memcmp(end - version, " HTTP/1.", version - 1) != 0) return false;
  *scanner = (struct zlr_scanner){.state = FIELDS};
  for (size_t i = 0; i < sizeof idempotent / sizeof *idempotent; i++)
    if (begins(line, end, idempotent[i])) scanner->flags |= ZLR_REQUEST_IDEMPOTENT;
  if (begins(line, end, "HEAD ")) scanner->flags |= ZLR_REQUEST_HEAD;
  if (begins(line, end, "CONNECT ")) scanner->flags |= ZLR_REQUEST_UPGRADES;
  return true;
}

static bool field_line(struct zlr_scanner *scanner, const unsigned char *line, const unsigned char *end) {
  struct zlr_value value;
  switch (*line | 32) {
    case 'c':
      if (!zlr_field(line, end, "content-length:", &value)) return true;
      if (scanner->has_length) return false;
      scanner->has_length = true;
      return zlr_number(value, &scanner->body);
    case 't':
      if (!zlr_field(line, end, "transfer-encoding:", &value)) return true;
      if (scanner->is_chunked) return false;
      scanner->is_chunked = true;
      return value.end == end && zlr_ends_with_token(value, "chunked"); /* llhttp takes no white space behind it */
    case 'u':
      if (zlr_field(line, end, "upgrade:", &value)) scanner->flags |= ZLR_REQUEST_UPGRADES;
      return true;
    case 'i':
      if (zlr_field(line, end, "idempotency-key:", &value)) scanner->flags |= ZLR_REQUEST_IDEMPOTENT;
      return true;
    default:
      return *line > ' '; /* a line that continues the one before it could hide a length */
  }
}

/* What follows a head. False: it says two things about its body. */
static bool head_ends(struct zlr_scanner *scanner) {
  if (scanner->has_length && scanner->is_chunked) return false;
  scanner->state = scanner->is_chunked ? CHUNKED_BODY : scanner->body ? BODY : AT_END;
  return true;
}

static enum zlr_scanned scan_head(struct zlr_scanner *scanner, const unsigned char *bytes, size_t count, size_t *used) {
  for (;;) {
    const unsigned char *line = bytes + *used, *end;
    const unsigned char *next = zlr_line(line, bytes + count, &end);
    if (!next) return ZLR_SCAN_MORE;
    *used = (size_t)(next - bytes);
    if (!end) return ZLR_SCAN_ODD;
    if (scanner->state == BETWEEN) {
      /* empty lines before a request are none of it (RFC 9112, 2.2) */
      if (end > line && !request_line(scanner, line, end)) return ZLR_SCAN_ODD;
    } else if (end > line) {
      if (!field_line(scanner, line, end)) return ZLR_SCAN_ODD;
    } else {
      return head_ends(scanner) ? ZLR_SCAN_HEAD : ZLR_SCAN_ODD;
    }
  }
}

static enum zlr_scanned ends(struct zlr_scanner *scanner) {
  scanner->state = BETWEEN;
  return ZLR_SCAN_END;
}

enum zlr_scanned zlr_scan(struct zlr_scanner *scanner, const unsigned char *bytes, size_t count, size_t *used) {
  *used = 0;
  switch (scanner->state) {
    case BETWEEN:
    case FIELDS:
      return scan_head(scanner, bytes, count, used);
    case BODY:
      *used = count < scanner->body ? count : (size_t)scanner->body;
      scanner->body -= *used;
      return scanner->body ? ZLR_SCAN_MORE : ends(scanner);
    case CHUNKED_BODY:
      while (*used < count && scanner->chunks.state != ZLR_CHUNK_END) {
        bool data;
        const ptrdiff_t step = zlr_chunks_step(&scanner->chunks, bytes + *used, count - *used, &data);
        if (step < 0) return ZLR_SCAN_ODD;
        *used += (size_t)step;
      }
      return scanner->chunks.state == ZLR_CHUNK_END ? ends(scanner) : ZLR_SCAN_MORE;
    default:
      return ends(scanner);
  }
}

bool zlr_scan_in_head(const struct zlr_scanner *scanner) { return scanner->state == FIELDS; }
bool zlr_scan_between(const struct zlr_scanner *scanner) { return scanner->state == BETWEEN; }
