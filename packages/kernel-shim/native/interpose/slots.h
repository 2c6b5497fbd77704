/* Calls of one object of the process are led elsewhere, by the slots through which the dynamic linker bound them. */
#ifndef ZLR_SLOTS_H
#define ZLR_SLOTS_H

#include <stddef.h>

struct zlr_stand_in {
  const char *name; /* of the function that is called */
  void *function;   /* what is called instead */
  void *before;     /* out: what was called before */
  int slots;        /* out: how many were found */
};

/*
 * (Whoever stands in for read() must not take the address of read: where a program that is not position-independent takes it too, its
 * address is that of the program's own stub, which leads through the slot.)
 *
 * Leads the calls of the object that contains `inside`. Nothing else of the process notices: other objects, this addon too,
 * call what they called before. 0, or a negative errno; -ENOENT: no loaded object contains the address.
 */
int zlr_stand_in(const void *inside, struct zlr_stand_in *calls, size_t count);

#endif
