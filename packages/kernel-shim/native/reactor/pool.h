/* Extents of a shared segment: memory that holds input until it is processed, and output until it is sent. */
#ifndef ZLR_POOL_H
#define ZLR_POOL_H

#include <stdbool.h>

#include "../../include/zlr/channel.h"

/*
 * The large extents come first, then the small ones, numbered in that order. They lie in the segment; which of them
 * are free does not: a new generation finds it out from the records. The stacks of free ones are shared with TypeScript,
 * which takes extents for output: stack[0] is the count, stack[1..count] the numbers.
 */
struct zlr_pool {
  unsigned char *base;
  struct zlr_extent *extents;
  uint32_t large_size, small_size;
  uint32_t large_count, small_count;
  uint32_t reserve;  /* large extents that input leaves for output: held requests must never keep each other from being answered */
  uint32_t promised; /* large extents that are free for those alone who have waited for them */
  int32_t *large, *small;
};

/* sizes: of large and small extents, their counts, and the reserve */
static inline struct zlr_pool zlr_pool_of(void *base, void *extents, void *large, void *small, const uint32_t sizes[5]) {
  return (struct zlr_pool){.base = base, .extents = extents, .large = large, .small = small, .large_size = sizes[0],
                           .small_size = sizes[1], .large_count = sizes[2], .small_count = sizes[3], .reserve = sizes[4]};
}

/*
 * What this generation knows of a stream beside its record; the next one asks the kernel. TypeScript reads it:
 *
 *    0        8        16   20   24   28   32
 *    +--------+--------+----+----+----+----+
 *    |  read  |written |wait|hold| fd |want|
 *    |        |        |ing |tail|    |s   |
 *    +--------+--------+----+----+----+----+
 */
struct zlr_flow {
  uint64_t read;
  uint64_t written;
  uint32_t waiting;   /* bytes of extents that its output occupies; TypeScript adds, native code takes away */
  uint32_t hold_tail; /* number of the last extent that holds input + 1 */
  int32_t fd;         /* < 0: not attached */
  uint32_t wants;     /* TypeScript: to be told when there is room for more output */
};

_Static_assert(offsetof(struct zlr_flow, waiting) == 16, "layout");
_Static_assert(offsetof(struct zlr_flow, fd) == 24, "layout");
_Static_assert(offsetof(struct zlr_flow, wants) == 28, "layout");
_Static_assert(sizeof(struct zlr_flow) == 32, "no hidden padding");

static inline bool zlr_is_small(const struct zlr_pool *pool, uint32_t extent) { return extent >= pool->large_count; }

static inline uint32_t zlr_size_of(const struct zlr_pool *pool, uint32_t extent) {
  return zlr_is_small(pool, extent) ? pool->small_size : pool->large_size;
}

static inline unsigned char *zlr_memory_of(const struct zlr_pool *pool, uint32_t extent) {
  if (!zlr_is_small(pool, extent)) return pool->base + (size_t)extent * pool->large_size;
  return pool->base + (size_t)pool->large_count * pool->large_size +
         (size_t)(extent - pool->large_count) * pool->small_size;
}

static inline void zlr_give(const struct zlr_pool *pool, uint32_t extent) {
  int32_t *stack = zlr_is_small(pool, extent) ? pool->small : pool->large;
  stack[++stack[0]] = (int32_t)extent;
}

/*
 * A process may be killed between any two instructions, so each change that the next generation relies on is one
 * aligned store. Release order keeps the compiler from moving it before the stores that it publishes; the kernel's
 * side needs none, a system call orders everything.
 */
static inline void zlr_publish64(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
static inline void zlr_publish32(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

#endif
