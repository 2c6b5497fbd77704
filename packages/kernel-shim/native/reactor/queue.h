/* A queue of channels, linked through an array that has one link for each: first come, first served, any may leave. */
#ifndef ZLR_QUEUE_H
#define ZLR_QUEUE_H

#include <stdint.h>

struct zlr_link {
  uint32_t before, after; /* numbers + 1 */
};

struct zlr_queue {
  uint32_t first, last; /* numbers + 1; 0: it is empty */
  uint32_t count;
};

/* `stride`: bytes from link to link. */
static inline struct zlr_link *zlr_link_at(void *links, uint32_t stride, uint32_t number_plus_1) {
  return (struct zlr_link *)((unsigned char *)links + (uint64_t)(number_plus_1 - 1) * stride);
}

static inline void zlr_queue_join(struct zlr_queue *queue, void *links, uint32_t stride, uint32_t number_plus_1) {
  *zlr_link_at(links, stride, number_plus_1) = (struct zlr_link){.before = queue->last};
  if (queue->last != 0) zlr_link_at(links, stride, queue->last)->after = number_plus_1;
  else queue->first = number_plus_1;
  queue->last = number_plus_1;
  queue->count++;
}

static inline void zlr_queue_leave(struct zlr_queue *queue, void *links, uint32_t stride, uint32_t number_plus_1) {
  const struct zlr_link link = *zlr_link_at(links, stride, number_plus_1);
  if (link.before != 0) zlr_link_at(links, stride, link.before)->after = link.after;
  else queue->first = link.after;
  if (link.after != 0) zlr_link_at(links, stride, link.after)->before = link.before;
  else queue->last = link.before;
  queue->count--;
}

#endif
