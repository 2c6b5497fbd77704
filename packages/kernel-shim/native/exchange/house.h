/* Where the exchanges of a process live: their records and slots in the segment, and which of them are free, which no segment says. */
#ifndef ZLR_HOUSE_H
#define ZLR_HOUSE_H

#include "../../include/zlr/exchange.h"

struct zlr_house {
  unsigned char *records;
  uint32_t stride, record_count;
  unsigned char *slots;
  uint32_t slot_size, slot_count;
  uint32_t *free_records, free_record_count; /* stacks of numbers */
  uint32_t *free_slots, free_slot_count;
};

static inline struct zlr_exchange *zlr_record(const struct zlr_house *house, uint32_t number) {
  return (struct zlr_exchange *)(house->records + (size_t)number * house->stride);
}

static inline unsigned char *zlr_house_slot(const struct zlr_house *house, uint32_t slot_plus_1) {
  return house->slots + (size_t)(slot_plus_1 - 1) * house->slot_size;
}

/* A slot's number + 1; 0: none is free. */
static inline uint32_t zlr_take_slot(struct zlr_house *house) {
  return house->free_slot_count ? house->free_slots[--house->free_slot_count] + 1 : 0;
}

static inline void zlr_give_slot(struct zlr_house *house, uint32_t slot_plus_1) {
  house->free_slots[house->free_slot_count++] = slot_plus_1 - 1;
}

#endif
