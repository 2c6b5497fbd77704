#define _GNU_SOURCE
#include "calls.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

#include "../channels/room.h"
#include "../interpose/slots.h"
#include "../keeper/table.h"

enum { FDS = 1 << 16 };

/*
 * By descriptor. Threads other than the main one look here too (a file that is read in libuv's pool), but only at numbers
 * that are theirs. A forked child must not: what it closes is the parent's, so its table is empty (MADV_WIPEONFORK).
 */
static struct zlr_talk **talks;

struct zlr_talk *zlr_calls_find(int fd) { return talks && (unsigned)fd < FDS ? talks[fd] : NULL; }

bool zlr_calls_enter(struct zlr_talk *talk) {
  if ((unsigned)talk->fd >= FDS) return false;
  talks[talk->fd] = talk;
  return true;
}

void zlr_calls_leave(int fd) {
  struct zlr_talk *talk = zlr_calls_find(fd);
  if (!talk) return;
  talk->tally->closes++;
  talks[fd] = NULL;
  zlr_talk_end(talk);
}

static ssize_t our_read(int fd, void *buffer, size_t length) {
  struct zlr_talk *talk = zlr_calls_find(fd);
  return talk ? zlr_talk_read(talk, buffer, length) : read(fd, buffer, length);
}

static ssize_t our_write(int fd, const void *buffer, size_t length) {
  struct zlr_talk *talk = zlr_calls_find(fd);
  if (!talk) return write(fd, buffer, length);
  const struct iovec part = {(void *)buffer, length};
  return zlr_talk_write(talk, &part, 1);
}

static ssize_t our_writev(int fd, const struct iovec *parts, int count) {
  struct zlr_talk *talk = zlr_calls_find(fd);
  return talk ? zlr_talk_write(talk, parts, count) : writev(fd, parts, count);
}

static int our_close(int fd) {
  zlr_calls_leave(fd);
  return close(fd);
}

/*
 * At the end of the table libuv accepts and closes, so that those who come learn at once that there is no room. It does so before
 * the reserve of the table here: with a full one, a fault would end the connections that are there.
 */
static int our_accept4(int listener, struct sockaddr *address, socklen_t *length, int flags) {
  const int fd = accept4(listener, address, length, flags);
  if (fd < 0 || fd < zlr_first_reserved() || zlr_mark_of(fd) != ZLR_CHANNEL) return fd;
  close(fd);
  errno = EAGAIN;
  return -1;
}

/* libuv closes sockets by syscall(SYS_close): close() is a cancellation point */
static long our_syscall(long number, long a, long b, long c, long d, long e, long f) {
  if (number == SYS_close) zlr_calls_leave((int)a);
  return syscall(number, a, b, c, d, e, f);
}

static struct zlr_stand_in calls[] = {
    {.name = "read", .function = (void *)our_read},   {.name = "write", .function = (void *)our_write},
    {.name = "writev", .function = (void *)our_writev}, {.name = "close", .function = (void *)our_close},
    {.name = "syscall", .function = (void *)our_syscall}, {.name = "accept4", .function = (void *)our_accept4},
};
enum { CALLS = sizeof calls / sizeof *calls };

int zlr_calls_lead(void) {
  if (!talks) {
    void *table = mmap(NULL, FDS * sizeof *talks, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED) return -errno;
    if (madvise(table, FDS * sizeof *talks, MADV_WIPEONFORK)) return -errno;
    talks = table;
  }
  const int error = zlr_stand_in((const void *)uv_read_start, calls, CALLS);
  if (error) return error;
  for (int i = 0; i < CALLS; i++)
    if (calls[i].slots == 0) return -ENOTSUP;
  return 0;
}

void zlr_calls_restore(void) {
  if (calls[0].slots == 0) return; /* they were never led */
  struct zlr_stand_in back[CALLS];
  for (int i = 0; i < CALLS; i++) back[i] = (struct zlr_stand_in){.name = calls[i].name, .function = calls[i].before};
  zlr_stand_in((const void *)uv_read_start, back, CALLS);
}
