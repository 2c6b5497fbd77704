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

struct zlr_watched zlr_watch(pid_t pid) {
  struct zlr_watched watched = {.pid = pid, .pidfd = {.fd = -1}};
  zlr_watching(&watched);
  return watched;
}

/* Before Linux 6.9 all anonymous files have one inode, and an eventfd must not be taken for the death of a process. */
static bool is_pidfd(int fd) { return syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0 || errno != EBADF; }

int zlr_watching(struct zlr_watched *watched) {
  if (watched->pid == 0) return -1;
  if (zlr_is_own(&watched->pidfd) && is_pidfd(watched->pidfd.fd)) return watched->pidfd.fd;
  const int fd = (int)syscall(SYS_pidfd_open, watched->pid, 0);
  if (fd < 0 && errno == ESRCH) watched->pid = 0;
  watched->pidfd = zlr_own_high(fd);
  return watched->pidfd.fd;
}

bool zlr_has_died(struct zlr_watched *watched) {
  struct pollfd look = {zlr_watching(watched), POLLIN, 0};
  const bool readable = look.fd >= 0 && poll(&look, 1, 0) == 1 && look.revents & POLLIN;
  if (readable && zlr_is_own(&watched->pidfd)) zlr_forget(watched);
  return watched->pid == 0;
}

void zlr_forget(struct zlr_watched *watched) {
  watched->pid = 0;
  zlr_drop(&watched->pidfd);
}
