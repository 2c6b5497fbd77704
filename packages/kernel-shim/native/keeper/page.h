/*
 * What a generation and its keepers write to each other: shared memory, since the keepers must read it when the generation
 * is dead. The generation can write nonsense there, and harms nobody but itself with it.
 */
#ifndef ZLR_PAGE_H
#define ZLR_PAGE_H

#include <stdint.h>

#include "own.h"

/*
 * Whose the channels are. The former generation's keeper lets go when it has received ZLR_TAKEN, and not before; it is
 * sent between these two states, so that whoever finds TAKING after a death sends it (once more) and knows that it is in
 * charge. A keeper that finds OUTSIDE lets go of the link, and the former one, which sees that, stays in charge.
 */
enum zlr_charge { ZLR_OUTSIDE = 0, ZLR_TAKING = 1, ZLR_CHARGED = 2 };

struct zlr_page {
  uint32_t charge;
  uint32_t orderly;     /* 1: the generation ends by its own will, nobody takes over */
  struct zlr_own claim; /* where it asked for the channels */
  uint32_t threshold_ms; /* of the plan, as its keepers know it */
  int32_t keepers[2];   /* their pids; without a supervisor nobody else would tell the generation that both are dead */
};

static inline uint32_t zlr_load(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline void zlr_store(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

#endif
