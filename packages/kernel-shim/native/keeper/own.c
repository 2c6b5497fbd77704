#define _GNU_SOURCE
#include "own.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h> /* fstat: the C library's is a new symbol in glibc 2.33 */
#include <unistd.h>

struct zlr_own zlr_own(int fd) {
  struct stat stat;
  if (fd < 0 || syscall(SYS_fstat, fd, &stat)) return (struct zlr_own){.fd = -1};
  return (struct zlr_own){fd, stat.st_dev, stat.st_ino};
}

enum { HIGH = 384 };

struct zlr_own zlr_own_high(int fd) {
  const int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, HIGH);
  if (high < 0) return zlr_own(fd);
  close(fd);
  return zlr_own(high);
}

bool zlr_is_own(const struct zlr_own *own) {
  struct stat stat;
  return own->fd >= 0 && !syscall(SYS_fstat, own->fd, &stat) && stat.st_dev == own->device && stat.st_ino == own->inode;
}

void zlr_drop(struct zlr_own *own) {
  if (zlr_is_own(own)) close(own->fd);
  own->fd = -1;
}

/* Field 22 of /proc/PID/stat (man 5 proc_pid_stat); 0: there is no such process, or no descriptor to read it with. */
static uint64_t start_time(pid_t pid) {
  char path[32] = "/proc/", digits[12], line[512];
  size_t at = 6, count = 0;
  for (unsigned left = (unsigned)pid; left; left /= 10) digits[count++] = (char)('0' + left % 10);
  while (count > 0) path[at++] = digits[--count];
  for (const char *rest = "/stat"; *rest; rest++) path[at++] = *rest;
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t n = read(file, line, sizeof line);
  close(file);
  ssize_t i = n - 1;
  while (i > 0 && line[i] != ')') i--; /* the name, in brackets, may hold anything */
  for (int field = 2; i < n && field < 22; i++) if (line[i] == ' ') field++;
  uint64_t value = 0;
  for (; i < n && line[i] >= '0' && line[i] <= '9'; i++) value = value * 10 + (uint64_t)(line[i] - '0');
  return value;
}

struct zlr_watched zlr_watch(pid_t pid) {
  struct zlr_watched watched = {.pid = pid, .pidfd = {.fd = -1}};
  if (pid > 0) watched.started = start_time(pid);
  zlr_watching(&watched);
  return watched;
}

/* Before Linux 6.9 all anonymous files have one inode, and an eventfd must not be taken for the death of a process. */
static bool is_pidfd(int fd) { return syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0 || errno != EBADF; }

int zlr_watching(struct zlr_watched *watched) {
  if (watched->pid == 0) return -1;
  if (zlr_is_own(&watched->pidfd) && is_pidfd(watched->pidfd.fd)) return watched->pidfd.fd;
  const int fd = (int)syscall(SYS_pidfd_open, watched->pid, 0);
  const uint64_t started = fd < 0 ? 0 : start_time(watched->pid);
  if ((fd < 0 && errno == ESRCH) || (started != 0 && watched->started != 0 && started != watched->started)) {
    if (fd >= 0) close(fd); /* another process has its number by now */
    watched->pid = 0;
    watched->pidfd.fd = -1;
    return -1;
  }
  watched->pidfd = zlr_own_high(fd);
  return watched->pidfd.fd;
}

bool zlr_has_died(struct zlr_watched *watched) {
  struct pollfd look = {zlr_watching(watched), POLLIN, 0};
  const bool readable = look.fd >= 0 && poll(&look, 1, 0) == 1 && look.revents & POLLIN;
  if (readable && zlr_is_own(&watched->pidfd)) watched->pid = 0;
  return watched->pid == 0;
}

void zlr_forget(struct zlr_watched *watched) {
  watched->pid = 0;
  zlr_drop(&watched->pidfd);
}
