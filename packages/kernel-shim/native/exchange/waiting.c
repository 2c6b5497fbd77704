#define _GNU_SOURCE
#include "waiting.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>

enum { BATCH = 64 };

int zlr_wait_for(struct zlr_waiting *waiting, int fd, uint32_t events) {
  if (waiting->epoll < 0) waiting->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (waiting->epoll < 0) return -errno;
  struct epoll_event event = {.events = events | EPOLLRDHUP, .data.fd = fd};
  return epoll_ctl(waiting->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

void zlr_wait_no_more(struct zlr_waiting *waiting, int fd) {
  if (waiting->epoll >= 0) epoll_ctl(waiting->epoll, EPOLL_CTL_DEL, fd, NULL); /* -ENOENT is as well */
}

int zlr_wait_ready(struct zlr_waiting *waiting, int *fds, int most) {
  struct epoll_event events[BATCH];
  const int count = epoll_wait(waiting->epoll, events, most < BATCH ? most : BATCH, 0);
  for (int i = 0; i < count; i++) {
    fds[i] = events[i].data.fd;
    zlr_wait_no_more(waiting, fds[i]);
  }
  return count < 0 ? 0 : count;
}
