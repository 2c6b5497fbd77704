#include "hold.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/*
 * A process may be killed between any two instructions, so each change of a record that the next generation
 * relies on is one aligned store. Release order keeps the compiler from moving it before the stores that it
 * publishes; the kernel's side needs none, a system call orders everything.
 */
static inline void publish64(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
static inline void publish32(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

size_t zlr_hold_room(const struct zlr_pool *pool, struct zlr_channel *record, const struct zlr_flow *flow) {
  assert(record->consumed <= flow->read);
  if (record->hold_slot == 0) {
    assert(record->consumed == flow->read);
    if ((uint32_t)pool->stack[0] <= pool->reserve) return 0;
    const uint32_t slot = (uint32_t)pool->stack[pool->stack[0]--];
    publish64(&record->hold_base, flow->read); /* means nothing until the slot is there */
    publish32(&record->hold_slot, slot + 1);
    return pool->slot_size;
  }
  const size_t start = record->consumed - record->hold_base;
  const size_t end = flow->read - record->hold_base;
  if (start == end) {
    publish64(&record->hold_base, flow->read); /* nothing is held: begin at the slot's first byte again */
    return pool->slot_size;
  }
  if (start >= pool->slot_size / 2) {
    /* The rest is at most as long as the gap before it: the copy leaves its source whole until hold_base is turned. */
    unsigned char *slot = zlr_slot(pool, record->hold_slot);
    memcpy(slot, slot + start, end - start);
    publish64(&record->hold_base, record->consumed);
    return pool->slot_size - (end - start);
  }
  return pool->slot_size - end;
}

ssize_t zlr_hold_recv(const struct zlr_pool *pool, struct zlr_channel *record, struct zlr_flow *flow, size_t most) {
  const size_t end = flow->read - record->hold_base;
  const size_t room = pool->slot_size - end;
  unsigned char *slot = zlr_slot(pool, record->hold_slot);
  const ssize_t n = recv(flow->fd, slot + end, most < room ? most : room, MSG_DONTWAIT);
  if (n > 0) flow->read += (uint64_t)n;
  return n;
}

bool zlr_hold_settle(const struct zlr_pool *pool, struct zlr_channel *record, const struct zlr_flow *flow) {
  assert(record->consumed <= flow->read);
  if (record->hold_slot == 0 || record->consumed != flow->read) return false;
  const uint32_t slot = record->hold_slot - 1;
  publish32(&record->hold_slot, 0);
  assert((uint32_t)pool->stack[0] < pool->slot_count);
  pool->stack[++pool->stack[0]] = (int32_t)slot;
  return true;
}

ssize_t zlr_hread(const struct zlr_pool *pool, struct zlr_channel *record, struct zlr_flow *flow, size_t rlen,
                  size_t dlen) {
  if (dlen > flow->read - record->consumed) {
    errno = EINVAL;
    return -1;
  }
  if (dlen > 0) publish64(&record->consumed, record->consumed + dlen);
  if (rlen == 0) zlr_hold_settle(pool, record, flow);
  if (rlen == 0) return 0;
  if (zlr_hold_room(pool, record, flow) == 0) {
    errno = ENOBUFS;
    return -1;
  }
  return zlr_hold_recv(pool, record, flow, rlen);
}
