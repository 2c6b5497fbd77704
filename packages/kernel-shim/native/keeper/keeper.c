/*
 * A keeper runs in a copy of the service's address space and must not touch anything of it but its stack, the memory
 * that it was given and code: the other threads whose locks it may hold do not exist here, and the memory itself is dropped
 * (hollow.h). So: system calls, no heap, no stdio, no static variables, no lazy binding (the addon is linked with -z now).
 *
 * It does what its decider says, and decides nothing itself while that lives (alone.c is for the time after):
 *
 *   freeze   the generation is dead: what is no channel is closed
 *   serve    the next generation asks for the channels, batch after batch, and then for the charge
 *   leave    exit, which closes this table
 *
 * There are two of them, the younger cloned by the older, which is small. While the service lives a keeper sends nothing
 * that it was not asked for, so that nothing goes to a descriptor that the service has just given to something else.
 */
#define _GNU_SOURCE
#include "keeper.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../link/link.h"
#include "handover.h"
#include "hollow.h"
#include "log.h"
#include "state.h"
#include "table.h"

/* --- the table ------------------------------------------------------------------------------------------------ */

static bool count_channel(int fd, void *context) {
  if (zlr_mark_of(fd) == ZLR_CHANNEL) ++*(uint64_t *)context;
  return true;
}

uint64_t zlr_count_channels(void) {
  uint64_t count = 0;
  zlr_each_fd(count_channel, &count);
  return count;
}

static bool is_ours(const struct zlr_keeper *k, int fd) {
  const struct zlr_shared *shared = k->shared;
  const struct zlr_own *own[] = {&k->service.pidfd,  &k->supervisor.pidfd, &k->elder.pidfd, &k->twin.pidfd,
                                 &shared->claim,     &shared->links[0],    &shared->links[1],
                                 &shared->next_link, &shared->next_keeper_link, &shared->next.pidfd,
                                 &shared->hand,      &shared->elder_pidfd};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
    if (own[i]->fd == fd && zlr_is_own(own[i])) return true;
  }
  return false;
}

static bool close_unless_kept(int fd, void *context) {
  if (zlr_mark_of(fd) == ZLR_UNMARKED && !is_ours(context, fd)) close(fd);
  return true;
}

void zlr_close_the_rest(struct zlr_keeper *k) { zlr_each_fd(close_unless_kept, k); }

bool zlr_in_charge(struct zlr_keeper *k) {
  struct zlr_page *page = k->page;
  const uint32_t charge = zlr_load(&page->charge);
  if (charge == ZLR_TAKING) {
    if (zlr_is_own(&page->claim)) zlr_send(page->claim.fd, &(struct zlr_word){.kind = ZLR_TAKEN}, NULL, NULL, 0);
    zlr_store(&page->charge, ZLR_CHARGED);
  }
  zlr_drop(&page->claim); /* the one at the other end has the word, or sees that it stays in charge */
  return charge != ZLR_OUTSIDE;
}

/* --- words ---------------------------------------------------------------------------------------------------- */

static void tell(struct zlr_keeper *k, struct zlr_word word) {
  const struct zlr_own *link = &k->shared->links[k->at];
  word.generation = k->generation;
  /* A decider that does not hear it is dead, or sees that this keeper is deaf: it acts on either. */
  if (zlr_is_own(link)) zlr_send(link->fd, &word, NULL, NULL, 0);
}

void zlr_say_what_is_kept(struct zlr_keeper *k, pid_t elder) {
  tell(k, (struct zlr_word){.kind = ZLR_KEEPING,
                            .pid = k->service_pid,
                            .extra = (uint64_t)elder,
                            .flags = zlr_load(&k->page->charge) == ZLR_CHARGED ? ZLR_IN_CHARGE : 0});
}

static long clone_process(unsigned long flags) {
#if defined(__x86_64__)
  return syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
#else /* the order of the last two differs, both are unused */
  return syscall(SYS_clone, flags, NULL, NULL, 0, 0);
#endif
}

int zlr_clone_twin(struct zlr_keeper *k, int link) {
  const int other = 1 - k->at;
  zlr_drop(&k->shared->links[other]); /* of a twin that died: the shared table keeps its descriptors */
  zlr_forget(&k->elder);
  zlr_forget(&k->twin);
  struct zlr_watched self = zlr_watch(getpid());
  k->shared->links[other] = zlr_own_high(link);
  const long pid = self.pidfd.fd < 0 ? -1 : clone_process(CLONE_FILES | CLONE_PARENT | SIGCHLD);
  if (pid == 0) {
    setsid();
    k->at = other;
    k->shared->pids[other] = k->page->keepers[other] = getpid();
    k->elder = self;
    k->serving = false;
    zlr_say_what_is_kept(k, self.pid);
    return 0;
  }
  if (pid > 0) {
    k->shared->elder_pidfd = self.pidfd; /* it is the twin's, in the same table */
    k->twin = zlr_watch((pid_t)pid);
    return 0;
  }
  const int error = -errno;
  zlr_drop(&k->shared->links[other]);
  zlr_forget(&self);
  return error;
}

