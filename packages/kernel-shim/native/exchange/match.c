/*
 * A request is run again whose answer the client has in part. The new answer's bytes come in order; of them
 *
 *    head          is compared in what frames it, and dropped
 *    [0, sent)     is digested and dropped: the client has it
 *    [sent, mark)  is digested and kept back in the slot: it may be what was given to the kernel and not held
 *    mark          here the digests must agree, or the connection is reset before a byte of another answer follows
 *    [mark, ...)   is sent, as if there had been no death
 *
 * and in the chunked coding, whose borders may lie elsewhere this time, what is sent begins with the rest of the chunk that
 * the client is in. Until the mark nothing is published: a death on the way finds all as it was.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "answer.h"
#include "talk.h"

struct zlr_match {
  struct zlr_chunks chunks; /* of the new answer */
  struct zlr_digest digest; /* of its body so far */
  uint64_t seen;            /* body bytes of it so far */
  uint64_t sent, mark;      /* as above */
  uint16_t interim;         /* 1xx answers that the client has had */
  bool in_body;             /* its head was there */
  bool agreed;              /* beyond the mark */
};

enum step { GO_ON, OVER, NO_ROOM, DIFFERS };

bool zlr_match_begin(struct zlr_talk *talk) {
  struct zlr_match *match = calloc(1, sizeof *match);
  if (!match) return false;
  struct zlr_progress *now = &talk->now;
  zlr_digest_begin(&match->digest);
  match->interim = now->interim;
  match->mark = now->body_done + (now->flags & ZLR_SPAN_WHOLE ? 0 : now->span);
  if (talk->written > now->out_pos) { /* some of the span was sent */
    const uint64_t more = talk->written - now->out_pos;
    now->out_pos = talk->written;
    now->body_done += more;
    if (now->framing == ZLR_CHUNKED && (now->chunk_left -= more) == 0) now->chunk_state = ZLR_CHUNK_CR;
  }
  now->span = 0;
  now->flags &= (uint8_t)~ZLR_SPAN_WHOLE;
  match->sent = now->body_done;
  talk->match = match;
  return true;
}

static ssize_t reset(struct zlr_talk *talk, const char *what) {
  const struct zlr_match *match = talk->match;
  fprintf(stderr, "zlr: an answer that had begun came out otherwise (%s, within its first %llu bytes): its connection is reset\n",
          what, (unsigned long long)match->mark);
  const struct sockaddr none = {.sa_family = AF_UNSPEC};
  connect(talk->fd, &none, sizeof none); /* a reset; the descriptor stays libuv's to close */
  talk->tally->diverged++;
  zlr_talk_give_up(talk);
  free(talk->match);
  talk->match = NULL;
  talk->owes = false;
  talk->echo = 0;
  errno = ECONNRESET;
  return -1;
}

/* Appends to the output slot, unpublished. */
static bool append(struct zlr_talk *talk, const void *bytes, size_t count) {
  size_t room;
  unsigned char *at = zlr_talk_room(talk, &room);
  if (!at || room < count) return false;
  memcpy(at, bytes, count);
  talk->now.out_pos += count;
  return true;
}

static enum step match_head(struct zlr_talk *talk, const unsigned char *bytes, size_t count, size_t *used) {
  struct zlr_match *match = talk->match;
  const struct zlr_progress *now = &talk->now;
  struct zlr_answer_head head;
  const size_t length = zlr_answer_head(bytes, count, zlr_answers_head(talk), &head);
  if (length == 0) return DIFFERS;
  if (head.status < 200) {
    if (now->framing == ZLR_NO_ANSWER && match->interim == 0) return OVER;
    if (match->interim > 0) match->interim--;
    *used = length;
    return GO_ON;
  }
  if (now->framing == ZLR_NO_ANSWER) return OVER; /* the client has only had 1xx answers */
  if (head.status != now->status || head.framing != now->framing || head.length != now->body_total) return DIFFERS;
  match->in_body = true;
  *used = length;
  return GO_ON;
}

