/* What a process does between its clone and its exec as a generation. */
#ifndef ZLR_BECOME_H
#define ZLR_BECOME_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/*
 * Becomes a program, with the two links as its descriptors 3 and 4 (-1: none), standard input, output and error, and nothing else
 * open; in a session of its own, so that neither the terminal nor a kill meant for another generation's group reaches it.
 * Returns only when the program cannot be executed: errno.
 */
int zlr_become(const char *file, char *const argv[], char *const envp[], const sigset_t *mask, int link, int keeper_link);

/* The kernel kills this process when its parent dies. False: that has happened already. */
bool zlr_die_with(pid_t parent);

#endif
