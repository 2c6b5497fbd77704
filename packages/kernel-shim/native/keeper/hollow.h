/* Dropping the memory that a keeper was cloned with: a service may have gigabytes, a keeper needs 50 kB. */
#ifndef ZLR_HOLLOW_H
#define ZLR_HOLLOW_H

#include <stdint.h>

/* Drops every private anonymous page but those of this thread's libc record and of the stack around `frame`: the caller
 * never returns from that frame, and keeps nothing on the heap or in static variables. */
void zlr_hollow(uintptr_t frame);

#endif
