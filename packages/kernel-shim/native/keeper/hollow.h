/* Dropping the memory that a keeper was cloned with: a service may have gigabytes, a keeper needs 50 kB. */
#ifndef ZLR_HOLLOW_H
#define ZLR_HOLLOW_H

#include <stdint.h>

/* Memory, whole pages. */
struct zlr_span {
  uintptr_t from, to;
};

/*
 * Where the C library has its variables; to be asked before the clone. memcpy() is among those who need them: above which length it
 * copies in blocks of pages is one, and with a zero there it destroys what lies behind 1 kB.
 */
struct zlr_span zlr_library_memory(void);

/* Drops every private anonymous page but those of the C library, of this thread's record in it and of the stack around `frame`:
 * the caller never returns from that frame, and keeps nothing on the heap or in static variables. */
void zlr_hollow(uintptr_t frame, struct zlr_span library);

#endif