/* At most `count` body bytes, in one run, before the mark. */
static bool match_run(struct zlr_talk *talk, const unsigned char *bytes, size_t count) {
  struct zlr_match *match = talk->match;
  const uint64_t kept = match->seen + count > match->sent ? match->seen + count - match->sent : 0;
  const size_t keep = kept < count ? (size_t)kept : count;
  if (keep && !append(talk, bytes + (count - keep), keep)) return false;
  zlr_digest_more(&match->digest, bytes, count);
  match->seen += count;
  return true;
}

/* The mark is reached: does the new answer agree? Then what was kept back follows, and may be published. */
static bool agrees(struct zlr_talk *talk) {
  struct zlr_match *match = talk->match;
  struct zlr_progress *now = &talk->now;
  if (zlr_digest_value(&match->digest) != now->digest) return false;
  const uint64_t kept = match->mark - match->sent;
  now->body_done = match->mark;
  if (kept && now->framing == ZLR_CHUNKED && (now->chunk_left -= kept) == 0) now->chunk_state = ZLR_CHUNK_CR;
  talk->digest = match->digest;
  match->agreed = true;
  return true;
}

/* Behind the mark, in the chunked coding: fills the chunk the client is in, then opens one for the rest of the new one. */
static enum step join_chunks(struct zlr_talk *talk, const unsigned char *bytes, size_t count, size_t *used) {
  struct zlr_match *match = talk->match;
  struct zlr_progress *now = &talk->now;
  if (now->chunk_state == ZLR_CHUNK_DATA) {
    if (match->chunks.state == ZLR_CHUNK_TRAILER || match->chunks.state == ZLR_CHUNK_END) return DIFFERS; /* shorter */
    size_t room;
    if (!zlr_talk_room(talk, &room) || room <= ZLR_SEAM) return NO_ROOM;
    if (match->chunks.state == ZLR_CHUNK_DATA) {
      size_t run = count < now->chunk_left ? count : (size_t)now->chunk_left;
      if (run > match->chunks.left) run = (size_t)match->chunks.left;
      if (run > room - ZLR_SEAM) run = room - ZLR_SEAM;
      append(talk, bytes, run);
      zlr_digest_more(&talk->digest, bytes, run);
      now->body_done += run;
      if ((now->chunk_left -= run) == 0) now->chunk_state = ZLR_CHUNK_CR;
      zlr_chunks_skip(&match->chunks, run);
      *used = run;
      return GO_ON;
    }
  } else if (now->chunk_state == ZLR_CHUNK_CR || now->chunk_state == ZLR_CHUNK_LF) {
    const bool cr = now->chunk_state == ZLR_CHUNK_CR;
    if (!append(talk, cr ? "\r\n" : "\n", cr ? 2 : 1)) return NO_ROOM;
    now->chunk_state = ZLR_CHUNK_SIZE;
    now->chunk_digits = 0;
  }
  if (now->chunk_state == ZLR_CHUNK_SIZE && now->chunk_digits == 0) {
    if (match->chunks.state == ZLR_CHUNK_SIZE && match->chunks.digits == 0) return OVER;
    if (match->chunks.state == ZLR_CHUNK_DATA) {
      char size[24];
      const int length = snprintf(size, sizeof size, "%llx\r\n", (unsigned long long)match->chunks.left);
      if (!append(talk, size, (size_t)length)) return NO_ROOM;
      now->chunk_state = ZLR_CHUNK_DATA;
      now->chunk_left = match->chunks.left;
      return OVER;
    }
    if (match->chunks.state == ZLR_CHUNK_TRAILER) { /* the new answer's last chunk has been gone over */
      if (!append(talk, "0\r\n", 3)) return NO_ROOM;
      now->chunk_state = ZLR_CHUNK_TRAILER;
      now->chunk_left = 0;
      return OVER;
    }
  }
  /* between two chunks of the new answer */
  if (count == 0) return GO_ON;
  bool data;
  const ptrdiff_t step = zlr_chunks_step(&match->chunks, bytes, 1, &data);
  if (step <= 0) return DIFFERS;
  *used = (size_t)step;
  return GO_ON;
}

