/* A link: one end of a SOCK_SEQPACKET pair that carries words (include/zlr/control.h) and descriptors. System calls and
 * the stack only: keepers use it. */
#ifndef ZLR_LINK_H
#define ZLR_LINK_H

#include <sys/types.h>

#include "../../include/zlr/control.h"

/* A pair of links, close-on-exec. 0 or -errno. */
int zlr_pair(int ends[2]);

/* Sends a word, entries after it and descriptors beside it; never blocks, never raises SIGPIPE. 0 or -errno. */
int zlr_send(int link, const struct zlr_word *word, const struct zlr_entry *entries, const int *fds, unsigned count);

struct zlr_received {
  struct zlr_word word;
  struct zlr_entry entries[ZLR_BATCH_MAX];
  int fds[ZLR_BATCH_MAX];
  unsigned count;   /* of fds; they are close-on-exec and belong to the caller */
  pid_t pid;        /* who sent it, as the kernel says; 0: the link does not ask (zlr_ask_who) */
  uid_t uid;
};

enum zlr_waiting { ZLR_AT_ONCE, ZLR_BLOCKING };

/* Receives one word. 1: there is one; 0: the other end is closed; -EAGAIN; -EBADMSG: not a word, or one whose
 * descriptors had no room in the table (those that came are closed); any other -errno. */
int zlr_receive(int link, struct zlr_received *out, enum zlr_waiting waiting);

/* From here on what arrives on this end says who sent it. 0 or -errno. */
int zlr_ask_who(int link);

/* A link that listens at a path, which must not be there. A descriptor, non-blocking, or -errno. */
int zlr_door(const char *path);

/* One that has come to a door: a link, and who it is. A descriptor or -errno. */
int zlr_answer_door(int door, pid_t *pid, uid_t *uid);

/* Goes to a door. A link, or -errno. */
int zlr_knock(const char *path);

#endif
