/*
 * The supervisor is dead: the older keeper decides. What it does is noted in shared memory before it is done, so that the
 * younger one goes on from there when the older dies, too.
 *
 *   watching --> the generation dies --> pausing --> cloning --> started --> it has taken over: exit
 *                                           ^                       |
 *                                           +------- it dies -------+
 *
 * A next generation that a supervisor had started dies with that supervisor, unless it has taken over already (die_with).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../link/link.h"
#include "become.h"
#include "log.h"
#include "state.h"

enum {
  ORPHAN_RESTARTS = 5, /* fast faults in a row after which a keeper without a supervisor gives up */
  STILLBORN_MAX = 20,  /* generations in a row that died before they had taken over; supervisor/fault.ts has the same limit */
  PAUSE_MS = 50,       /* before another try, doubled with each to PAUSE_MAX_MS */
  PAUSE_MAX_MS = 5000,
  TWIN_MS = 1000,      /* before another try to clone a second keeper */
  GREETING_MS = 1000,  /* who comes to the door says in this time what he wants */
};

static const uint64_t MS = 1000000;

/* --- starting ------------------------------------------------------------------------------------------------- */

/* ZLR_BIRTH, as src/backend/birth.ts reads it. */
static uint64_t inode_of(int fd) { return zlr_own(fd).inode; }

static void put_birth(struct zlr_text *text, const struct zlr_shared *shared, int link, int keeper_link) {
  const uint64_t numbers[] = {shared->generation, 0, shared->orphaned, inode_of(link), inode_of(keeper_link), 3, 0};
  zlr_put(text, "ZLR_BIRTH=");
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    if (i > 0) zlr_put(text, ":");
    zlr_put_number(text, numbers[i]);
  }
  text->bytes[text->length] = 0;
}

/* In the new process: nothing happens before the keeper has noted that it is there. */
static _Noreturn void begin(struct zlr_keeper *k, pid_t keeper, int link, int keeper_link) {
  struct zlr_received go;
  if (!zlr_die_with(keeper) || zlr_receive(link, &go, ZLR_BLOCKING) != 1) _exit(127);
  prctl(PR_SET_PDEATHSIG, 0);
  struct zlr_text birth = {.length = 0};
  put_birth(&birth, k->shared, link, keeper_link);
  struct zlr_plan *plan = k->plan;
  plan->envp[plan->vars] = birth.bytes;
  plan->envp[plan->vars + 1] = NULL;
  const struct zlr_gift gift = {.link = link, .keeper_link = keeper_link};
  const int error = zlr_become(plan->file, plan->argv, plan->envp, &k->mask, &gift);
  struct zlr_text text = {.length = 0};
  zlr_put(&text, "zlr: cannot execute the service's program, errno ");
  zlr_put_number(&text, (uint64_t)error);
  zlr_say(&text);
  _exit(127);
}

/* Lets go of what belongs to the generation that was tried last. */
static void forget_next(struct zlr_shared *shared) {
  zlr_forget(&shared->next);
  zlr_drop(&shared->next_link);
  zlr_drop(&shared->next_keeper_link);
  zlr_drop(&shared->hand);
  zlr_drop(&shared->claim);
}

static long clone_process(void) {
#if defined(__x86_64__)
  return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL); /* without CLONE_FILES: a table of its own */
#else
  return syscall(SYS_clone, SIGCHLD, NULL, NULL, 0, 0);
#endif
}

/* False: for want of descriptors or processes, so it is tried again. */
static bool start_next(struct zlr_keeper *k) {
  struct zlr_shared *shared = k->shared;
  int link[2] = {-1, -1}, keeper_link[2] = {-1, -1};
  int error = zlr_pair(link);
  if (!error) error = zlr_pair(keeper_link);
  const int plan = error ? error : zlr_plan_copy(k->plan);
  long pid = -1;
  if (plan >= 0) {
    const struct zlr_word word = {.kind = ZLR_PLAN, .value = k->threshold_ns / MS};
    zlr_send(keeper_link[0], &word, NULL, &plan, 1);
    close(plan);
    zlr_store(&shared->phase, ZLR_CLONING);
    shared->generation++;
    const pid_t self = getpid();
    pid = clone_process();
    if (pid == 0) begin(k, self, link[1], keeper_link[1]);
    error = pid < 0 ? -errno : 0;
  } else {
    error = plan;
  }
  if (link[1] >= 0) close(link[1]);
  if (keeper_link[1] >= 0) close(keeper_link[1]);
  struct zlr_text text = {.length = 0};
  if (pid < 0) {
    if (link[0] >= 0) close(link[0]);
    if (keeper_link[0] >= 0) close(keeper_link[0]);
    zlr_put(&text, "zlr: the next generation cannot be started yet, errno ");
    zlr_put_number(&text, (uint64_t)-error);
    zlr_put(&text, "; trying again");
    zlr_say(&text);
    return false;
  }
  shared->next = zlr_watch((pid_t)pid);
  shared->next_link = zlr_own(link[0]);
  shared->next_keeper_link = zlr_own(keeper_link[0]);
  shared->started_ns = zlr_now_ns();
  zlr_store(&shared->phase, ZLR_STARTED);
  zlr_send(link[0], &(struct zlr_word){.kind = ZLR_KEEPER}, NULL, NULL, 0);
  zlr_put(&text, "zlr: generation ");
  zlr_put_number(&text, shared->generation - 1);
  zlr_put(&text, " died and no supervisor answers; its keeper starts the next one");
  zlr_say(&text);
  return true;
}

