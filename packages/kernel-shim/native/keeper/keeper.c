/*
 * The keeper runs in a copy of the service's address space and must not touch anything of it but its stack, the
 * plan and code: the other threads whose locks it may hold do not exist here, and the memory itself is dropped
 * (hollow). So: system calls, no heap, no stdio, no lazy binding (the addon is linked with -z now).
 *
 *   service dies --> close what has no mark --> ask the supervisor
 *        ^             's': clone a private copy of the table, exec the next generation
 *        |             'x': exit, which closes the channels
 *        |                                                |
 *        +---- watch the new one, keep the table ---------+ --> its own keeper stands: exit
 */
#define _GNU_SOURCE
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
  ANSWER_MS = 5000,    /* a supervisor that does not answer for so long is as good as dead */
  STANDING_SECONDS = 5,
  ORPHAN_RESTARTS = 5, /* fast faults in a row after which a keeper without a supervisor gives up */
  STILLBORN_MAX = 20,  /* generations in a row that died before they registered; fault.ts has the same limit */
};

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- text without stdio --------------------------------------------------------------------------------------- */

struct text {
  char bytes[256];
  size_t length;
};

static void put(struct text *text, const char *string) {
  while (*string && text->length < sizeof text->bytes) text->bytes[text->length++] = *string++;
}

static void put_number(struct text *text, uint64_t value) {
  char digits[21];
  int at = 20;
  digits[at] = 0;
  do digits[--at] = (char)('0' + value % 10);
  while (value /= 10);
  put(text, digits + at);
}

static void say(const struct text *text) {
  /* stderr may be gone: then there is nobody to tell */
  if (write(2, text->bytes, text->length) < 0) return;
}

/* --- the supervisor ------------------------------------------------------------------------------------------- */

static bool tell(struct zlr_plan *plan, const char *type, uint32_t generation, const char *name, uint64_t value) {
  if (plan->control < 0) return false;
  struct text line = {.length = 0};
  put(&line, "{\"type\":\"");
  put(&line, type);
  put(&line, "\",\"generation\":");
  put_number(&line, generation);
  put(&line, ",\"keeper\":");
  put_number(&line, (uint64_t)getpid());
  put(&line, ",\"");
  put(&line, name);
  put(&line, "\":");
  put_number(&line, value);
  put(&line, "}\n");
  return send(plan->control, line.bytes, line.length, MSG_NOSIGNAL) == (ssize_t)line.length;
}

static void lose_supervisor(struct zlr_plan *plan) {
  close(plan->control);
  plan->control = -1;
}

static void find_supervisor(struct zlr_plan *plan) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, plan->control_path);
  plan->control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (plan->control < 0) return;
  if (connect(plan->control, (struct sockaddr *)&address, sizeof address)) {
    lose_supervisor(plan);
    return;
  }
  if (!tell(plan, "keeper", plan->generation, "service", (uint64_t)plan->service)) lose_supervisor(plan);
}

static bool count_channel(int fd, void *context) {
  if (zlr_mark_of(fd) == ZLR_CHANNEL) ++*(uint64_t *)context;
  return true;
}

static uint64_t channels(void) {
  uint64_t count = 0;
  zlr_each_fd(count_channel, &count);
  return count;
}

/* The supervisor's word: 's' start a successor, 'x' exit; 0: there is no supervisor any more. */
static char listen_to(struct zlr_plan *plan, uint32_t generation) {
  char word;
  const ssize_t n = recv(plan->control, &word, 1, 0);
  if (n != 1) {
    lose_supervisor(plan);
    return 0;
  }
  if (word == 'c') tell(plan, "count", generation, "channels", channels());
  return word;
}

static char ask(struct zlr_plan *plan, uint32_t generation) {
  if (plan->control < 0) find_supervisor(plan); /* another one may have come */
  if (!tell(plan, "dead", generation, "channels", channels())) return 0;
  for (;;) {
    struct pollfd wait = {plan->control, POLLIN, 0};
    const int n = poll(&wait, 1, ANSWER_MS);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      lose_supervisor(plan);
      return 0;
    }
    const char word = listen_to(plan, generation);
    if (word != 'c') return word;
  }
}

