/*
 * The channel record: all that must outlive a process about one byte stream.
 *
 * It is the head of a record in a table of the state store; what follows it in the record is the owner's.
 * Native code and TypeScript both write it, each its own fields (the letter in the drawing):
 *
 *    0        8        16       24       32       40       48   52   56   60   64   68   72
 *    +--------+--------+--------+--------+--------+--------+----+----+----+----+----+----+
 *    | cookie |consumed| hold_  | out_   | file_  | file_  | fd |hold|out |out |file|flag|
 *    |        |        | base   | base   | offset | length |    |slot|slot|len |_fd |s   |
 *    +--------+--------+--------+--------+--------+--------+----+----+----+----+----+----+
 *        T        T        N        T        T        T      T    N    T    T    T    T
 *
 *    T: written by TypeScript inside a transaction of the store.  N: written by native code, one word at a time.
 *
 * Positions count bytes since accept(). Input:  consumed <= read;  the bytes [consumed, read) are held, in
 * slot hold_slot - 1, where the byte at position p lies at p - hold_base. Output: the answer being sent is
 * out_length bytes of slot out_slot - 1, then file_length bytes of file_fd from file_offset; its first byte
 * has position out_base. How far reading and writing have come (read, written) is NOT recorded: the kernel
 * knows it exactly (books.h), also when a process is killed between a system call and its next instruction.
 */
#ifndef ZLR_CHANNEL_H
#define ZLR_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

struct zlr_channel {
  uint64_t cookie;      /* SO_COOKIE: names the socket beyond its fd number */
  uint64_t consumed;    /* delete position of the input */
  uint64_t hold_base;   /* input position of the hold slot's first byte */
  uint64_t out_base;    /* output position of the answer's first byte */
  uint64_t file_offset; /* where in the file its part of the answer starts */
  uint64_t file_length; /* bytes of the answer that come from the file */
  int32_t fd;
  uint32_t hold_slot;   /* number of the hold slot + 1; 0: nothing is held */
  uint32_t out_slot;    /* number of the output slot + 1; 0: none */
  uint32_t out_length;  /* bytes of the answer that come from the slot */
  int32_t file_fd;      /* an fd kept over restarts; -1: none */
  uint32_t flags;       /* ZLR_CLOSE_AFTER */
};

enum { ZLR_CLOSE_AFTER = 1 }; /* the connection ends with this answer */

_Static_assert(offsetof(struct zlr_channel, cookie) == 0, "layout");
_Static_assert(offsetof(struct zlr_channel, consumed) == 8, "layout");
_Static_assert(offsetof(struct zlr_channel, hold_base) == 16, "layout");
_Static_assert(offsetof(struct zlr_channel, out_base) == 24, "layout");
_Static_assert(offsetof(struct zlr_channel, file_offset) == 32, "layout");
_Static_assert(offsetof(struct zlr_channel, file_length) == 40, "layout");
_Static_assert(offsetof(struct zlr_channel, fd) == 48, "layout");
_Static_assert(offsetof(struct zlr_channel, hold_slot) == 52, "layout");
_Static_assert(offsetof(struct zlr_channel, out_slot) == 56, "layout");
_Static_assert(offsetof(struct zlr_channel, out_length) == 60, "layout");
_Static_assert(offsetof(struct zlr_channel, file_fd) == 64, "layout");
_Static_assert(offsetof(struct zlr_channel, flags) == 68, "layout");
_Static_assert(sizeof(struct zlr_channel) == 72, "no hidden padding");

#endif
