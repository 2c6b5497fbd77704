#define _GNU_SOURCE
#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* A preloaded library may stand before the C library's send and receive, with memory of its own that a keeper has dropped: so
 * the kernel is called without either. */

int zlr_pair(int ends[2]) {
  return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) ? -errno : 0;
}

/* A number that somebody has closed may be another file's by now: a word must not get into a client's stream. */
static bool is_link(int fd) {
  int type = 0;
  socklen_t length = sizeof type;
  return syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET;
}

int zlr_send(int link, const struct zlr_word *word, const struct zlr_entry *entries, const int *fds, unsigned count) {
  if (!is_link(link)) return -ENOTSOCK;
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * ZLR_BATCH_MAX)];
  } control;
  struct iovec parts[2] = {{(void *)word, sizeof *word}, {(void *)entries, count * sizeof *entries}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = entries ? 2 : 1};
  if (count > 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
  }
  ssize_t n;
  do n = syscall(SYS_sendmsg, link, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : 0;
}

int zlr_receive(int link, struct zlr_received *out, enum zlr_waiting waiting) {
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * ZLR_BATCH_MAX) + CMSG_SPACE(sizeof(struct ucred))];
  } control;
  struct iovec parts[2] = {{&out->word, sizeof out->word}, {out->entries, sizeof out->entries}};
  struct msghdr message = {
      .msg_iov = parts, .msg_iovlen = 2, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t n;
  if (waiting == ZLR_BLOCKING) { /* also where a loop that watches the link has made it non-blocking */
    struct pollfd wait = {link, POLLIN, 0};
    while (poll(&wait, 1, -1) < 0 && errno == EINTR) continue;
  }
  /* ECONNRESET: the other end was closed with words of ours unread. It is told once, before what waits here to be read. */
  do n = syscall(SYS_recvmsg, link, &message, MSG_CMSG_CLOEXEC | (waiting == ZLR_AT_ONCE ? MSG_DONTWAIT : 0));
  while (n < 0 && (errno == EINTR || errno == ECONNRESET));
  if (n < 0) return -errno;
  out->count = 0;
  out->pid = 0;
  out->uid = (uid_t)-1;
  for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET) continue;
    if (head->cmsg_type == SCM_RIGHTS) {
      out->count = (unsigned)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
      memcpy(out->fds, CMSG_DATA(head), out->count * sizeof(int));
    } else if (head->cmsg_type == SCM_CREDENTIALS) {
      struct ucred from;
      memcpy(&from, CMSG_DATA(head), sizeof from);
      out->pid = from.pid;
      out->uid = from.uid;
    }
  }
  if (n == 0) return 0;
  const size_t entries = (size_t)n - sizeof out->word;
  const bool whole = n >= (ssize_t)sizeof out->word && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
  if (whole && (entries == 0 || entries == out->count * sizeof(struct zlr_entry))) return 1;
  for (unsigned i = 0; i < out->count; i++) close(out->fds[i]);
  return -EBADMSG;
}

int zlr_ask_who(int link) {
  const int on = 1;
  return setsockopt(link, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) ? -errno : 0;
}

static int address_of(const char *path, struct sockaddr_un *out) {
  *out = (struct sockaddr_un){.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof out->sun_path) return -ENAMETOOLONG;
  strcpy(out->sun_path, path);
  return 0;
}

int zlr_door(const char *path) {
  struct sockaddr_un address;
  int error = address_of(path, &address);
  if (error) return error;
  const int door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (door < 0) return -errno;
  if (bind(door, (struct sockaddr *)&address, sizeof address) || listen(door, 64)) {
    error = -errno;
    close(door);
    return error;
  }
  return door;
}

int zlr_answer_door(int door, pid_t *pid, uid_t *uid) {
  const int link = accept4(door, NULL, NULL, SOCK_CLOEXEC);
  if (link < 0) return -errno;
  struct ucred from = {.pid = 0, .uid = (uid_t)-1};
  socklen_t length = sizeof from;
  getsockopt(link, SOL_SOCKET, SO_PEERCRED, &from, &length); /* of a unix socket it cannot fail */
  *pid = from.pid;
  *uid = from.uid;
  return link;
}

int zlr_knock(const char *path) {
  struct sockaddr_un address;
  int error = address_of(path, &address);
  if (error) return error;
  const int link = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (link < 0) return -errno;
  if (connect(link, (struct sockaddr *)&address, sizeof address)) {
    error = -errno;
    close(link);
    return error;
  }
  return link;
}
