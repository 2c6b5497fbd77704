/* libuv's calls on the connections that are talked about go through here; all others pass by. */
#ifndef ZLR_CALLS_H
#define ZLR_CALLS_H

#include "talk.h"

/*
 * Leads libuv's read, write, writev, accept4 and close (which it makes by syscall) here. 0 or a negative errno; -ENOTSUP: one
 * of them has no slot that can be led elsewhere.
 */
int zlr_calls_lead(void);
/* Leads them back: this process is as if we had never been there. */
void zlr_calls_restore(void);

/* The talk of a descriptor, NULL: there is none. */
struct zlr_talk *zlr_calls_find(int fd);
/* False: the descriptor's number is beyond the table. */
bool zlr_calls_enter(struct zlr_talk *talk);
/* Ends what a descriptor had, if anything. */
void zlr_calls_leave(int fd);

#endif