static void obey(struct zlr_keeper *k, struct zlr_received *in) {
  const struct zlr_word *word = &in->word;
  int fd = in->count > 0 ? in->fds[0] : -1;
  for (unsigned i = 1; i < in->count; i++) close(in->fds[i]);
  switch (word->kind) {
    case ZLR_PLAN: {
      struct zlr_plan *plan = fd < 0 ? NULL : zlr_plan_open(fd);
      if (!plan) break;
      if (k->plan) zlr_plan_free(k->plan);
      k->plan = plan;
      k->threshold_ns = word->value * 1000000u;
      k->page->threshold_ms = (uint32_t)word->value;
      break;
    }
    case ZLR_TWIN: {
      const int error = fd < 0 ? -EMFILE : zlr_clone_twin(k, fd);
      if (k->elder.pid != 0) return; /* this is the twin */
      tell(k, (struct zlr_word){.kind = ZLR_TWINNED, .pid = k->twin.pid, .value = (uint64_t)-error});
      return; /* the descriptor is the twin's */
    }
    case ZLR_FREEZE: {
      const bool charged = zlr_in_charge(k);
      if (charged) zlr_close_the_rest(k);
      tell(k, (struct zlr_word){.kind = ZLR_FROZEN,
                                .sequence = word->sequence,
                                .value = charged ? zlr_count_channels() : 0,
                                .flags = (charged ? ZLR_IN_CHARGE : 0) | (zlr_load(&k->page->orderly) ? ZLR_ORDERLY : 0)});
      break;
    }
    case ZLR_SERVE:
      k->serving = true;
      zlr_store(&k->shared->released, 0); /* whoever had taken over is dead, and all its keepers */
      /* A claim that the other keeper served until it died goes on: it may have come to its last word. */
      if (zlr_is_own(&k->shared->claim) && zlr_serve_claim(k)) break;
      k->serving = fd >= 0;
      k->shared->claim = zlr_own_high(fd);
      return;
    case ZLR_COUNT:
      tell(k, (struct zlr_word){.kind = ZLR_COUNTED, .sequence = word->sequence, .value = zlr_count_channels()});
      break;
    case ZLR_LEAVE:
      _exit(0);
    default:
      break; /* of a later version: not for this one */
  }
  if (fd >= 0) close(fd);
}

/* The charge is noted as gone before the word is taken out of the socket: the other keeper finds the one or the other. */
static void note_release(struct zlr_keeper *k, int claim) {
  uint32_t kind = 0;
  if (syscall(SYS_recvfrom, claim, &kind, sizeof kind, MSG_PEEK | MSG_DONTWAIT, NULL, NULL) == sizeof kind && kind == ZLR_TAKEN)
    zlr_store(&k->shared->released, 1);
}

bool zlr_serve_claim(struct zlr_keeper *k) {
  struct zlr_own *claim = &k->shared->claim;
  struct zlr_received in;
  if (zlr_is_own(claim)) note_release(k, claim->fd);
  const int result = zlr_is_own(claim) ? zlr_receive(claim->fd, &in, ZLR_AT_ONCE) : 0;
  if (result == -EAGAIN) return true;
  if (result > 0) {
    for (unsigned i = 0; i < in.count; i++) close(in.fds[i]);
    if (in.word.kind == ZLR_NEXT && zlr_send_batch(claim->fd, (int)in.word.value) == 0) return true;
    if (in.word.kind == ZLR_TAKEN) tell(k, (struct zlr_word){.kind = ZLR_RELEASED, .value = in.word.value});
  }
  zlr_drop(claim);
  k->serving = false;
  return false;
}

/* --- the life of a keeper --------------------------------------------------------------------------------------- */

bool zlr_hear(struct zlr_keeper *k) {
  struct zlr_received in;
  const int result = zlr_receive(k->shared->links[k->at].fd, &in, ZLR_AT_ONCE);
  if (result > 0) obey(k, &in);
  return result > 0 || result == -EAGAIN || result == -EBADMSG;
}

