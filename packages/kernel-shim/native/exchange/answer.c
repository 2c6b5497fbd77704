#include "answer.h"

#include <string.h>

#include "../../include/zlr/exchange.h"
#include "fields.h"

static bool status_line(const unsigned char *line, const unsigned char *end, struct zlr_answer_head *out) {
  if (end - line < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ') return false;
  out->status = 0;
  for (int i = 9; i < 12; i++) {
    if (line[i] < '0' || line[i] > '9') return false;
    out->status = (uint16_t)(out->status * 10 + (line[i] - '0'));
  }
  out->closes = line[7] == '0';
  return true;
}

static bool field_line(const unsigned char *line, const unsigned char *end, struct zlr_answer_head *out) {
  struct zlr_value value;
  if ((*line | 32) == 'c') {
    if (zlr_field(line, end, "content-length:", &value)) {
      if (out->framing != ZLR_UNTIL_END) return false;
      out->framing = ZLR_LENGTH;
      return zlr_number(value, &out->length);
    }
    if (zlr_field(line, end, "connection:", &value)) {
      if (zlr_has_token(value, "close")) out->closes = true;
      else if (zlr_has_token(value, "keep-alive")) out->closes = false;
    }
  } else if ((*line | 32) == 't' && zlr_field(line, end, "transfer-encoding:", &value)) {
    if (out->framing != ZLR_UNTIL_END) return false;
    out->framing = ZLR_CHUNKED;
    return zlr_ends_with_token(value, "chunked");
  }
  return *line > ' ';
}

size_t zlr_answer_head(const unsigned char *bytes, size_t count, bool to_head, struct zlr_answer_head *out) {
  *out = (struct zlr_answer_head){.framing = ZLR_UNTIL_END};
  for (size_t at = 0;;) {
    const unsigned char *line = bytes + at;
    const unsigned char *newline = memchr(line, '\n', count - at);
    if (!newline) return 0;
    const unsigned char *end = newline > line && newline[-1] == '\r' ? newline - 1 : newline;
    if (at == 0 ? !status_line(line, end, out) : end > line && !field_line(line, end, out)) return 0;
    at = (size_t)(newline + 1 - bytes);
    if (end > line) continue;
    /* RFC 9112, 6.3: these have no body, whatever their fields say */
    if (to_head || out->status < 200 || out->status == 204 || out->status == 304) {
      out->framing = ZLR_LENGTH;
      out->length = 0;
    }
    if (out->framing == ZLR_UNTIL_END) out->closes = true;
    return at;
  }
}
