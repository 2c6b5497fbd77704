#include "hold.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/*
 * The first bytes go into a small extent, so that a thousand clients with half a request each cost little. What does
 * not fit there is moved to a large one, once, so that up to a large extent the held bytes lie in one piece. Beyond
 * that, large extents are chained.
 */

static uint64_t end_of(const struct zlr_pool *pool, uint32_t extent) {
  return pool->extents[extent].base + zlr_size_of(pool, extent);
}

/* A number + 1, or 0. */
static uint32_t take(const struct zlr_pool *pool, bool small) {
  if (small && pool->small[0] > 0) return (uint32_t)pool->small[pool->small[0]--] + 1;
  if ((uint32_t)pool->large[0] <= pool->reserve + pool->promised) return 0;
  return (uint32_t)pool->large[pool->large[0]--] + 1;
}

/* Its contents mean nothing until something names it. */
static void prepare(struct zlr_held held, uint32_t extent, uint64_t base) {
  struct zlr_extent *entry = &held.pool->extents[extent];
  entry->base = base;
  entry->next = 0;
  entry->owner = held.owner;
}

void zlr_hold_resume(struct zlr_held held) {
  uint32_t last = held.record->hold_head;
  if (last != 0)
    while (held.pool->extents[last - 1].next != 0) last = held.pool->extents[last - 1].next;
  held.flow->hold_tail = last;
  zlr_hold_settle(held);
}

static bool is_movable(struct zlr_held held) {
  const uint32_t head = held.record->hold_head;
  if (head != held.flow->hold_tail || zlr_is_small(held.pool, head - 1)) return false;
  return held.record->consumed - held.pool->extents[head - 1].base >= held.pool->large_size / 2;
}

static bool may_be_longer(struct zlr_held held) {
  const uint64_t occupied = held.flow->read - held.pool->extents[held.record->hold_head - 1].base;
  return occupied + held.pool->large_size <= held.most;
}

bool zlr_hold_may_grow(struct zlr_held held) {
  const uint32_t tail = held.flow->hold_tail;
  if (tail == 0 || held.flow->read < end_of(held.pool, tail - 1)) return true;
  return zlr_is_small(held.pool, tail - 1) || is_movable(held) || may_be_longer(held);
}

bool zlr_hold_is_outgrown(struct zlr_held held) {
  const uint32_t tail = held.flow->hold_tail;
  return tail != 0 && zlr_is_small(held.pool, tail - 1) && held.flow->read == end_of(held.pool, tail - 1);
}

/* Moves what is held to the start of a large extent. The source stays whole until the head is turned. */
static ssize_t move_to_large(struct zlr_held held) {
  const uint32_t old = held.flow->hold_tail - 1;
  const uint32_t taken = take(held.pool, false);
  if (taken == 0) return -ENOBUFS;
  const size_t start = held.record->consumed - held.pool->extents[old].base;
  const size_t length = held.flow->read - held.record->consumed;
  memcpy(zlr_memory_of(held.pool, taken - 1), zlr_memory_of(held.pool, old) + start, length);
  prepare(held, taken - 1, held.record->consumed);
  zlr_publish32(&held.record->hold_head, taken);
  held.flow->hold_tail = taken;
  zlr_give(held.pool, old);
  return (ssize_t)(held.pool->large_size - length);
}

ssize_t zlr_hold_room(struct zlr_held held, size_t wanted) {
  const struct zlr_pool *pool = held.pool;
  struct zlr_channel *record = held.record;
  struct zlr_flow *flow = held.flow;
  assert(record->consumed <= flow->read);
  if (record->hold_head == 0) {
    assert(record->consumed == flow->read);
    const uint32_t taken = take(pool, wanted <= pool->small_size);
    if (taken == 0) return -ENOBUFS;
    prepare(held, taken - 1, flow->read);
    zlr_publish32(&record->hold_head, taken);
    flow->hold_tail = taken;
    return (ssize_t)zlr_size_of(pool, taken - 1);
  }
  const uint32_t tail = flow->hold_tail - 1;
  const uint64_t end = end_of(pool, tail);
  if (flow->read < end) return (ssize_t)(end - flow->read);
  if (zlr_is_small(pool, tail)) return move_to_large(held);
  if (is_movable(held)) {
    /* The rest is at most as long as the gap before it: the copy leaves its source whole until base is turned. */
    unsigned char *memory = zlr_memory_of(pool, tail);
    const size_t start = record->consumed - pool->extents[tail].base, length = flow->read - record->consumed;
    memcpy(memory, memory + start, length);
    zlr_publish64(&pool->extents[tail].base, record->consumed);
    return (ssize_t)(pool->large_size - length);
  }
  if (!may_be_longer(held)) return 0;
  const uint32_t taken = take(pool, false);
  if (taken == 0) return -ENOBUFS;
  prepare(held, taken - 1, flow->read);
  zlr_publish32(&pool->extents[tail].next, taken);
  flow->hold_tail = taken;
  return (ssize_t)pool->large_size;
}

ssize_t zlr_hold_recv(struct zlr_held held, size_t most) {
  const uint32_t tail = held.flow->hold_tail - 1;
  const size_t at = held.flow->read - held.pool->extents[tail].base;
  const size_t room = zlr_size_of(held.pool, tail) - at;
  unsigned char *memory = zlr_memory_of(held.pool, tail);
  const ssize_t n = recv(held.flow->fd, memory + at, most < room ? most : room, MSG_DONTWAIT);
  if (n <= 0) return n;
  held.flow->read += (uint64_t)n;
  /* The books of a dead connection may count its FIN as a byte (books.h): let that be none of another client's. */
  if ((size_t)n < room) memory[at + (size_t)n] = 0;
  return n;
}

void zlr_hold_settle(struct zlr_held held) {
  struct zlr_channel *record = held.record;
  assert(record->consumed <= held.flow->read);
  while (record->hold_head != 0) {
    const uint32_t head = record->hold_head - 1;
    const bool is_over = record->consumed == held.flow->read;
    if (!is_over && record->consumed < end_of(held.pool, head)) return;
    const uint32_t next = held.pool->extents[head].next;
    zlr_publish32(&record->hold_head, next);
    if (next == 0) held.flow->hold_tail = 0;
    zlr_give(held.pool, head);
  }
}

void zlr_hold_release(struct zlr_held held) {
  for (uint32_t each = held.record->hold_head; each != 0;) {
    const uint32_t next = held.pool->extents[each - 1].next;
    zlr_give(held.pool, each - 1);
    each = next;
  }
  held.record->hold_head = held.flow->hold_tail = 0;
}

ssize_t zlr_hread(struct zlr_held held, size_t rlen, size_t dlen) {
  if (dlen > held.flow->read - held.record->consumed) {
    errno = EINVAL;
    return -1;
  }
  if (dlen > 0) {
    zlr_publish64(&held.record->consumed, held.record->consumed + dlen);
    zlr_hold_settle(held);
  }
  if (rlen == 0) return 0;
  const ssize_t room = zlr_hold_room(held, rlen);
  if (room <= 0) {
    errno = ENOBUFS;
    return -1;
  }
  return zlr_hold_recv(held, rlen);
}
