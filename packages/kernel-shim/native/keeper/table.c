#define _GNU_SOURCE
#include "table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum zlr_mark zlr_mark_of(int fd) {
  int marked = 0;
  socklen_t length = sizeof marked;
  if (getsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &marked, &length) == 0) return marked ? ZLR_CHANNEL : ZLR_UNMARKED;
  const int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) == O_RDONLY && flags & O_APPEND ? ZLR_FILE : ZLR_UNMARKED;
}

/* man 2 getdents64: the record is not in any header */
struct entry {
  uint64_t inode;
  int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[];
};

static void try_each_fd(bool (*visit)(int fd, void *context), void *context) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit)) return;
  /* a limit that was lowered leaves what is above it open */
  const int end = limit.rlim_max < INT_MAX ? (int)limit.rlim_max : INT_MAX;
  for (int fd = 3; fd < end; fd++) {
    if (fcntl(fd, F_GETFD) >= 0 && !visit(fd, context)) return;
  }
}

void zlr_each_fd(bool (*visit)(int fd, void *context), void *context) {
  const int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) {
    try_each_fd(visit, context);
    return;
  }
  _Alignas(8) char buffer[2048];
  for (bool go_on = true; go_on;) {
    const long n = syscall(SYS_getdents64, directory, buffer, sizeof buffer);
    if (n <= 0) break;
    for (long at = 0; go_on && at < n;) {
      const struct entry *entry = (const struct entry *)(buffer + at);
      at += entry->length;
      int fd = 0;
      const char *digit = entry->name;
      if (*digit < '0' || *digit > '9') continue; /* . and .. */
      for (; *digit; digit++) fd = fd * 10 + (*digit - '0');
      if (fd > 2 && fd != directory) go_on = visit(fd, context);
    }
  }
  close(directory);
}