/* --- deciding ------------------------------------------------------------------------------------------------- */

static _Noreturn void give_up(const char *why) {
  struct zlr_text text = {.length = 0};
  zlr_put(&text, "zlr: giving up: ");
  zlr_put(&text, why);
  zlr_put(&text, "; the state stays, its channels close");
  zlr_say(&text);
  _exit(0);
}

/* The generation that was started last is dead. */
static void plan_next(struct zlr_keeper *k, bool took_over) {
  struct zlr_shared *shared = k->shared;
  if (zlr_load(&k->page->orderly)) _exit(0);
  const uint64_t now = zlr_now_ns(), life = now - shared->started_ns;
  shared->orphaned = life < k->threshold_ns || !took_over ? shared->orphaned + 1 : 0;
  shared->stillborn = took_over ? 0 : shared->stillborn + 1;
  if (shared->stillborn >= STILLBORN_MAX) give_up("generation after generation dies before it has taken over");
  if (k->threshold_ns > 0 && took_over && shared->orphaned >= ORPHAN_RESTARTS) {
    give_up("the service faults again and again at once, and no supervisor answers");
  }
  uint64_t pause = 0;
  if (shared->orphaned > 1) {
    const unsigned doublings = shared->orphaned - 2 < 7 ? shared->orphaned - 2 : 7;
    pause = (uint64_t)PAUSE_MS << doublings;
    if (pause > PAUSE_MAX_MS) pause = PAUSE_MAX_MS;
  }
  shared->start_ns = now + pause * MS;
  zlr_store(&shared->phase, ZLR_PAUSING);
}

/* Gives the next generation an end to ask at; it may have been given one that came to nothing. */
static void hand(struct zlr_shared *shared) {
  int ends[2];
  if (zlr_is_own(&shared->claim) || zlr_pair(ends)) return;
  shared->claim = zlr_own(ends[0]);
  shared->hand = zlr_own(ends[1]);
  zlr_send(shared->next_link.fd, &(struct zlr_word){.kind = ZLR_HAND}, NULL, &ends[1], 1);
  zlr_drop(&shared->hand);
}

static void listen_to_next(struct zlr_keeper *k) {
  struct zlr_received in;
  const int result = zlr_receive(k->shared->next_link.fd, &in, ZLR_AT_ONCE);
  if (result == 0) zlr_drop(&k->shared->next_link);
  if (result != 1) return;
  for (unsigned i = 0; i < in.count; i++) close(in.fds[i]);
  if (in.word.kind == ZLR_CLAIM) hand(k->shared);
}

/* --- the door --------------------------------------------------------------------------------------------------- */

/* Another supervisor may come, or somebody who wants an end of it. True: there is a supervisor again. */
static bool answer_door(struct zlr_keeper *k, int door) {
  pid_t pid;
  uid_t uid;
  const int guest = zlr_answer_door(door, &pid, &uid);
  if (guest < 0) return false;
  struct zlr_received in = {.count = 0};
  struct pollfd greeting = {guest, POLLIN, 0};
  const bool known = uid == geteuid() || uid == 0;
  if (!known || poll(&greeting, 1, GREETING_MS) != 1 || zlr_receive(guest, &in, ZLR_AT_ONCE) != 1) {
    close(guest);
    return false;
  }
  for (unsigned i = 0; i < in.count; i++) close(in.fds[i]);
  if (in.word.kind == ZLR_STOP) {
    zlr_store(&k->page->orderly, 1);
    zlr_send(guest, &in.word, NULL, NULL, 0);
  }
  if (in.word.kind == ZLR_ADOPT && zlr_load(&k->shared->phase) == ZLR_WATCHING) {
    k->supervisor = zlr_watch(pid);
    if (k->supervisor.pid != 0) {
      /* The other keeper's link led to the dead supervisor; this one will ask for another. */
      const pid_t twin = k->shared->pids[1 - k->at];
      if (twin > 0) kill(twin, SIGKILL);
      zlr_drop(&k->shared->links[k->at]);
      k->shared->links[k->at] = zlr_own(guest);
      zlr_say_what_is_kept(k, 0);
      return true;
    }
  }
  close(guest);
  return false;
}

