/* Listening sockets and addresses. */
#ifndef ZLR_SOCKETS_H
#define ZLR_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A listening socket that somebody else has opened for this process (systemd). The next zlr_bind or zlr_listen at its address takes it.
 * 0 or a negative errno.
 */
int zlr_give_listener(int fd);

/* A connection that had come before its listening socket was marked has no mark: whoever accepts one sets it. */
void zlr_mark_channel(int fd);

/*
 * A TCP socket bound to a numeric address, non-blocking, marked as a channel, that does not listen yet. `shared`: other sockets of this user
 * may be bound to it, too, if they say the same, and the kernel deals connections out (SO_REUSEPORT). The fd or a negative errno.
 */
int zlr_bind(const char *address, uint16_t port, bool shared);

/* A listening TCP socket on a numeric address, non-blocking, marked as a channel. The fd or a negative errno. */
int zlr_listen(const char *address, uint16_t port, int backlog, bool shared);

/* The numeric local address (at least 46 bytes) and port of a socket. 0 or a negative errno. */
int zlr_local_address(int fd, char *address, uint16_t *port);

#endif
