/*
 * What supervisor, keepers and generations say to each other: one word a message, over SOCK_SEQPACKET pairs.
 *
 *    0      4          8        16       24       32     36     40
 *    +------+----------+--------+--------+--------+------+------+
 *    | kind |generation|sequence| value  | extra  | pid  |flags |
 *    +------+----------+--------+--------+--------+------+------+
 *
 * A word may come twice and may come late: generation and sequence say what it belongs to.
 *
 *                 plan, twin, freeze, serve, count, leave
 *    +------------+ ---------------------------------------> +--------+   shares its file table with
 *    | supervisor |                                          | keeper |=========================+
 *    +------------+ <--------------------------------------- +--------+                         |
 *       |      ^      keeping, twinned, frozen, counted,         | serves (batch, batch, ...)  |
 *       |      |      released                                   v                             |
 *       |      |   member, registered, claim,            +-----------------+            +------------+
 *       |      +-- claimed, served, replan ------------- | next generation |            | generation |
 *       +--------- hand, keep, keeper, begin ----------> +-----------------+            +------------+
 *                                                        watch, renew -- to it, and beats from it, while it lives
 */
#ifndef ZLR_CONTROL_H
#define ZLR_CONTROL_H

#include <stddef.h>
#include <stdint.h>

struct zlr_word {
  uint32_t kind;
  uint32_t generation;
  uint64_t sequence;
  uint64_t value;
  uint64_t extra;
  int32_t pid;
  uint32_t flags;
};

enum zlr_kind {
  /* a decider to a keeper */
  ZLR_PLAN = 1,       /* fd: the plan, a sealed memfd (native/keeper/plan.h); value: threshold in ms */
  ZLR_TWIN = 2,       /* fd: the twin's link. Clone a second keeper */
  ZLR_FREEZE = 3,     /* the generation is dead: close what is no channel, and say what there is */
  ZLR_SERVE = 4,      /* fd: where the next generation asks for the channels */
  ZLR_COUNT = 5,      /* how many channels are there? */
  ZLR_LEAVE = 6,      /* the channels are in good hands, or given up: exit */
  /* a keeper to its decider */
  ZLR_KEEPING = 16,   /* pid: the generation's; extra: its elder's pid or 0; flags: ZLR_IN_CHARGE */
  ZLR_TWINNED = 17,   /* pid: the new keeper's; value: errno when there is none */
  ZLR_FROZEN = 18,    /* value: channels; flags: ZLR_IN_CHARGE, ZLR_ORDERLY */
  ZLR_COUNTED = 19,   /* value: channels */
  ZLR_RELEASED = 20,  /* the next generation has everything; value: channels */
  /* a generation to its decider */
  ZLR_MEMBER = 32,    /* it has loaded the shim; pid: its keeper's; value: errno when there is none; extra: childId */
  ZLR_REGISTERED = 33,
  ZLR_CLAIM = 34,     /* it is ready to take over */
  ZLR_CLAIMED = 35,   /* value: channels */
  ZLR_SERVED = 36,    /* value: CLOCK_MONOTONIC in ns of the first recovered channel's service */
  ZLR_REPLAN = 37,    /* fd: what it wants its successors to be started as */
  ZLR_CLONED = 38,    /* the answer to KEEP; pid: the keeper's; value: errno when there is none */
  ZLR_BEAT = 39,      /* its event loop turns; value: RSS, extra: V8's heap, in bytes; flags: ms that the beat came late */
  ZLR_STACK = 40,     /* fd: where its JavaScript is, a frame a line; value: frames. Its event loop does not turn */
  ZLR_BLAMED = 41,    /* the faults before it were an input's, which it has set aside */
  ZLR_STANDING = 42,  /* it was started in advance, and has done what it can before its turn */
  /* a decider to a generation */
  ZLR_HAND = 48,      /* fd: where to ask for the channels */
  ZLR_NOTHING = 49,   /* there is nothing to take over */
  ZLR_KEEP = 50,      /* fd: the link of the keeper that it shall clone: no other is left */
  ZLR_KEEPER = 51,    /* pid: its leading keeper's now, 0: there is none */
  ZLR_WATCH = 52,     /* value: ms from beat to beat; extra: ms without one after which it is to say where it is, 0: never */
  ZLR_RENEW = 53,     /* another one follows: end between two turns of the event loop */
  ZLR_TURN = 54,      /* who was started in advance is the service from here on, and may take over */
  /* the next generation and the keeper that serves it */
  ZLR_NEXT = 64,      /* value: the descriptor to go on at */
  ZLR_BATCH = 65,     /* fds; entries follow the word; extra: the descriptor to go on at, 0: that was all */
  ZLR_TAKEN = 66,     /* everything is held by the next generation's keepers: the charge is theirs */
  /* whoever comes to the door of a family */
  ZLR_ADOPT = 80,     /* another supervisor, where there is none */
  ZLR_STOP = 81,      /* no further generation, please */
};

enum zlr_flags {
  ZLR_IN_CHARGE = 1, /* this generation's keepers, and no others, hold the channels for good */
  ZLR_ORDERLY = 2,   /* the generation has said that its end is no fault */
};

enum { ZLR_BATCH_MAX = 250 }; /* descriptors of a message; the kernel's SCM_MAX_FD is 253 */

/* What one descriptor of a batch is to be called: its number in the generation that died. */
struct zlr_entry {
  int32_t fd;
  uint32_t mark; /* enum zlr_mark */
};

_Static_assert(offsetof(struct zlr_word, sequence) == 8, "layout");
_Static_assert(offsetof(struct zlr_word, value) == 16, "layout");
_Static_assert(offsetof(struct zlr_word, extra) == 24, "layout");
_Static_assert(offsetof(struct zlr_word, pid) == 32, "layout");
_Static_assert(offsetof(struct zlr_word, flags) == 36, "layout");
_Static_assert(sizeof(struct zlr_word) == 40, "no hidden padding");
_Static_assert(sizeof(struct zlr_entry) == 8, "no hidden padding");

#endif
