#define _GNU_SOURCE
#include "room.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

/* Asked each time: prlimit() changes it while a process runs. */
static int limit(void) {
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur > INT_MAX) return INT_MAX;
  return (int)files.rlim_cur;
}

static int reserve(int of) { return of / 4 < ZLR_RESERVE ? of / 4 : ZLR_RESERVE; }

int zlr_first_reserved(void) {
  const int all = limit();
  return all - reserve(all);
}

bool zlr_is_last_room(int fd) {
  const int all = limit();
  return fd >= all - reserve(all) / 2;
}

/* The kernel gives the lowest number that is free, to a copy as to a connection. */
bool zlr_has_room(int first) {
  const int next = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
  if (next < 0) return false;
  close(next);
  return next < first;
}
