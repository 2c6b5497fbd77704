/* Exact stream positions of a TCP connection, read from the kernel's own books. */
#ifndef ZLR_BOOKS_H
#define ZLR_BOOKS_H

#include <stdbool.h>
#include <stdint.h>

struct zlr_books {
  uint64_t cookie;  /* SO_COOKIE */
  uint64_t written; /* bytes ever accepted by send() on this socket */
  uint64_t read;    /* bytes ever returned by recv() on this socket */
  uint64_t unread;  /* bytes that wait to be received */
  bool peer_ended;  /* the peer's FIN has arrived */
  bool dead;        /* the connection is reset or wholly closed: nothing can be sent any more */
};

/* 0, or a negative errno: -ENOTSOCK, -EOPNOTSUPP (not TCP), -EBADF. */
int zlr_books(int fd, struct zlr_books *out);

#endif
