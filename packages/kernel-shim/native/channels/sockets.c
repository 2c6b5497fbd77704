#define _GNU_SOURCE
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static socklen_t numeric_address(const char *text, uint16_t port, struct sockaddr_storage *out) {
  memset(out, 0, sizeof *out);
  struct sockaddr_in *v4 = (struct sockaddr_in *)out;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return sizeof *v4;
  }
  if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return sizeof *v6;
  }
  return 0;
}

/*
 * Output that waits in the kernel is output that a reader's stall keeps there: with the default it may be 4 MB a
 * connection. What is not sent yet is better kept in the file or the slot it comes from, and this much is enough to
 * keep the line busy until the next turn of the loop.
 */
enum { UNSENT_MAX = 128 * 1024 };

enum { GIVEN_MAX = 64 };
static struct {
  int fds[GIVEN_MAX];
  int count;
} given;

void zlr_mark_channel(int fd) {
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
}

int zlr_give_listener(int fd) {
  if (given.count == GIVEN_MAX) return -ENOBUFS;
  const int on = 1, flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC) ||
      setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on)) {
    return -errno;
  }
  given.fds[given.count++] = fd;
  return 0;
}

/* -1: none was given for this address */
static int take_given(const struct sockaddr_storage *where, socklen_t length) {
  for (int i = 0; i < given.count; i++) {
    struct sockaddr_storage its;
    socklen_t size = sizeof its;
    const int fd = given.fds[i];
    if (getsockname(fd, (struct sockaddr *)&its, &size) || its.ss_family != where->ss_family || size != length) continue;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)where, *its4 = (const struct sockaddr_in *)&its;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)where, *its6 = (const struct sockaddr_in6 *)&its;
    const bool same = where->ss_family == AF_INET
                        ? v4->sin_port == its4->sin_port && v4->sin_addr.s_addr == its4->sin_addr.s_addr
                        : v6->sin6_port == its6->sin6_port && !memcmp(&v6->sin6_addr, &its6->sin6_addr, sizeof v6->sin6_addr);
    if (!same) continue;
    given.fds[i] = given.fds[--given.count];
    return fd;
  }
  return -1;
}

int zlr_bind(const char *address, uint16_t port, bool shared) {
  struct sockaddr_storage where;
  const socklen_t length = numeric_address(address, port, &where);
  if (length == 0) return -EINVAL;
  const int taken = take_given(&where, length);
  if (taken >= 0) return taken;
  const int fd = socket(where.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0) return -errno;
  /* The mark is set before the first connection can exist: accept() copies it to it. */
  const int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
      (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on)) ||
      setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on) || bind(fd, (struct sockaddr *)&where, length)) {
    const int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

int zlr_listen(const char *address, uint16_t port, int backlog, bool shared) {
  const int fd = zlr_bind(address, port, shared);
  if (fd < 0) return fd;
  const int on = 1, unsent = UNSENT_MAX; /* copied to connections as well */
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) ||
      setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent) || listen(fd, backlog)) {
    const int error = errno;
    close(fd);
    return -error;
  }
  /* Where the system opens every listening socket to it (net.ipv4.tcp_fastopen): bytes that come with a SYN are not in
   * the kernel's books as others are. Behind listen(), which is what sets it. */
  const int none = 0;
  setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &none, sizeof none);
  return fd;
}

int zlr_local_address(int fd, char *address, uint16_t *port) {
  struct sockaddr_storage where;
  socklen_t length = sizeof where;
  if (getsockname(fd, (struct sockaddr *)&where, &length)) return -errno;
  const struct sockaddr_in *v4 = (const struct sockaddr_in *)&where;
  const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&where;
  const bool is_v4 = where.ss_family == AF_INET;
  if (!is_v4 && where.ss_family != AF_INET6) return -EAFNOSUPPORT;
  *port = ntohs(is_v4 ? v4->sin_port : v6->sin6_port);
  const void *bytes = is_v4 ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr;
  return inet_ntop(where.ss_family, bytes, address, INET6_ADDRSTRLEN) ? 0 : -errno;
}
