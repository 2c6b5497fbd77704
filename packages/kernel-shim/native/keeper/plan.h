/*
 * The plan: what a generation is started as. It travels as a sealed memfd, so that nobody alters it on its way, and
 * whoever may have to start a generation keeps a copy of its own that the service cannot reach.
 *
 *    0      4      8       12
 *    +------+------+-------+----------------------------------------------------+
 *    | args | vars | bytes | file NUL  argv[0] NUL ...  envp[0] NUL ...         |  bytes: of the strings
 *    +------+------+-------+----------------------------------------------------+
 */
#ifndef ZLR_PLAN_H
#define ZLR_PLAN_H

#include <stddef.h>
#include <stdint.h>

struct zlr_plan {
  size_t size; /* of this mapping */
  const char *file;
  char **argv;
  char **envp; /* with room for two more */
  uint32_t vars;
  uint32_t content_size;
  const void *content; /* what the memfd held */
};

/* A memfd with this plan, sealed, or -errno. Uses the heap no more than the stack. */
int zlr_plan_seal(const char *file, char *const argv[], char *const envp[]);

/* The plan in a memfd, in memory that processes cloned from the caller share. NULL: errno; EBADMSG when it is none. */
struct zlr_plan *zlr_plan_open(int memfd);

void zlr_plan_free(struct zlr_plan *plan);

/* A memfd like the one that the plan came in, or -errno. */
int zlr_plan_copy(const struct zlr_plan *plan);

#endif
