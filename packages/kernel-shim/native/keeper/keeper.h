/* The keeper: a process that shares the service's file table, and so keeps every channel open when it dies. */
#ifndef ZLR_KEEPER_H
#define ZLR_KEEPER_H

#include "plan.h"

struct zlr_keeper {
  pid_t pid;
  int pidfd;
};

/* Clones the keeper of the calling process and waits until it stands. 0 or a negative errno. */
int zlr_keeper_start(struct zlr_plan *plan, struct zlr_keeper *out);

#endif
