/* The keeper: a process that shares the service's file table, and so keeps every channel open when it dies. */
#ifndef ZLR_KEEPER_H
#define ZLR_KEEPER_H

#include <sys/types.h>

#include "page.h"

/* What a generation was told when it was started (src/backend/birth.ts). */
struct zlr_birth {
  uint32_t generation;
  pid_t supervisor;  /* 0: there is none any more */
  uint32_t orphaned; /* restarts in a row that no supervisor has seen */
  int link;          /* the keeper's to its decider */
  const char *door;  /* where this family is met; "" when there is no such place */
};

/* Memory for a generation and its keepers. NULL: errno. */
struct zlr_page *zlr_page_make(void);

/* Clones a keeper of the calling process; it shares the table from this call's return on. 0 or -errno. */
int zlr_keeper_clone(const struct zlr_birth *birth, struct zlr_page *page, pid_t *pid);

#endif
