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

/* In this order no number is overwritten that is still needed: both go out of the way first. */
static int place(int from, int to) {
  if (from < 0) return 0;
  return dup3(from, to, 0) < 0 ? errno : 0;
}

int zlr_become(const char *file, char *const argv[], char *const envp[], const sigset_t *mask, int link, int keeper_link) {
  setsid();
  for (int signal = 1; signal < NSIG; signal++) {
    struct sigaction normal = {.sa_handler = SIG_DFL};
    sigaction(signal, &normal, NULL); /* fails for SIGKILL, SIGSTOP and libc's own two: nothing to do there */
  }
  zlr_each_fd(close_at_exec, NULL);
  for (int fd = 0; fd <= 2; fd++) fcntl(fd, F_SETFD, 0); /* Node makes its own stdio close-on-exec */
  if (link >= 0 && (link = fcntl(link, F_DUPFD_CLOEXEC, 5)) < 0) return errno;
  if (keeper_link >= 0 && (keeper_link = fcntl(keeper_link, F_DUPFD_CLOEXEC, 5)) < 0) return errno;
  int error = place(link, 3);
  if (!error) error = place(keeper_link, 4);
  if (error) return error;
  sigprocmask(SIG_SETMASK, mask, NULL);
  execvpe(file, argv, envp);
  return errno;
}

bool zlr_die_with(pid_t parent) { return !prctl(PR_SET_PDEATHSIG, SIGKILL) && getppid() == parent; }
