/*
 * A keeper's own descriptors lie in the table that it shares with the service, whose bugs may close them (a double close)
 * and give their numbers to something else. So a keeper looks, each time before it uses one, whether it still is what it
 * was; one that is not is no more than lost. (When the service is dead nobody else changes the table, and a look is final.)
 */
#ifndef ZLR_OWN_H
#define ZLR_OWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct zlr_own {
  int fd; /* -1: none */
  uint64_t device, inode;
};

/* Takes note of what a descriptor is now. */
struct zlr_own zlr_own(int fd);

/* The same after moving it up, out of the way of the numbers that channels are to have. */
struct zlr_own zlr_own_high(int fd);

/* Whether the descriptor still is that. */
bool zlr_is_own(const struct zlr_own *own);

/* Closes it if it still is that; there is none afterwards. */
void zlr_drop(struct zlr_own *own);

/* A process whose death matters. */
struct zlr_watched {
  pid_t pid; /* 0: dead, or there is none */
  uint64_t started; /* its start time, in clock ticks since boot: pids are used again */
  struct zlr_own pidfd;
};

struct zlr_watched zlr_watch(pid_t pid);

/* A descriptor that polls readable when the process has died; opened again if it was lost. -1: it is dead, `pid` is 0. */
int zlr_watching(struct zlr_watched *watched);

/* After a poll: whether the process has died, and then `pid` is 0. A descriptor that was closed meanwhile, or is something else by
 * now, says nothing. It stays open: the other keeper looks at the same one. */
bool zlr_has_died(struct zlr_watched *watched);

/* Stops watching: it is dead, or of no interest any more. */
void zlr_forget(struct zlr_watched *watched);

#endif
