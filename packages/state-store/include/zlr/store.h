/*
 * A store of @zlr/state-store from C: its header, its tables, and transactions. docs/state-store/format.md draws it all.
 *
 * A C struct whose members have the types and the order of the schema's fields, declared _Alignas(8), has the bytes of a
 * record. Reading needs no more than a mapping of the segment. Writing is for who has the right to: native code of the process
 * that has the store open, or a program that has taken all places of it, by zlr_claim_file or zlr_claim_sysv, and first undoes
 * what a dead writer left, by zlr_recover. Single machine stores of up to eight
 * aligned bytes may be made as they are; anything more goes between zlr_save and zlr_commit, and is undone by whoever
 * opens the store next if the process dies before zlr_commit.
 */
#ifndef ZLR_STORE_H
#define ZLR_STORE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* for F_OFD_SETLK; a file that includes other headers first defines it first */
#endif

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <unistd.h>

#define ZLR_STORE_VERSION 2u
#define ZLR_STORE_READY 0x59444552u /* 'REDY' */
#define ZLR_CELL 8u
#define ZLR_PLACES 64 /* of writers: a single one has all of them */

struct zlr_store_header {
  char magic[8]; /* "ZLRSTORE" */
  uint32_t version;
  uint32_t state;
  uint64_t size;
  uint64_t owner;
  uint8_t fingerprint[16];
  uint64_t birth; /* drawn when it was made, rebuilt or loaded */
  uint8_t zero1[8];
  uint32_t name_length;
  char name[60];
  uint32_t log_cell, log_cells;
  uint32_t schema_cell, schema_bytes;
  uint32_t root_cell, root_cells;
  uint32_t heap_cell, heap_end;
  double created;
  uint32_t uid;
  uint32_t checksum;
  uint64_t base; /* the address at which the fields of t.address hold true, or 0 */
  uint8_t zero2[72];
  uint32_t log_head; /* entries ever written */
  uint32_t log_tail; /* log_head as the last transaction left it */
  uint64_t lock;
  uint32_t armed;
  uint32_t live;
  uint32_t copying; /* a reader copies, or did: whoever takes a free block or slot saves all of it */
  uint32_t unsaved;
  uint32_t stopped; /* 1: a writer stopped with his machine, and nobody has looked through the store since */
};

/* The head of a table, in the root record. Generations are odd while a slot is in use. */
struct zlr_slots {
  uint32_t free_head, live;
  uint32_t used, number;
  uint32_t stride, capacity; /* stride in cells */
  uint32_t first, extents;
  struct {
    uint32_t generations, records; /* first cells */
  } extent[];
};

/* t.string(N): at most N bytes of UTF-8. */
#define ZLR_STRING(n)  \
  struct {             \
    uint32_t length;   \
    char bytes[n];     \
  }

/* t.string() and t.bytes(): the content lies in cells of its own. Bit 31 of a string's length: two bytes a unit, else latin1. */
struct zlr_variable {
  uint32_t cell, length;
};

struct zlr_log_entry {
  uint32_t cell, low, high;
};

_Static_assert(offsetof(struct zlr_store_header, owner) == 24, "owner");
_Static_assert(offsetof(struct zlr_store_header, birth) == 48, "birth");
_Static_assert(offsetof(struct zlr_store_header, name_length) == 64, "name");
_Static_assert(offsetof(struct zlr_store_header, log_cell) == 128, "log");
_Static_assert(offsetof(struct zlr_store_header, checksum) == 172, "checksum");
_Static_assert(offsetof(struct zlr_store_header, log_head) == 256, "log head");
_Static_assert(offsetof(struct zlr_store_header, live) == 276, "live");
_Static_assert(offsetof(struct zlr_store_header, stopped) == 288, "stopped");
_Static_assert(sizeof(struct zlr_slots) == 32, "the head of a table");
_Static_assert(sizeof(struct zlr_log_entry) == 12, "an entry of the log");

static inline void *zlr_at(void *segment, uint32_t cell) { return (char *)segment + (uint64_t)cell * ZLR_CELL; }

/* The header if these bytes are a finished store of this version, else NULL. */
static inline struct zlr_store_header *zlr_store(void *segment, uint64_t bytes) {
  struct zlr_store_header *header = (struct zlr_store_header *)segment;
  if (bytes < 4096 || memcmp(header->magic, "ZLRSTORE", 8) != 0) return NULL;
  if (header->version != ZLR_STORE_VERSION || __atomic_load_n(&header->state, __ATOMIC_ACQUIRE) != ZLR_STORE_READY) return NULL;
  if (header->size > bytes) return NULL;
  return header;
}

#ifdef F_OFD_SETLK
/*
 * Takes all places of a store in a file: 0, or -1 with errno EAGAIN when somebody writes it. They are given back when this
 * descriptor and its copies are closed, so by any end of the process. Not by a descriptor that is mapped: the mapping keeps
 * them. Whoever waits opens the path again, for it may name another file by now.
 */