/* What to do without a supervisor: go on, unless the service dies again and again at once. */
static char decide_alone(struct zlr_plan *plan, uint32_t generation, uint32_t stillborn) {
  const bool fast = now_ns() - plan->started_ns < plan->threshold_ns;
  plan->orphaned = fast ? plan->orphaned + 1 : 1;
  const bool give_up = stillborn >= STILLBORN_MAX || (plan->threshold_ns > 0 && plan->orphaned > ORPHAN_RESTARTS);
  struct text line = {.length = 0};
  put(&line, "zlr: generation ");
  put_number(&line, generation);
  put(&line, " died and no supervisor answers; ");
  put(&line, give_up ? "giving up: it died too often too soon\n" : "its keeper starts the next one\n");
  say(&line);
  return give_up ? 'x' : 's';
}

/* --- memory --------------------------------------------------------------------------------------------------- */

static bool parse_hex(const char **at, const char *end, uintptr_t *value) {
  *value = 0;
  const char *first = *at;
  for (; *at < end; ++*at) {
    const char c = **at;
    if (c >= '0' && c <= '9') *value = *value * 16 + (uintptr_t)(c - '0');
    else if (c >= 'a' && c <= 'f') *value = *value * 16 + (uintptr_t)(c - 'a' + 10);
    else break;
  }
  return *at > first;
}

enum { PAGE = 4096, STACK_BELOW = 4 * PAGE };

static void drop(uintptr_t from, uintptr_t to) {
  if (from < to) madvise((void *)from, to - from, MADV_DONTNEED);
}

/* Memory that the keeper goes on to use, whole pages. */
struct need {
  uintptr_t from, to;
};

/* errno, and libc's own record of the thread with the stack protector's canary, which lie side by side */
static struct need thread_memory(void) {
  const uintptr_t error = (uintptr_t)&errno, self = (uintptr_t)pthread_self();
  const uintptr_t low = error < self ? error : self, high = error < self ? self : error;
  return (struct need){low & ~(uintptr_t)(PAGE - 1), (high | (PAGE - 1)) + 1 + PAGE};
}

/* The frames of keep() and below it. Nobody returns to those above it. */
static struct need stack_memory(uintptr_t frame) {
  return (struct need){(frame & ~(uintptr_t)(PAGE - 1)) - STACK_BELOW, (frame | (PAGE - 1)) + 1 + PAGE};
}

/*
 * Drops one line's mapping if it is private, writable and of no file: heaps, other threads' stacks, V8's pages. One
 * line may be several mappings that happen to touch, so what is needed is kept by its address, not by its line.
 */
static void drop_mapping(const char *line, const char *end, const struct need needs[2]) {
  uintptr_t from, to;
  if (!parse_hex(&line, end, &from) || *line++ != '-' || !parse_hex(&line, end, &to)) return;
  if (end - line < 6 || line[2] != 'w' || line[4] != 'p') return;
  line += 6;
  uintptr_t offset, device, inode = 0;
  if (!parse_hex(&line, end, &offset)) return;
  line++;
  if (!parse_hex(&line, end, &device) || *line++ != ':' || !parse_hex(&line, end, &device)) return;
  line++;
  if (!parse_hex(&line, end, &inode) || inode != 0) return;
  for (const struct need *need = needs; need < needs + 2; need++) {
    if (need->to <= from || need->from >= to) continue;
    drop(from, need->from);
    from = need->to;
  }
  drop(from, to);
}

