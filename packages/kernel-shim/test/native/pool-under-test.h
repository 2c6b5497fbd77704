/* A pool in memory that outlives a kill, and what a next generation finds in it by the records alone. */
#ifndef POOL_UNDER_TEST_H
#define POOL_UNDER_TEST_H

#include "harness.h"

enum { LARGE_SIZE = 8192, SMALL_SIZE = 512, MOST_EXTENTS = 64 };

struct shared_pool {
  uint32_t large_count, small_count;
  struct zlr_extent *extents;
  unsigned char *memory;
};

static inline struct shared_pool make_shared_pool(uint32_t large_count, uint32_t small_count) {
  EXPECT(large_count + small_count <= MOST_EXTENTS);
  return (struct shared_pool){large_count, small_count, shared((large_count + small_count) * sizeof(struct zlr_extent)),
                              shared(large_count * LARGE_SIZE + small_count * SMALL_SIZE)};
}

/* The stacks of free extents are each generation's own. */
struct stacks {
  int32_t large[MOST_EXTENTS + 1], small[MOST_EXTENTS + 1];
  bool used[MOST_EXTENTS];
};

static inline struct zlr_pool pool_of(const struct shared_pool *p, struct stacks *stacks, uint32_t reserve) {
  const uint32_t sizes[5] = {LARGE_SIZE, SMALL_SIZE, p->large_count, p->small_count, reserve};
  return zlr_pool_of(p->memory, p->extents, stacks->large, stacks->small, sizes);
}

/* Marks the extents of a chain as used, as far as it is part of the stream [.., end): the first of them, and the number
 * there are. */
static inline void mark_chain(const struct zlr_pool *pool, struct stacks *stacks, uint32_t head, uint32_t owner, const char *what) {
  for (uint32_t each = head; each != 0; each = pool->extents[each - 1].next) {
    if (each > pool->large_count + pool->small_count) die("%s of %u names extent %u", what, owner, each);
    if (stacks->used[each - 1]) die("%s of %u: extent %u is in use twice", what, owner, each);
    if (pool->extents[each - 1].owner != owner) die("%s of %u: extent %u is owned by %u", what, owner, each, pool->extents[each - 1].owner);
    stacks->used[each - 1] = true;
  }
}

static inline void free_the_rest(const struct zlr_pool *pool, struct stacks *stacks) {
  stacks->large[0] = stacks->small[0] = 0;
  for (uint32_t each = pool->large_count + pool->small_count; each-- > 0;)
    if (!stacks->used[each]) zlr_give(pool, each);
}

#endif
