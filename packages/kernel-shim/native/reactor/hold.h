/* Slots of a shared segment that hold input until it is processed, and answers until they are sent. */
#ifndef ZLR_HOLD_H
#define ZLR_HOLD_H

#include <stdbool.h>
#include <sys/types.h>

#include "../../include/zlr/channel.h"

/*
 * The slots lie in the segment; which of them are free does not: a new generation finds it out from the
 * records. The stack of free slots is shared with TypeScript, which takes slots for answers:
 * stack[0] is the count, stack[1..count] the slot numbers.
 */
struct zlr_pool {
  unsigned char *base;
  uint32_t slot_size;
  uint32_t slot_count;
  uint32_t reserve; /* slots that input leaves for answers: held requests must never keep each other from being answered */
  int32_t *stack;
};

/* What this generation knows of a stream beside its record; the next one asks the kernel. */
struct zlr_flow {
  int fd;
  uint64_t read;
  uint64_t written;
};

static inline unsigned char *zlr_slot(const struct zlr_pool *pool, uint32_t slot_plus_1) {
  return pool->base + (size_t)(slot_plus_1 - 1) * pool->slot_size;
}

/* Bytes that recv() may add now. Makes room first where it can; takes a slot where there is none (0: none is free). */
size_t zlr_hold_room(const struct zlr_pool *pool, struct zlr_channel *record, const struct zlr_flow *flow);

/* recv() straight into the hold, at most `most` bytes. As recv(); the caller has asked zlr_hold_room. */
ssize_t zlr_hold_recv(const struct zlr_pool *pool, struct zlr_channel *record, struct zlr_flow *flow, size_t most);

/* Gives the slot back when all that was read is consumed. Must follow every change of `consumed`. */
bool zlr_hold_settle(const struct zlr_pool *pool, struct zlr_channel *record, const struct zlr_flow *flow);

/*
 * Data-holding read (thesis, hread): deletes the first dlen held bytes, then reads at most rlen more.
 * Returns what recv() returns; -1 with ENOBUFS when there is no room; -1 with EINVAL when dlen exceeds what is held.
 */
ssize_t zlr_hread(const struct zlr_pool *pool, struct zlr_channel *record, struct zlr_flow *flow, size_t rlen,
                  size_t dlen);

#endif