/* One step over the new answer's body. */
static enum step match_body(struct zlr_talk *talk, const unsigned char *bytes, size_t count, size_t *used) {
  struct zlr_match *match = talk->match;
  const bool chunked = talk->now.framing == ZLR_CHUNKED;
  if (!match->agreed && match->seen == match->mark && !agrees(talk)) return DIFFERS;
  if (match->agreed) return chunked ? join_chunks(talk, bytes, count, used) : OVER;
  if (chunked && match->chunks.state != ZLR_CHUNK_DATA) {
    if (match->chunks.state == ZLR_CHUNK_TRAILER) return DIFFERS; /* its end, before the mark */
    if (count == 0) return GO_ON;
    bool data;
    const ptrdiff_t step = zlr_chunks_step(&match->chunks, bytes, 1, &data);
    if (step <= 0) return DIFFERS;
    *used = (size_t)step;
    return GO_ON;
  }
  size_t run = count < match->mark - match->seen ? count : (size_t)(match->mark - match->seen);
  if (chunked && run > match->chunks.left) run = (size_t)match->chunks.left;
  if (!match_run(talk, bytes, run)) return NO_ROOM;
  if (chunked) zlr_chunks_skip(&match->chunks, run);
  *used = run;
  return GO_ON;
}

/*
 * What was taken and is not sent yet is ours to send: libuv knows nothing of it. So that it comes again when there is room,
 * and does not end the connection before, one byte that was taken is said not to be, and is passed over next time.
 */
static ssize_t owe(struct zlr_talk *talk, size_t taken) {
  talk->owes = talk->written < talk->now.out_pos;
  if (!talk->owes) return (ssize_t)taken;
  if (taken > 0) talk->echo = 1;
  if (taken > 1) return (ssize_t)taken - 1;
  errno = EAGAIN;
  return -1;
}

/* Goes over the bytes as far as it can. `at` counts those that were taken. */
static enum step match_bytes(struct zlr_talk *talk, const unsigned char *bytes, size_t count, size_t *at) {
  const struct zlr_match *match = talk->match;
  for (;;) {
    if (!match->in_body && *at == count) return GO_ON;
    size_t used = 0;
    const enum step step = match->in_body ? match_body(talk, bytes + *at, count - *at, &used)
                                          : match_head(talk, bytes + *at, count - *at, &used);
    *at += used;
    if (step != GO_ON || (used == 0 && *at == count && (match->agreed || match->seen < match->mark))) return step;
  }
}

/* What may be known to the next generation is published, and sent. False: errno says why not. */
static bool settle_match(struct zlr_talk *talk) {
  if (talk->now.framing != ZLR_NO_ANSWER) talk->now.digest = zlr_digest_value(&talk->digest);
  zlr_talk_publish(talk);
  return talk->written == talk->now.out_pos || zlr_talk_flush(talk) == 0;
}

ssize_t zlr_match_write(struct zlr_talk *talk, struct zlr_cursor *cursor, size_t left) {
  unsigned char *bytes = malloc(left);
  if (!bytes) {
    errno = ENOMEM;
    return -1;
  }
  struct zlr_cursor all = *cursor;
  zlr_cursor_copy(&all, bytes, left);
  size_t at = 0;
  enum step step;
  bool sent = true;
  do step = match_bytes(talk, bytes, left, &at);
  while (step == NO_ROOM && talk->match->agreed && (sent = settle_match(talk)));
  free(bytes);
  talk->tally->passed_over += at;
  if (step == DIFFERS) return reset(talk, talk->match->in_body ? "its body" : "its head");
  if (step == NO_ROOM && !talk->match->agreed) return reset(talk, "no slot is free to compare it");
  if (step == GO_ON && !talk->match->agreed) return (ssize_t)at; /* a death is to find all as it was */
  if (sent) sent = settle_match(talk);
  if (!sent && errno != EAGAIN) return -1;
  if (step == OVER) {
    free(talk->match);
    talk->match = NULL;
  }
  if (!sent || at == left) return owe(talk, at);
  zlr_cursor_skip(cursor, at);
  const ssize_t n = zlr_talk_write_on(talk, cursor, left - at);
  return n < 0 ? (at ? (ssize_t)at : -1) : (ssize_t)at + n;
}
