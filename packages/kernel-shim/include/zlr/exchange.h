/*
 * The exchange record: all that must outlive a process about one HTTP/1.1 connection of a program that knows nothing
 * of us. A record lies in a table of the state store; native code alone writes it, while the program runs.
 *
 *    0        8        16   20   24   28   32                        112                       192
 *    +--------+--------+----+----+----+----+-------------------------+-------------------------+
 *    | cookie |in_base |in_ |whi-|att-|flag| progress[0]             | progress[1]             |
 *    |        |        |slot|ch  |empt|s   |                         |                         |
 *    +--------+--------+----+----+----+----+-------------------------+-------------------------+
 *
 *    progress, of which the one named by `which` counts; the other is filled before the word is turned:
 *    0        8        16       24       32       40       48       56       64   68   72  74  76  80
 *    +--------+--------+--------+--------+--------+--------+--------+--------+----+----+---+---+----+
 *    |in_done |out_    |out_pos |out_base|body_   |body_   |chunk_  |digest  |span|out_|sta|int|kind|
 *    |        |start   |        |        |total   |done    |left    |        |    |slot|tus|eri|... |
 *    +--------+--------+--------+--------+--------+--------+--------+--------+----+----+---+---+----+
 *
 * Positions count bytes since accept(). Input: [in_done, read) is held in slot in_slot - 1, the byte at position p at
 * p - in_base. Output: bytes up to out_pos were produced by the program; those that the kernel has not taken yet,
 * [written, out_pos), lie in slot out_slot - 1, the byte at position p at p - out_base. How far reading and writing
 * have come is not recorded: the kernel knows (native/channels/books.h).
 *
 * An answer is complete when in_done has moved beyond its request. Of one that is not, the record has the framing, how
 * much body was produced, and a digest of it: another generation runs the request again, compares, and goes on behind
 * what the client has. `span` bytes behind out_pos may have been given to the kernel without being held; the digest
 * counts them. (When they are all the rest of the answer it does not: the kernel mostly takes them at once, and then nobody
 * asks. A death between the kernel's taking a part of them and the next record leaves what cannot be gone on with.)
 */
#ifndef ZLR_EXCHANGE_H
#define ZLR_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

struct zlr_progress {
  uint64_t in_done;    /* input position of the oldest request that is not answered wholly */
  uint64_t out_start;  /* output position of its answer's first byte, behind 1xx answers */
  uint64_t out_pos;    /* output position produced */
  uint64_t out_base;   /* output position of the output slot's first byte */
  uint64_t body_total; /* of the answer in progress: its Content-Length */
  uint64_t body_done;  /* bytes of its body up to out_pos */
  uint64_t chunk_left; /* bytes of its current chunk that are missing; its size, while that is being read */
  uint64_t digest;     /* of its first body_done + span bytes; ZLR_SPAN_WHOLE: of its first body_done */
  uint32_t span;       /* bytes of its body behind out_pos that the kernel may have */
  uint32_t out_slot;   /* number of the output slot + 1; 0: none */
  uint16_t status;
  uint16_t interim;    /* 1xx answers sent for the request */
  uint8_t framing;     /* enum zlr_framing */
  uint8_t chunk_state; /* enum zlr_chunk_state */
  uint8_t chunk_digits;
  uint8_t flags;       /* ZLR_ANSWER_CLOSES, ... */
};

struct zlr_exchange {
  uint64_t cookie;   /* SO_COOKIE: names the socket; 0: the record is free */
  uint64_t in_base;  /* input position of the input slot's first byte */
  uint32_t in_slot;  /* number of the input slot + 1; 0: nothing is held */
  uint32_t which;    /* the progress that counts */
  uint32_t attempts; /* how often the oldest request was run again; 1 << 31: the last time with no other beside it */
  uint32_t flags;    /* ZLR_OPAQUE, ZLR_UNHELD */
  struct zlr_progress progress[2];
};

enum zlr_framing { ZLR_NO_ANSWER, ZLR_LENGTH, ZLR_CHUNKED, ZLR_UNTIL_END };
enum {
  ZLR_ANSWER_CLOSES = 1,  /* the connection ends with this answer */
  ZLR_ANSWERED_EARLY = 2, /* the oldest request was answered before all of it had come */
  ZLR_SPAN_WHOLE = 4,     /* the span is all the rest of the answer, and the digest does not count it */
};
enum {
  ZLR_OPAQUE = 1, /* not HTTP/1.1 (any more), or beyond what is held: ends with its process */
  ZLR_UNHELD = 2, /* bytes behind in_done were read and not held */
};

_Static_assert(offsetof(struct zlr_progress, in_done) == 0, "layout");
_Static_assert(offsetof(struct zlr_progress, out_start) == 8, "layout");
_Static_assert(offsetof(struct zlr_progress, out_pos) == 16, "layout");
_Static_assert(offsetof(struct zlr_progress, out_base) == 24, "layout");
_Static_assert(offsetof(struct zlr_progress, body_total) == 32, "layout");
_Static_assert(offsetof(struct zlr_progress, body_done) == 40, "layout");
_Static_assert(offsetof(struct zlr_progress, chunk_left) == 48, "layout");
_Static_assert(offsetof(struct zlr_progress, digest) == 56, "layout");
_Static_assert(offsetof(struct zlr_progress, span) == 64, "layout");
_Static_assert(offsetof(struct zlr_progress, out_slot) == 68, "layout");
_Static_assert(offsetof(struct zlr_progress, status) == 72, "layout");
_Static_assert(offsetof(struct zlr_progress, interim) == 74, "layout");
_Static_assert(offsetof(struct zlr_progress, framing) == 76, "layout");
_Static_assert(offsetof(struct zlr_progress, chunk_state) == 77, "layout");
_Static_assert(offsetof(struct zlr_progress, chunk_digits) == 78, "layout");
_Static_assert(offsetof(struct zlr_progress, flags) == 79, "layout");
_Static_assert(sizeof(struct zlr_progress) == 80, "no hidden padding");
_Static_assert(offsetof(struct zlr_exchange, cookie) == 0, "layout");
_Static_assert(offsetof(struct zlr_exchange, in_base) == 8, "layout");
_Static_assert(offsetof(struct zlr_exchange, in_slot) == 16, "layout");
_Static_assert(offsetof(struct zlr_exchange, which) == 20, "layout");
_Static_assert(offsetof(struct zlr_exchange, attempts) == 24, "layout");
_Static_assert(offsetof(struct zlr_exchange, flags) == 28, "layout");
_Static_assert(offsetof(struct zlr_exchange, progress) == 32, "layout");
_Static_assert(sizeof(struct zlr_exchange) == 192, "no hidden padding");

#endif
