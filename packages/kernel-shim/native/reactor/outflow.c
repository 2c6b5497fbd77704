#define _GNU_SOURCE
#include "outflow.h"

#include <assert.h>
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

enum { FILE_BYTES_A_TURN = 1 << 20 };

/*
 * There is one rule for a fresh answer, a blocked one and one that a former generation began: the bytes before
 * flow->written are sent, the rest follows.
 */
int zlr_outflow(const struct zlr_pool *pool, const struct zlr_channel *record, struct zlr_flow *flow) {
  assert(flow->written >= record->out_base);
  uint64_t sent = flow->written - record->out_base;
  while (sent < record->out_length) {
    const unsigned char *from = zlr_slot(pool, record->out_slot) + sent;
    const int more = record->file_length > 0 ? MSG_MORE : 0;
    const ssize_t n = send(flow->fd, from, record->out_length - sent, MSG_DONTWAIT | MSG_NOSIGNAL | more);
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? 0 : -errno;
    }
    sent += (uint64_t)n;
    flow->written += (uint64_t)n;
  }
  const uint64_t total = record->out_length + record->file_length;
  uint64_t turn = FILE_BYTES_A_TURN;
  while (sent < total) {
    if (turn == 0) return 0;
    off_t offset = (off_t)(record->file_offset + (sent - record->out_length));
    const uint64_t left = total - sent;
    const ssize_t n = sendfile(flow->fd, record->file_fd, &offset, left < turn ? left : turn);
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? 0 : -errno;
    }
    if (n == 0) return -ENODATA;
    sent += (uint64_t)n;
    flow->written += (uint64_t)n;
    turn -= (uint64_t)n;
  }
  return 1;
}
