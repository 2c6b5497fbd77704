#define _GNU_SOURCE
#include "become.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "table.h"

static bool close_at_exec(int fd, void *context) {
  (void)context;
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  return true;
}

enum { FIRST = 3, NUMBERS_MAX = 66 };

/* No number may be overwritten that is still needed: all go out of the way first. 0 or errno. */
static int place(const int *from, int count) {
  int away[NUMBERS_MAX];
  for (int i = 0; i < count; i++) {
    away[i] = from[i] < 0 ? -1 : fcntl(from[i], F_DUPFD_CLOEXEC, FIRST + count);
    if (from[i] >= 0 && away[i] < 0) return errno;
  }
  for (int i = 0; i < count; i++)
    if (away[i] >= 0 && dup3(away[i], FIRST + i, 0) < 0) return errno;
  return 0;
}

int zlr_become(const char *file, char *const argv[], char *const envp[], const sigset_t *mask,
               const struct zlr_gift *gift) {
  int numbers[NUMBERS_MAX];
  if (gift->count > NUMBERS_MAX - 2) return E2BIG;
  setsid();
  for (int signal = 1; signal < NSIG; signal++) {
    struct sigaction normal = {.sa_handler = SIG_DFL};
    sigaction(signal, &normal, NULL); /* fails for SIGKILL, SIGSTOP and libc's own two: nothing to do there */
  }
  zlr_each_fd(close_at_exec, NULL);
  for (int fd = 0; fd <= 2; fd++) fcntl(fd, F_SETFD, 0); /* Node makes its own stdio close-on-exec */
  for (int i = 0; i < gift->count; i++) numbers[i] = gift->listeners[i];
  numbers[gift->count] = gift->link;
  numbers[gift->count + 1] = gift->keeper_link;
  const int error = place(numbers, gift->count + 2);
  if (error) return error;
  sigprocmask(SIG_SETMASK, mask, NULL);
  execvpe(file, argv, envp);
  return errno;
}

bool zlr_die_with(pid_t parent) { return !prctl(PR_SET_PDEATHSIG, SIGKILL) && getppid() == parent; }
