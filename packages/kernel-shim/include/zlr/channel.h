/*
 * What must outlive a process about one byte stream: a record, and the extents that it names.
 *
 * A record is the head of one in a table of the state store; what follows it there is the owner's. Native code and
 * TypeScript both write it, each its own fields (the letter in the drawing):
 *
 *    0        8        16       24   28   32   36 38 39 40
 *    +--------+--------+--------+----+----+----+--+-+-+
 *    | cookie |consumed|out_end |hold|out_| fd |ve|k|f|
 *    |        |        |        |head|head|    |rs|i|l|
 *    +--------+--------+--------+----+----+----+--+-+-+
 *        T        T        T      N    NT   T    T T T
 *
 *    T: written by TypeScript inside a transaction of the store.  N: written by native code, one word at a time,
 *    which never happens inside a transaction.
 *
 * An extent is a piece of the pool's memory, small or large; what it is used for stands beside it, in a table of its
 * own. Extents are linked into chains, two for each record: the input that is held, and the output that waits.
 *
 *    0        8        16       24       32       40   44   48   52   56
 *    +--------+--------+--------+--------+--------+----+----+----+----+
 *    |  base  |file_   |file_   |file_   |file_   |next|own-|len-|file|
 *    |        |offset  |length  |device  |inode   |    |er  |gth |_fd |
 *    +--------+--------+--------+--------+--------+----+----+----+----+
 *
 * Positions count bytes since the connection began. Input: consumed <= read; the bytes [consumed, read) are held, in
 * the chain of hold_head, where the byte at position p lies at p - base of the extent that [base, base + its size)
 * of the stream falls to. Output: of the chain of out_head each extent gives first `length` bytes of its memory, then
 * file_length bytes of a file from file_offset, and the first of all these has position base. What lies at or beyond
 * out_end is not part of the output, whatever `next` says: it belongs to a transaction that did not end.
 *
 * How far reading and writing have come (read, written) is NOT recorded: the kernel knows it exactly (books.h), also
 * when a process is killed between a system call and its next instruction.
 */
#ifndef ZLR_CHANNEL_H
#define ZLR_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

struct zlr_channel {
  uint64_t cookie;    /* SO_COOKIE: names the socket beyond its fd number */
  uint64_t consumed;  /* delete position of the input */
  uint64_t out_end;   /* output position behind the last byte that is to be sent */
  uint32_t hold_head; /* number of the first extent that holds input + 1; 0: nothing is held */
  uint32_t out_head;  /* number of the first extent with output + 1; 0: all of it is sent */
  int32_t fd;
  uint16_t version;   /* ZLR_CHANNEL_VERSION */
  uint8_t kind;       /* enum zlr_kind */
  uint8_t flags;      /* enum zlr_flag */
};

struct zlr_extent {
  uint64_t base;        /* position of its first byte in the stream */
  uint64_t file_offset; /* where in the file its part of the output starts */
  uint64_t file_length; /* bytes of the output that come from the file */
  uint64_t file_device; /* which file that is: descriptors have other numbers in another process */
  uint64_t file_inode;
  uint32_t next;        /* number of the chain's next extent + 1; 0: it is the last */
  uint32_t owner;       /* number of the record in its table + 1 */
  uint32_t length;      /* bytes of the output that come from its memory */
  int32_t file_fd;      /* kept over restarts; -1: none */
};

enum { ZLR_CHANNEL_VERSION = 2 };
enum zlr_kind { ZLR_TCP = 1 };
enum zlr_flag {
  ZLR_CLOSE_AFTER = 1, /* the connection ends when its output is sent */
  ZLR_WORKING = 2,     /* user code is at work on its input */
  ZLR_ALONE = 4,       /* and on no other's */
  ZLR_OPENED = 8,      /* its owner has heard of it */
};

_Static_assert(offsetof(struct zlr_channel, cookie) == 0, "layout");
_Static_assert(offsetof(struct zlr_channel, consumed) == 8, "layout");
_Static_assert(offsetof(struct zlr_channel, out_end) == 16, "layout");
_Static_assert(offsetof(struct zlr_channel, hold_head) == 24, "layout");
_Static_assert(offsetof(struct zlr_channel, out_head) == 28, "layout");
_Static_assert(offsetof(struct zlr_channel, fd) == 32, "layout");
_Static_assert(offsetof(struct zlr_channel, version) == 36, "layout");
_Static_assert(offsetof(struct zlr_channel, kind) == 38, "layout");
_Static_assert(offsetof(struct zlr_channel, flags) == 39, "layout");
_Static_assert(sizeof(struct zlr_channel) == 40, "no hidden padding");

_Static_assert(offsetof(struct zlr_extent, base) == 0, "layout");
_Static_assert(offsetof(struct zlr_extent, file_offset) == 8, "layout");
_Static_assert(offsetof(struct zlr_extent, file_length) == 16, "layout");
_Static_assert(offsetof(struct zlr_extent, file_device) == 24, "layout");
_Static_assert(offsetof(struct zlr_extent, file_inode) == 32, "layout");
_Static_assert(offsetof(struct zlr_extent, next) == 40, "layout");
_Static_assert(offsetof(struct zlr_extent, owner) == 44, "layout");
_Static_assert(offsetof(struct zlr_extent, length) == 48, "layout");
_Static_assert(offsetof(struct zlr_extent, file_fd) == 52, "layout");
_Static_assert(sizeof(struct zlr_extent) == 56, "no hidden padding");

#endif
