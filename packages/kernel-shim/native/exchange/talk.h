/*
 * One connection of an HTTP server in this generation: what stands between libuv's calls and the kernel. Its record is
 * what outlives the process; everything here can be found again from the record, the slots and the kernel's books.
 *
 * libuv is told exactly what the kernel took, so the bytes it presents begin at position `written`, and those of them that
 * are in the slot already, [written, out_pos), are passed over. Only while a former generation's answer is gone on with
 * (`match`) do its bytes and the kernel's differ.
 */
#ifndef ZLR_TALK_H
#define ZLR_TALK_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "digest.h"
#include "house.h"
#include "request.h"

enum {
  ZLR_REQUESTS_MAX = 64, /* unanswered on one connection; more make it opaque */
  ZLR_SEAM = 64,         /* room for what is written where two chunked codings meet */
};

/* What this process did, for those who look on. */
struct zlr_tally {
  uint64_t reads, writes, closes, answers, passed_over, diverged, opaque;
};

struct zlr_match;

struct zlr_talk {
  struct zlr_house *house;
  struct zlr_exchange *record;
  struct zlr_tally *tally;
  int fd;
  uint32_t number;        /* of the record */
  uint64_t read, written; /* the kernel's positions */

  struct zlr_scanner scanner;
  uint64_t scanned;                     /* input position the scanner has come to */
  uint32_t first, count;                /* requests that are not answered: a ring */
  uint64_t requests[ZLR_REQUESTS_MAX];  /* end position << 8 | flags; the end is 0 while it has not come */

  struct zlr_progress now;    /* what is published next */
  struct zlr_digest digest;   /* of now's body so far */
  struct zlr_match *match;    /* an answer of a former generation is being gone on with */
  bool owes;                  /* [written, out_pos) is ours to send: libuv knows nothing of it */
  uint32_t echo;              /* bytes that libuv presents again though they were taken: see zlr_match_write */
};

/* A connection that was just accepted. NULL: there is no record or no memory for it, it stays plain. */
struct zlr_talk *zlr_talk_begin(struct zlr_house *house, struct zlr_tally *tally, int fd, uint64_t cookie);

/* What became of the answer in progress when its process died. */
enum zlr_answered {
  ZLR_ANSWER_STANDS, /* there is none, or the client has some of it, and it is gone on with */
  ZLR_ANSWER_ANEW,   /* nothing of it was sent: another takes its place */
  ZLR_ANSWERED_WHOLE,
};

/*
 * One of a former generation, as its record and the kernel's books have it: the caller has judged that they agree. NULL: no
 * memory.
 */
struct zlr_talk *zlr_talk_resume(struct zlr_house *house, struct zlr_tally *tally, int fd, uint32_t number, uint64_t read,
                                 uint64_t written, enum zlr_answered answered);

/* The connection is about to be closed: its record and slots are free. */
void zlr_talk_end(struct zlr_talk *talk);

/* As read(2) and writev(2). */
ssize_t zlr_talk_read(struct zlr_talk *talk, void *buffer, size_t length);
ssize_t zlr_talk_write(struct zlr_talk *talk, const struct iovec *parts, int count);

/* Sends what is held beyond `written`. 0: nothing is left; -1: errno says why not. */
int zlr_talk_flush(struct zlr_talk *talk);

/* From here on the connection is none of ours: its bytes pass by, and it ends with its process. */
void zlr_talk_give_up(struct zlr_talk *talk);

/* --- between talk.c and match.c ------------------------------------------------------------------------------------ */

/* A place in the bytes that libuv presents. */
struct zlr_cursor {
  const struct iovec *part;
  int count;
  size_t offset;
};
void zlr_cursor_skip(struct zlr_cursor *cursor, size_t bytes);
size_t zlr_cursor_copy(struct zlr_cursor *cursor, unsigned char *to, size_t most);

static inline bool zlr_answers_head(const struct zlr_talk *talk) {
  return talk->count > 0 && (talk->requests[talk->first] & ZLR_REQUEST_HEAD) != 0;
}

/* Room at out_pos in the output slot, which is taken when there is none. NULL: none is free. */
unsigned char *zlr_talk_room(struct zlr_talk *talk, size_t *room);
void zlr_talk_publish(struct zlr_talk *talk);
/* Writes `left` presented bytes, of which the first is that at `written`. */
ssize_t zlr_talk_write_on(struct zlr_talk *talk, struct zlr_cursor *cursor, size_t left);

/* Prepares for an answer that agrees with the one the record tells of. False: no memory. */
bool zlr_match_begin(struct zlr_talk *talk);
ssize_t zlr_match_write(struct zlr_talk *talk, struct zlr_cursor *cursor, size_t left);

#endif
