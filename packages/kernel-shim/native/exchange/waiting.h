/* Connections that no server has yet: one epoll set beside libuv's, until they are readable or writable. */
#ifndef ZLR_WAITING_H
#define ZLR_WAITING_H

#include <stdint.h>

struct zlr_waiting {
  int epoll; /* readable when any of them is ready; -1: none was ever waited for */
};

/* Waits once for EPOLLIN or EPOLLOUT. 0 or a negative errno. */
int zlr_wait_for(struct zlr_waiting *waiting, int fd, uint32_t events);
/* No longer waits for it; it need not have been waited for. */
void zlr_wait_no_more(struct zlr_waiting *waiting, int fd);
/* The descriptors that are ready, at most `most`; they are waited for no longer. */
int zlr_wait_ready(struct zlr_waiting *waiting, int *fds, int most);

#endif
