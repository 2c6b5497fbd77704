#define _GNU_SOURCE
#include "children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Only the child knows its pid, and between fork and exec there is no heap. */
static void put_pid(char *const envp[]) {
  static const char name[] = "LISTEN_PID=";
  for (char *const *variable = envp; *variable; variable++) {
    if (strncmp(*variable, name, sizeof name - 1) || strlen(*variable) != sizeof name - 1 + 10) continue;
    char digits[10];
    int count = 0;
    for (unsigned pid = (unsigned)getpid(); pid > 0; pid /= 10) digits[count++] = (char)('0' + pid % 10);
    char *to = *variable + sizeof name - 1;
    while (count > 0) *to++ = digits[--count];
    *to = 0;
  }
}

int zlr_spawn(const char *file, char *const argv[], char *const envp[], const struct zlr_gift *gift, bool dies_with_parent,
              struct zlr_child *out) {
  int report[2]; /* closed by a successful exec, else carries errno */
  if (pipe2(report, O_CLOEXEC)) return -errno;
  sigset_t all, mask;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &mask); /* no handler of the parent may run in the child */
  const pid_t parent = getpid(), pid = fork();
  if (pid == 0) {
    if (dies_with_parent && !zlr_die_with(parent)) _exit(127);
    put_pid(envp);
    const int why = zlr_become(file, argv, envp, &mask, gift);
    if (write(report[1], &why, sizeof why) < 0) _exit(126);
    _exit(127);
  }
  int error = pid < 0 ? errno : 0;
  sigprocmask(SIG_SETMASK, &mask, NULL);
  close(report[1]);
  if (pid > 0) {
    ssize_t n;
    do n = read(report[0], &error, sizeof error);
    while (n < 0 && errno == EINTR);
    if (error) waitpid(pid, NULL, 0);
  }
  close(report[0]);
  if (error) return -error;
  out->pid = pid;
  out->pidfd = zlr_pidfd(pid);
  return out->pidfd < 0 ? out->pidfd : 0;
}

int zlr_pidfd(pid_t pid) {
  const int fd = (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */
  return fd < 0 ? -errno : fd;
}

int zlr_reap(pid_t pid, struct zlr_status *out) {
  siginfo_t info = {.si_pid = 0};
  if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG)) return -errno;
  if (info.si_pid == 0) return -EAGAIN;
  out->signaled = info.si_code != CLD_EXITED;
  out->dumped = info.si_code == CLD_DUMPED;
  out->number = info.si_status;
  return 0;
}
