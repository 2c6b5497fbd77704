#include "answer.h"

#include <string.h>

#include "../../include/zlr/exchange.h"
#include "fields.h"

/* What the fields said of the connection. */
struct said {
  bool close, keep_alive;
};

static bool status_line(const unsigned char *line, const unsigned char *end, struct zlr_answer_head *out) {
  if (end - line < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ') return false;
  out->status = 0;
  for (int i = 9; i < 12; i++) {
    if (line[i] < '0' || line[i] > '9') return false;
    out->status = (uint16_t)(out->status * 10 + (line[i] - '0'));
  }
  return out->status >= 100;
}

static bool field_line(const unsigned char *line, const unsigned char *end, struct zlr_answer_head *out,
                       struct said *said) {
  struct zlr_value value;
  if ((*line | 32) == 'c') {
    if (zlr_field(line, end, "content-length:", &value)) {
      if (out->framing != ZLR_UNTIL_END) return false;
      out->framing = ZLR_LENGTH;
      return zlr_number(value, &out->length);
    }
    if (zlr_field(line, end, "connection:", &value)) {
      said->close |= zlr_has_token(value, "close");
      said->keep_alive |= zlr_has_token(value, "keep-alive");
    }
  } else if ((*line | 32) == 't' && zlr_field(line, end, "transfer-encoding:", &value)) {
    if (out->framing != ZLR_UNTIL_END) return false;
    out->framing = ZLR_CHUNKED;
    return value.end == end && zlr_ends_with_token(value, "chunked"); /* llhttp takes no white space behind it */
  }
  return *line > ' ';
}

size_t zlr_answer_head(const unsigned char *bytes, size_t count, bool to_head, struct zlr_answer_head *out) {
  *out = (struct zlr_answer_head){.framing = ZLR_UNTIL_END};
  struct said said = {.close = false};
  for (size_t at = 0;;) {
    const unsigned char *line = bytes + at, *end;
    const unsigned char *next = zlr_line(line, bytes + count, &end);
    if (!next || !end) return 0;
    if (at == 0 ? !status_line(line, end, out) : end > line && !field_line(line, end, out, &said)) return 0;
    at = (size_t)(next - bytes);
    if (end > line) continue;
    /* RFC 9112, 6.3: these have no body, whatever their fields say */
    if (to_head || out->status < 200 || out->status == 204 || out->status == 304) {
      out->framing = ZLR_LENGTH;
      out->length = 0;
    }
    out->closes = out->framing == ZLR_UNTIL_END || (bytes[7] == '0' ? !said.keep_alive : said.close);
    return at;
  }
}