static int open_door(const struct zlr_shared *shared) {
  if (shared->door[0] == 0) return -1;
  unlink(shared->door); /* of the supervisor, or of the older keeper, who are dead */
  return zlr_door(shared->door);
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

/* There is to be a second keeper, which knows the plan. False: this is it. */
static bool have_twin(struct zlr_keeper *k) {
  if (k->plan && zlr_watching(&k->twin) < 0) zlr_clone_twin(k, -1);
  return k->elder.pid == 0;
}

static int wait_ms(const struct zlr_keeper *k) {
  const struct zlr_shared *shared = k->shared;
  if (zlr_load(&shared->phase) != ZLR_PAUSING) return k->plan && k->twin.pid == 0 ? TWIN_MS : -1;
  const uint64_t now = zlr_now_ns();
  return shared->start_ns <= now ? 0 : (int)((shared->start_ns - now + MS - 1) / MS);
}

static int or_none(const struct zlr_own *own) { return zlr_is_own(own) ? own->fd : -1; }

static void look_after_next(struct zlr_shared *shared) {
  const pid_t pid = shared->next.pid;
  if (zlr_has_died(&shared->next) && pid != 0) waitpid(pid, NULL, WNOHANG); /* a child of an older keeper has nothing to be reaped here */
}

/* A claim that is open decides by itself what comes of it: taken over, or let go. */
static void finish_claim(struct zlr_keeper *k) {
  zlr_serve_claim(k);
  if (zlr_load(&k->shared->released)) _exit(0);
}

void zlr_decide_alone(struct zlr_keeper *k) {
  struct zlr_shared *shared = k->shared;
  if (zlr_load(&shared->released)) _exit(0);
  zlr_drop(&shared->hand); /* of an older keeper that died in between */
  if (zlr_load(&shared->phase) == ZLR_CLONING) zlr_store(&shared->phase, ZLR_PAUSING); /* that one died with the older keeper */
  int door = -1;
  bool met = false; /* the door was opened, or there is none */
  for (;;) {
    const struct zlr_own *link = &shared->links[k->at];
    const uint32_t phase = zlr_load(&shared->phase);
    /* Nothing is begun for a generation that is over already. */
    if (phase == ZLR_WATCHING) zlr_has_died(&k->service);
    if (phase == ZLR_STARTED) look_after_next(shared);
    const int service = phase == ZLR_WATCHING ? zlr_watching(&k->service) : -1;
    const int next = phase == ZLR_STARTED ? zlr_watching(&shared->next) : -1;
    const bool claiming = zlr_is_own(&shared->claim);
    /* The generation in question is dead, and no claim of it is open: whose the channels are is known. */
    if (phase == ZLR_WATCHING && k->service.pid == 0 && !claiming) {
      if (!zlr_in_charge(k)) _exit(0);
      while (!k->plan && zlr_is_own(link) && zlr_hear(k)) continue;
      if (!k->plan) give_up("no plan has reached the keeper");
      zlr_close_the_rest(k);
      plan_next(k, true);
      met = false; /* the door was closed with the rest */
      continue;
    }
    if (phase == ZLR_STARTED && shared->next.pid == 0 && !claiming) {
      forget_next(shared);
      plan_next(k, false);
      continue;
    }
    /* Not before it is clear that there is something to do: the last one to go clones nobody, and opens no door. */
    if (!met) door = open_door(shared);
    met = true;
    if (!have_twin(k)) return;
    struct pollfd wait[] = {{service, POLLIN, 0},
                            {next, POLLIN, 0},
                            {phase == ZLR_STARTED ? or_none(&shared->next_link) : -1, POLLIN, 0},
                            {claiming ? shared->claim.fd : -1, POLLIN, 0},
                            {door, POLLIN, 0},
                            {or_none(link), POLLIN, 0},
                            {zlr_watching(&k->twin), POLLIN, 0}};
    const int n = poll(wait, 7, wait_ms(k));
    if (n < 0) continue;
    if (wait[5].revents && !zlr_hear(k)) zlr_drop(&shared->links[k->at]); /* the plan, from whoever started this generation */
    if (wait[6].revents) zlr_has_died(&k->twin);
    if (wait[3].revents) finish_claim(k);
    if (wait[2].revents) listen_to_next(k);
    if (wait[4].revents && answer_door(k, door)) {
      close(door);
      return;
    }
    if (phase == ZLR_PAUSING && zlr_now_ns() >= shared->start_ns && !start_next(k)) {
      shared->orphaned++;
      plan_next(k, false);
    }
  }
}
