/* What a keeper knows; on its stack, and in memory that it shares with its twin. */
#ifndef ZLR_STATE_H
#define ZLR_STATE_H

#include <signal.h>
#include <stdbool.h>

#include "keeper.h"
#include "plan.h"

enum zlr_phase {
  ZLR_WATCHING, /* the generation lives */
  ZLR_PAUSING,  /* it is dead, the next one is started in a moment */
  ZLR_CLONING,  /* a process is being made, and does nothing yet */
  ZLR_STARTED,  /* the next generation boots */
};

/* What must outlive a keeper that decides alone: its twin goes on from here. */
struct zlr_shared {
  struct zlr_own claim;     /* where the next generation asks for the channels */
  struct zlr_own links[2];  /* the two keepers' to the decider */
  pid_t pids[2];            /* theirs */
  struct zlr_own elder_pidfd; /* by which the younger watches the older */
  uint32_t released;        /* the next generation is in charge */
  uint32_t phase;           /* enum zlr_phase */
  uint32_t generation;      /* the last one that was started */
  uint32_t orphaned;        /* faults in a row, each at once after a start, that no supervisor has seen */
  uint32_t stillborn;       /* generations in a row that died before they had taken over */
  struct zlr_watched next;  /* the next generation's process */
  struct zlr_own next_link, next_keeper_link; /* to it, and to its keeper */
  struct zlr_own hand;      /* the other end of `claim`, while it is on its way to the next generation */
  uint64_t started_ns;      /* of the last start, CLOCK_MONOTONIC */
  uint64_t start_ns;        /* of the next one */
  char door[108];
};

struct zlr_keeper {
  struct zlr_shared *shared;
  struct zlr_page *page;
  struct zlr_plan *plan; /* NULL: it has not come yet */
  uint64_t threshold_ns;
  uint32_t generation;
  pid_t service_pid;
  struct zlr_watched service, supervisor;
  struct zlr_watched elder, twin; /* the keeper that cloned this one, and the one that this one cloned */
  int at;            /* which of the two links is this one's */
  bool serving;      /* shared->claim is this one's business */
  sigset_t mask;     /* the service's */
};

/* --- keeper.c */

/* Answers the next generation on the claim link. False: there is nothing more to come. */
bool zlr_serve_claim(struct zlr_keeper *k);

/* Whether this generation's keepers hold the channels for good; see page.h. The generation must be dead. */
bool zlr_in_charge(struct zlr_keeper *k);

/* What the dead generation had open and its successor does not get, closed as its end would have closed it: locks on
 * files, ports, connections to databases. The successor finds them free, so this comes before it is started. */
void zlr_close_the_rest(struct zlr_keeper *k);

uint64_t zlr_count_channels(void);

/* Listens to its link once; false: it is closed or lost. */
bool zlr_hear(struct zlr_keeper *k);

/* Clones a second keeper, which has the given link (-1: none). Both return from here, each with its own state. 0 or -errno. */
int zlr_clone_twin(struct zlr_keeper *k, int link);

/* Tells the decider what this keeper holds, for whom, and whose twin it is (0: nobody's). */
void zlr_say_what_is_kept(struct zlr_keeper *k, pid_t elder);

/* --- alone.c */

/* Decides in the place of a supervisor that is dead; returns when another one has come. */
void zlr_decide_alone(struct zlr_keeper *k);

#endif
