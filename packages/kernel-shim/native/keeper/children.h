/* Processes seen from their parent: starting generations, and exact wait statuses. */
#ifndef ZLR_CHILDREN_H
#define ZLR_CHILDREN_H

#include <stdbool.h>
#include <sys/types.h>

#include "become.h"

struct zlr_child {
  pid_t pid;
  int pidfd;
};

/*
 * Starts a program in a session of its own, with this process' stdio and working directory. A variable LISTEN_PID of ten digits gets
 * its pid (man 3 sd_listen_fds). dies_with_parent: until it has taken over, nobody else would know of it. 0 or a negative errno (also
 * when the program cannot be executed).
 */
int zlr_spawn(const char *file, char *const argv[], char *const envp[], const struct zlr_gift *gift, bool dies_with_parent,
              struct zlr_child *out);

/* A close-on-exec pidfd of any process, or a negative errno. */
int zlr_pidfd(pid_t pid);

struct zlr_status {
  bool signaled;
  bool dumped;
  int number; /* the signal, or the exit code */
};

/* Reaps one child that has ended. 0, -EAGAIN when it still runs, -ECHILD when it is not a child of this process. */
int zlr_reap(pid_t pid, struct zlr_status *out);

#endif
