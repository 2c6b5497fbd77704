#define _GNU_SOURCE
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "room.h"

enum { HIGH = 512 };

/* Moves a descriptor up, out of the way of what a process opens while it starts: a successor gives it its number again
 * (native/keeper/handover.c), by which the records know it. Where there is no room it stays where it is. */
static int move_up(int fd) {
  const int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH);
  if (high < 0) return fd;
  close(fd);
  return high;
}

int zlr_open_beneath(int directory, const char *path, struct zlr_file *out) {
  /* O_NONBLOCK: a FIFO that somebody put there must not stop the service. O_APPEND: see table.h */
  struct open_how how = {.flags = O_RDONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  long fd;
  int tries = 16; /* EAGAIN: something on the path was renamed meanwhile, the kernel could not be sure */
  do fd = syscall(SYS_openat2, directory, path, &how, sizeof how);
  while (fd < 0 && errno == EAGAIN && --tries > 0);
  if (fd < 0) return -errno;
  if (zlr_is_last_room((int)fd)) {
    close((int)fd);
    return -EMFILE;
  }
  struct stat s; /* which is the kernel's, too, on 64 bits; the C library's fstat is a new symbol in glibc 2.33 */
  if (syscall(SYS_fstat, (int)fd, &s)) {
    const int error = errno;
    close((int)fd);
    return -error;
  }
  *out = (struct zlr_file){.fd = move_up((int)fd),
                           .mode = s.st_mode,
                           .size = (uint64_t)s.st_size,
                           .device = s.st_dev,
                           .inode = s.st_ino,
                           .mtime_seconds = s.st_mtim.tv_sec,
                           .mtime_ns = (uint32_t)s.st_mtim.tv_nsec,
                           .ctime_seconds = s.st_ctim.tv_sec,
                           .ctime_ns = (uint32_t)s.st_ctim.tv_nsec};
  return 0;
}
