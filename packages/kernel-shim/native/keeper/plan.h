/*
 * The plan: one block of memory that a service and its keeper share (MAP_SHARED, anonymous), made before the
 * keeper is cloned. It holds all that the keeper needs to start the next generation, because everything else of
 * the service's memory is dropped by the keeper and gone when the service dies.
 *
 *    +-------------+------------------------+---------------------------------------------+
 *    | struct plan | argv[] 0 | envp[] 0     | the strings                                 |
 *    +-------------+------------------------+---------------------------------------------+
 */
#ifndef ZLR_PLAN_H
#define ZLR_PLAN_H

#include <signal.h>
#include <sys/types.h>

#include "table.h"

enum zlr_keeper_state { ZLR_KEEPER_STARTING = 0, ZLR_KEEPER_STANDING = 1 };

struct zlr_plan {
  size_t size;
  uint32_t keeper_state; /* a futex: the service waits on it until the keeper stands */
  uint32_t orderly;      /* 1: the service ends by its own will, nobody takes over */
  pid_t service;
  int service_pidfd;
  int control;     /* the keeper's connection to the supervisor, in the shared table; -1: none */
  int lifeline_in; /* where to tell the former keeper that this one stands; -1: there is none */
  uint32_t generation;
  uint32_t orphaned;     /* restarts in a row that no supervisor has seen */
  uint64_t threshold_ns; /* a life shorter than this counts as a failed restart */
  uint64_t started_ns;   /* CLOCK_MONOTONIC */
  sigset_t signal_mask;  /* the service's, for its successors */
  char control_path[108];
  const char *bin_path;
  char **argv;
  char **envp;
  /* Decimal fields inside envp that are overwritten for each successor, ZLR_DIGITS wide */
  char *generation_digits;
  char *lifeline_digits;
  char *orphaned_digits;
};

enum { ZLR_DIGITS = 10 };

/* Copies everything into a fresh block. The three digit fields are appended to envp. NULL: errno tells. */
struct zlr_plan *zlr_plan_make(const char *bin_path, char *const argv[], char *const envp[], const char *control_path);

void zlr_put_digits(char *to, uint32_t value);

/* In a child that has just been cloned: fresh session, default signals, channels inheritable; then execve. */
_Noreturn void zlr_become(struct zlr_plan *plan, int lifeline_out);

#endif