static inline int zlr_claim_file(int fd) {
  struct flock lock;
  memset(&lock, 0, sizeof lock);
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_len = ZLR_PLACES;
  return fcntl(fd, F_OFD_SETLK, &lock);
}
#endif

/*
 * Takes all places of a store in SysV segments; `key` is that of its edition 0, see docs/state-store/format.md. The id of its
 * semaphores, or -1 with errno EAGAIN when somebody writes it. The kernel takes it back at any end of the process.
 */
static inline int zlr_claim_sysv(key_t key) {
  struct sembuf all[3] = {{0, 0, IPC_NOWAIT}, {1, 0, IPC_NOWAIT}, {0, 1, IPC_NOWAIT | SEM_UNDO}};
  int id = semget(key, 2 + ZLR_PLACES, IPC_CREAT | 0600);
  return id < 0 || semop(id, all, 3) < 0 ? -1 : id;
}

static inline void *zlr_root(void *segment) { return zlr_at(segment, ((struct zlr_store_header *)segment)->root_cell); }

/* The extent of a slot; *slot becomes its place in there. Extent k > 0 has first * 2^(k-1) slots. */
static inline uint32_t zlr_extent(const struct zlr_slots *slots, uint32_t *slot) {
  if (*slot < slots->first) return 0;
  uint32_t k = 32u - (uint32_t)__builtin_clz(*slot / slots->first);
  *slot -= slots->first << (k - 1);
  return k;
}

/* The record in a slot, or NULL when the slot is free. */
static inline void *zlr_record(void *segment, const struct zlr_slots *slots, uint32_t slot) {
  if (slot >= slots->used) return NULL;
  uint32_t k = zlr_extent(slots, &slot);
  const uint32_t *generations = (const uint32_t *)zlr_at(segment, slots->extent[k].generations);
  if ((generations[slot] & 1u) == 0) return NULL;
  return zlr_at(segment, slots->extent[k].records + slot * slots->stride);
}

/* Entries the log has room for: the largest power of two. */
static inline uint32_t zlr_log_capacity(const struct zlr_store_header *header) {
  uint64_t most = (uint64_t)header->log_cells * ZLR_CELL / sizeof(struct zlr_log_entry);
  uint32_t capacity = 1;
  while ((uint64_t)capacity * 2 <= most) capacity *= 2;
  return capacity;
}

/*
 * Saves the cells that `bytes` at `at` touch; call it before writing them. 0 when the log is full: then nothing was saved.
 * Entry, head, then the data: the release store keeps the compiler from moving the entry behind it, and its caller's
 * writes come after the fence. The processor keeps the order of its own stores as a killed process leaves them.
 */
static inline int zlr_save(void *segment, const void *at, uint64_t bytes) {
  struct zlr_store_header *header = (struct zlr_store_header *)segment;
  uint32_t capacity = zlr_log_capacity(header), head = header->log_head;
  uint64_t from = (uint64_t)((const char *)at - (char *)segment), first = from / ZLR_CELL;
  uint64_t count = (from + bytes + ZLR_CELL - 1) / ZLR_CELL - first;
  if ((uint32_t)(head - header->log_tail) + count > capacity) return 0;
  struct zlr_log_entry *log = (struct zlr_log_entry *)zlr_at(segment, header->log_cell);
  for (uint64_t i = 0; i < count; i++, head++) {
    struct zlr_log_entry *entry = &log[head & (capacity - 1)];
    const uint32_t *old = (const uint32_t *)zlr_at(segment, (uint32_t)(first + i));
    entry->cell = (uint32_t)(first + i);
    entry->low = old[0];
    entry->high = old[1];
  }
  __atomic_store_n(&header->log_head, head, __ATOMIC_RELEASE);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  return 1;
}

/* Undoes what a dead writer left half done; before anything is written. 0: the log is damaged, nothing was done. */
static inline int zlr_recover(void *segment) {
  struct zlr_store_header *header = (struct zlr_store_header *)segment;
  uint32_t capacity = zlr_log_capacity(header), head = header->log_head;
  const struct zlr_log_entry *log = (const struct zlr_log_entry *)zlr_at(segment, header->log_cell);
  if ((uint32_t)(head - header->log_tail) > capacity) return 0;
  for (uint32_t k = head; k != header->log_tail;)
    if (log[--k & (capacity - 1)].cell >= header->size / ZLR_CELL) return 0;
  for (uint32_t k = head; k != header->log_tail;) {
    const struct zlr_log_entry *entry = &log[--k & (capacity - 1)];
    uint32_t *cell = (uint32_t *)zlr_at(segment, entry->cell);
    cell[0] = entry->low;
    cell[1] = entry->high;
  }
  __atomic_store_n(&header->log_tail, head, __ATOMIC_SEQ_CST);
  return 1;
}

/* Ends the transaction: all that was written since the last commit stays. */
static inline void zlr_commit(void *segment) {
  struct zlr_store_header *header = (struct zlr_store_header *)segment;
  __atomic_store_n(&header->log_tail, header->log_head, __ATOMIC_SEQ_CST);
}

#endif
