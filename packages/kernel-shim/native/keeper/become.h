/* What a process does between its clone and its exec as a generation. */
#ifndef ZLR_BECOME_H
#define ZLR_BECOME_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* What it is given besides standard input, output and error. */
struct zlr_gift {
  const int *listeners; /* become 3 and so on, as systemd counts them */
  int count;
  int link, keeper_link; /* the two behind them; -1: none */
};

/*
 * Becomes a program, with what it is given, and nothing else open; in a session of its own, so that neither the terminal nor a kill meant for another generation's group reaches it.
 * Returns only when the program cannot be executed: errno.
 */
int zlr_become(const char *file, char *const argv[], char *const envp[], const sigset_t *mask,
               const struct zlr_gift *gift);

/* The kernel kills this process when its parent dies. False: that has happened already. */
bool zlr_die_with(pid_t parent);

#endif