static int or_none(const struct zlr_own *own) { return zlr_is_own(own) ? own->fd : -1; }

static _Noreturn void keep(struct zlr_keeper *k) {
  for (;;) {
    struct zlr_own *link = &k->shared->links[k->at];
    const int supervisor = zlr_watching(&k->supervisor), elder = zlr_watching(&k->elder);
    if (k->supervisor.pid == 0 && k->elder.pid == 0) {
      zlr_decide_alone(k);
      continue;
    }
    struct pollfd wait[] = {{or_none(link), POLLIN, 0},
                            {supervisor, POLLIN, 0},
                            {elder, POLLIN, 0},
                            {k->serving ? or_none(&k->shared->claim) : -1, POLLIN, 0}};
    if (poll(wait, 4, -1) < 0) continue;
    /* The claim comes before the link: "leave" must not overtake "taken". */
    if (wait[3].revents) zlr_serve_claim(k);
    if (wait[0].revents && zlr_is_own(link) && !zlr_hear(k)) zlr_drop(link);
    if (wait[1].revents) zlr_has_died(&k->supervisor);
    if (wait[2].revents) zlr_has_died(&k->elder);
  }
}

struct cloning {
  const struct zlr_birth *birth;
  struct zlr_span library;
  struct zlr_keeper *keeper;
  pid_t pid;
  int error;
  uint64_t orphaned;
};

/* Runs in the service's memory, between the service and the keeper, so that the keeper is no child of the service. */
static int between(void *context) {
  struct cloning *cloning = context;
  struct zlr_keeper *k = cloning->keeper;
  setsid(); /* so that the keeper is at no instant in the service's session, of which nothing is left when the service dies */
  const long pid = clone_process(CLONE_FILES | SIGCHLD);
  if (pid == 0) {
    setsid();
    prctl(PR_SET_NAME, "zlr-keeper");
    struct zlr_keeper own;
    memcpy(&own, k, sizeof own);
    own.shared->pids[0] = own.page->keepers[0] = getpid();
    zlr_say_what_is_kept(&own, 0);
    zlr_hollow((uintptr_t)__builtin_frame_address(0), cloning->library);
    keep(&own);
  }
  cloning->pid = (pid_t)pid;
  cloning->error = pid < 0 ? errno : 0;
  return 0;
}

struct zlr_page *zlr_page_make(void) {
  struct zlr_page *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return NULL;
  page->claim.fd = -1;
  return page;
}

enum { STACK_SIZE = 128 << 10 };

int zlr_keeper_clone(const struct zlr_birth *birth, struct zlr_page *page, pid_t *pid) {
  struct zlr_shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return -errno;
  char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) {
    const int error = -errno;
    munmap(shared, sizeof *shared);
    return error;
  }
  const struct zlr_own none = {.fd = -1};
  *shared = (struct zlr_shared){.claim = none,
                                .links = {zlr_own(birth->link), none},
                                .generation = birth->generation,
                                .orphaned = birth->orphaned,
                                .next = {.pidfd = none},
                                .next_link = none,
                                .next_keeper_link = none,
                                .hand = none,
                                .elder_pidfd = none,
                                .started_ns = zlr_now_ns()};
  strncpy(shared->door, birth->door, sizeof shared->door - 1);
  struct zlr_keeper k = {.shared = shared,
                         .page = page,
                         .generation = birth->generation,
                         .service_pid = getpid(),
                         .service = zlr_watch(getpid()),
                         .supervisor = zlr_watch(birth->supervisor),
                         .elder = {.pidfd = none},
                         .twin = {.pidfd = none}};
  struct cloning cloning = {.birth = birth, .library = zlr_library_memory(), .keeper = &k};
  sigset_t all;
  sigfillset(&all);
  /* All signals stay blocked in the keeper: its handlers are libuv's and would write into the service's pipes.
   * (sigprocmask is for this thread alone on Linux; pthread_sigmask is a new symbol in glibc 2.32.) */
  sigprocmask(SIG_SETMASK, &all, &k.mask);
  const int child = k.service.pidfd.fd < 0 ? -1 : clone(between, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | CLONE_FILES, &cloning);
  if (child < 0) cloning.error = errno;
  else while (waitpid(child, NULL, __WALL) < 0 && errno == EINTR) continue;
  sigprocmask(SIG_SETMASK, &k.mask, NULL);
  munmap(stack, STACK_SIZE);
  munmap(shared, sizeof *shared);
  *pid = cloning.pid;
  if (cloning.error == 0) return 0;
  zlr_forget(&k.service);
  zlr_forget(&k.supervisor);
  return -cloning.error;
}
