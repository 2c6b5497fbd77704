/* Input in shared memory, from the moment it is read until it is consumed. */
#ifndef ZLR_HOLD_H
#define ZLR_HOLD_H

#include <sys/types.h>

#include "pool.h"

/* One stream as the functions below need it. */
struct zlr_held {
  const struct zlr_pool *pool;
  struct zlr_channel *record;
  struct zlr_flow *flow;
  uint32_t owner; /* the record's number + 1 */
  uint64_t most;  /* bytes that may be held; a large extent at least */
};

/* Finds the chain's last extent: of a record that a former generation wrote, and that was checked. */
void zlr_hold_resume(struct zlr_held held);

/*
 * Bytes that recv() may add now, of which about `wanted` are hoped for. Makes room first where it can.
 * 0: as much is held as may be; -ENOBUFS: there is no free extent.
 */
ssize_t zlr_hold_room(struct zlr_held held, size_t wanted);

/* recv() straight into the hold, at most `most` bytes. As recv(); the caller has asked zlr_hold_room. */
ssize_t zlr_hold_recv(struct zlr_held held, size_t most);

/* Gives back the extents before the delete position. Must follow every change of `consumed`. */
void zlr_hold_settle(struct zlr_held held);

/* Gives back all of them: the stream is closed. */
void zlr_hold_release(struct zlr_held held);

/* True: zlr_hold_room would find room, if there are free extents. */
bool zlr_hold_may_grow(struct zlr_held held);

/* True: a small extent is full. There may be more to read than the first bytes of something long. */
bool zlr_hold_is_outgrown(struct zlr_held held);

/*
 * Data-holding read (thesis, hread): deletes the first dlen held bytes, then reads at most rlen more.
 * Returns what recv() returns; -1 with ENOBUFS when there is no room; -1 with EINVAL when dlen exceeds what is held.
 */
ssize_t zlr_hread(struct zlr_held held, size_t rlen, size_t dlen);

#endif