static void hollow(uintptr_t frame) {
  const int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (maps < 0) return; /* no harm but the memory */
  const struct need thread = thread_memory(), stack = stack_memory(frame);
  const bool thread_first = thread.from < stack.from;
  const struct need needs[2] = {thread_first ? thread : stack, thread_first ? stack : thread}; /* in ascending order */
  char buffer[1024]; /* a longer line than this can only be a file's: its start is enough */
  size_t kept = 0;
  bool inside_long_line = false;
  ssize_t n;
  while ((n = read(maps, buffer + kept, sizeof buffer - kept)) > 0) {
    char *const end = buffer + kept + n;
    char *line = buffer;
    for (char *c = buffer; c < end; c++) {
      if (*c != '\n') continue;
      if (!inside_long_line) drop_mapping(line, c, needs);
      inside_long_line = false;
      line = c + 1;
    }
    kept = (size_t)(end - line);
    if (kept == sizeof buffer) {
      if (!inside_long_line) drop_mapping(line, end, needs);
      inside_long_line = true;
      kept = 0;
    }
    memmove(buffer, line, kept);
  }
  close(maps);
}

/* --- the life of a keeper --------------------------------------------------------------------------------------- */

static void futex_wake(uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0); }

static long clone_process(unsigned long flags, int *pidfd) {
#if defined(__x86_64__)
  return syscall(SYS_clone, flags | CLONE_PIDFD, NULL, pidfd, NULL, NULL);
#else /* the order of the last two differs, both are unused */
  return syscall(SYS_clone, flags | CLONE_PIDFD, NULL, pidfd, 0, 0);
#endif
}

struct watch {
  int pidfd;
  int lifeline; /* where the watched generation's own keeper reports; -1 while watching one's own service */
};

struct own {
  const struct zlr_plan *plan;
  const struct watch *watch;
};

static bool close_unless_kept(int fd, void *context) {
  const struct own *own = context;
  const bool is_own = fd == own->plan->control || fd == own->plan->service_pidfd || fd == own->watch->pidfd ||
                      fd == own->watch->lifeline;
  if (!is_own && zlr_mark_of(fd) == ZLR_UNMARKED) close(fd);
  return true;
}

/*
 * What the dead service had open and its successor does not get, closed as its end would have closed it: locks on files,
 * ports, connections to databases. The successor finds them free, so this comes before it is started.
 */
static void close_the_rest(const struct zlr_plan *plan, const struct watch *watch) {
  struct own own = {plan, watch};
  zlr_each_fd(close_unless_kept, &own);
}

/* Starts the generation after the dead one and watches it. */
static void start_successor(struct zlr_plan *plan, struct watch *watch, uint32_t *generation) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC)) ends[0] = ends[1] = -1;
  zlr_put_digits(plan->generation_digits, *generation + 1);
  zlr_put_digits(plan->lifeline_digits, ends[1] < 0 ? 0 : (uint32_t)ends[1]);
  zlr_put_digits(plan->orphaned_digits, plan->orphaned);
  const uint64_t handed = channels();
  int pidfd = -1;
  const long pid = clone_process(CLONE_PARENT | SIGCHLD, &pidfd); /* without CLONE_FILES: a table of its own */
  if (pid == 0) zlr_become(plan, ends[1]);
  if (ends[1] >= 0) close(ends[1]);
  if (watch->pidfd != plan->service_pidfd) close(watch->pidfd);
  if (watch->lifeline >= 0) close(watch->lifeline);
  if (pid < 0) {
    struct text line = {.length = 0};
    put(&line, "zlr: cannot clone the next generation, errno ");
    put_number(&line, (uint64_t)errno);
    put(&line, "\n");
    say(&line);
    _exit(1);
  }
  watch->pidfd = pidfd;
  watch->lifeline = ends[0];
  plan->started_ns = now_ns();
  ++*generation;
  struct text line = {.length = 0};
  put(&line, "{\"type\":\"started\",\"generation\":");
  put_number(&line, *generation);
  put(&line, ",\"keeper\":");
  put_number(&line, (uint64_t)getpid());
  put(&line, ",\"pid\":");
  put_number(&line, (uint64_t)pid);
  put(&line, ",\"channels\":");
  put_number(&line, handed);
  put(&line, "}\n");
  if (plan->control >= 0 && send(plan->control, line.bytes, line.length, MSG_NOSIGNAL) < 0) lose_supervisor(plan);
}

