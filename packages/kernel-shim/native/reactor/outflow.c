#define _GNU_SOURCE
#include "outflow.h"

#include <assert.h>
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BYTES_A_TURN = 1 << 20 };

static uint64_t end_of(const struct zlr_extent *entry) { return entry->base + entry->length + entry->file_length; }

/* The record lets go of it first: killed in between, the next generation finds an extent and a file that nobody names. */
static void let_go_of_head(const struct zlr_pool *pool, struct zlr_channel *record, struct zlr_flow *flow) {
  const uint32_t head = record->out_head - 1;
  const struct zlr_extent *entry = &pool->extents[head];
  zlr_publish32(&record->out_head, end_of(entry) >= record->out_end ? 0 : entry->next);
  if (entry->file_fd >= 0) close(entry->file_fd);
  flow->waiting -= zlr_size_of(pool, head);
  zlr_give(pool, head);
}

static ssize_t send_some(const struct zlr_pool *pool, const struct zlr_channel *record, const struct zlr_flow *flow) {
  const struct zlr_extent *entry = &pool->extents[record->out_head - 1];
  const uint64_t sent = flow->written - entry->base;
  if (sent < entry->length) {
    const unsigned char *from = zlr_memory_of(pool, record->out_head - 1) + sent;
    const int more = entry->base + entry->length < record->out_end ? MSG_MORE : 0;
    return send(flow->fd, from, entry->length - sent, MSG_DONTWAIT | MSG_NOSIGNAL | more);
  }
  off_t offset = (off_t)(entry->file_offset + (sent - entry->length));
  const uint64_t left = entry->length + entry->file_length - sent;
  const ssize_t n = sendfile(flow->fd, entry->file_fd, &offset, left < BYTES_A_TURN ? left : BYTES_A_TURN);
  if (n != 0) return n;
  errno = ENODATA;
  return -1;
}

/*
 * There is one rule for fresh output, for what was blocked and for what a former generation began: the bytes before
 * flow->written are sent, the rest follows.
 */
int zlr_outflow(const struct zlr_pool *pool, struct zlr_channel *record, struct zlr_flow *flow) {
  int64_t turn = BYTES_A_TURN;
  while (record->out_head != 0) {
    const struct zlr_extent *entry = &pool->extents[record->out_head - 1];
    assert(flow->written >= entry->base && flow->written <= record->out_end);
    if (flow->written >= end_of(entry)) {
      let_go_of_head(pool, record, flow);
      continue;
    }
    if (turn <= 0) return 0;
    const ssize_t n = send_some(pool, record, flow);
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? 0 : -errno;
    }
    flow->written += (uint64_t)n;
    turn -= n;
  }
  return 1;
}

void zlr_outflow_drop(const struct zlr_pool *pool, struct zlr_channel *record, struct zlr_flow *flow) {
  while (record->out_head != 0) let_go_of_head(pool, record, flow);
}