static void stand(struct zlr_plan *plan) {
  setsid();
  prctl(PR_SET_NAME, "zlr-keeper");
  find_supervisor(plan);
  if (plan->lifeline_in >= 0) { /* the former keeper may go: from here on this one holds the table */
    if (write(plan->lifeline_in, "K", 1) < 0) { /* it is gone already */
    }
    close(plan->lifeline_in);
    plan->lifeline_in = -1;
  }
  __atomic_store_n(&plan->keeper_state, ZLR_KEEPER_STANDING, __ATOMIC_RELEASE);
  futex_wake(&plan->keeper_state);
}

static _Noreturn void keep(struct zlr_plan *plan) {
  stand(plan);
  hollow((uintptr_t)__builtin_frame_address(0)); /* after standing: the service waits for that, not for this */
  uint32_t generation = plan->generation, stillborn = 0;
  struct watch watch = {.pidfd = plan->service_pidfd, .lifeline = -1};
  for (;;) {
    struct pollfd wait[3] = {{watch.pidfd, POLLIN, 0}, {plan->control, POLLIN, 0}, {watch.lifeline, POLLIN, 0}};
    if (poll(wait, 3, -1) < 0) continue;
    if (wait[2].revents) {
      char word = 0;
      if (read(watch.lifeline, &word, 1) == 1 && word == 'K') _exit(0);
      close(watch.lifeline); /* closed without a word: the generation is dying, its pidfd will say so */
      watch.lifeline = -1;
    }
    if (wait[1].revents && listen_to(plan, generation) == 'x') _exit(0);
    if (wait[0].revents) {
      if (__atomic_load_n(&plan->orderly, __ATOMIC_ACQUIRE)) _exit(0);
      close_the_rest(plan, &watch);
      if (generation != plan->generation) stillborn++; /* or its own keeper would stand, and this one be gone */
      char word = ask(plan, generation);
      if (word == 0) word = decide_alone(plan, generation, stillborn);
      if (word == 'x') _exit(0);
      start_successor(plan, &watch, &generation);
    }
  }
}

int zlr_keeper_start(struct zlr_plan *plan, struct zlr_keeper *out) {
  plan->service = getpid();
  if (plan->service_pidfd < 0) plan->service_pidfd = (int)syscall(SYS_pidfd_open, plan->service, 0);
  if (plan->service_pidfd < 0) return -errno;
  if (plan->control >= 0) close(plan->control); /* of a keeper that died: the shared table keeps its descriptors */
  plan->control = -1;
  plan->keeper_state = ZLR_KEEPER_STARTING;

  sigset_t all;
  sigfillset(&all);
  /* All signals stay blocked in the keeper: its handlers are libuv's and would write into the service's pipes.
   * (sigprocmask is for this thread alone on Linux; pthread_sigmask is a new symbol in glibc 2.32.) */
  sigprocmask(SIG_SETMASK, &all, &plan->signal_mask);
  int pidfd = -1;
  const long pid = clone_process(CLONE_FILES | CLONE_PARENT | SIGCHLD, &pidfd);
  if (pid == 0) keep(plan);
  const int error = errno;
  sigprocmask(SIG_SETMASK, &plan->signal_mask, NULL);
  if (pid < 0) return -error;

  const struct timespec limit = {.tv_sec = STANDING_SECONDS};
  while (__atomic_load_n(&plan->keeper_state, __ATOMIC_ACQUIRE) != ZLR_KEEPER_STANDING) {
    struct pollfd dead = {pidfd, POLLIN, 0};
    if (poll(&dead, 1, 0) > 0) return -ECHILD;
    if (syscall(SYS_futex, &plan->keeper_state, FUTEX_WAIT, ZLR_KEEPER_STARTING, &limit, NULL, 0) && errno == ETIMEDOUT)
      return -ETIMEDOUT;
  }
  out->pid = (pid_t)pid;
  out->pidfd = pidfd;
  return 0;
}
