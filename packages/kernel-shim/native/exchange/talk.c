#define _GNU_SOURCE
#include "talk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "answer.h"

enum {
  UNHELD_MIN = 32 * 1024, /* body bytes in one write from here on are not copied: only their digest is kept */
  HEAD_COPY = 4 * 1024,   /* what is copied of such a write in search of the body's beginning, */
  HEAD_MAX = 32 * 1024,   /* and how far that goes */
  PARTS_MAX = 16,
  SPAN_MAX = 1 << 30,
};

/* As in reactor/hold.c: the next generation sees what was stored before the death, in order, if the compiler keeps it. */
static inline void publish32(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
static inline void publish64(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

void zlr_talk_publish(struct zlr_talk *talk) {
  struct zlr_exchange *record = talk->record;
  const uint32_t other = !record->which;
  record->progress[other] = talk->now;
  publish32(&record->which, other);
}

/* --- beginning and end --------------------------------------------------------------------------------------------- */

static struct zlr_talk *make(struct zlr_house *house, struct zlr_tally *tally, int fd, uint32_t number) {
  struct zlr_talk *talk = calloc(1, sizeof *talk);
  if (!talk) return NULL;
  talk->house = house;
  talk->tally = tally;
  talk->fd = fd;
  talk->number = number;
  talk->record = zlr_record(house, number);
  zlr_digest_begin(&talk->digest);
  return talk;
}

struct zlr_talk *zlr_talk_begin(struct zlr_house *house, struct zlr_tally *tally, int fd, uint64_t cookie) {
  if (house->free_record_count == 0) return NULL;
  struct zlr_talk *talk = make(house, tally, fd, house->free_records[house->free_record_count - 1]);
  if (!talk) return NULL;
  house->free_record_count--;
  memset(talk->record, 0, sizeof *talk->record);
  publish64(&talk->record->cookie, cookie); /* the record is in use from here on */
  return talk;
}

void zlr_talk_end(struct zlr_talk *talk) {
  struct zlr_house *house = talk->house;
  publish64(&talk->record->cookie, 0);
  if (talk->record->in_slot) zlr_give_slot(house, talk->record->in_slot);
  if (talk->now.out_slot) zlr_give_slot(house, talk->now.out_slot);
  house->free_records[house->free_record_count++] = talk->number;
  free(talk->match);
  free(talk);
}

void zlr_talk_give_up(struct zlr_talk *talk) {
  publish32(&talk->record->flags, talk->record->flags | ZLR_OPAQUE);
  talk->tally->opaque++;
}

static inline bool is_opaque(const struct zlr_talk *talk) { return talk->record->flags & ZLR_OPAQUE; }

/* --- input --------------------------------------------------------------------------------------------------------- */

/* Gives the slot back when nothing is held any more. */
static void settle(struct zlr_talk *talk) {
  struct zlr_exchange *record = talk->record;
  if (talk->now.in_done != talk->read) return;
  if (record->in_slot) {
    const uint32_t slot = record->in_slot;
    publish32(&record->in_slot, 0);
    zlr_give_slot(talk->house, slot);
  }
  if (record->flags & ZLR_UNHELD) publish32(&record->flags, record->flags & ~(uint32_t)ZLR_UNHELD);
}

static void request_done(struct zlr_talk *talk, uint64_t end) {
  talk->now.in_done = end;
  talk->first = (talk->first + 1) % ZLR_REQUESTS_MAX;
  talk->count--;
  if (talk->record->attempts) publish32(&talk->record->attempts, 0);
}

static void request_ended(struct zlr_talk *talk) {
  uint64_t *last = &talk->requests[(talk->first + talk->count - 1) % ZLR_REQUESTS_MAX];
  *last |= talk->scanned << 8;
  if (!(talk->now.flags & ZLR_ANSWERED_EARLY)) return;
  talk->now.flags &= (uint8_t)~ZLR_ANSWERED_EARLY;
  request_done(talk, talk->scanned);
  zlr_talk_publish(talk);
}

/* Looks for requests in [scanned, read); the byte at position `base` lies at `bytes`. False: they cannot be framed. */
static bool scan(struct zlr_talk *talk, const unsigned char *bytes, uint64_t base) {
  for (;;) {
    size_t used;
    const enum zlr_scanned event =
        zlr_scan(&talk->scanner, bytes + (talk->scanned - base), (size_t)(talk->read - talk->scanned), &used);
    talk->scanned += used;
    switch (event) {
      case ZLR_SCAN_HEAD:
        if (talk->count == ZLR_REQUESTS_MAX) return false;
        talk->requests[(talk->first + talk->count++) % ZLR_REQUESTS_MAX] = talk->scanner.flags;
        break;
      case ZLR_SCAN_END:
        request_ended(talk);
        break;
      case ZLR_SCAN_MORE:
        return true;
      case ZLR_SCAN_ODD:
        return false;
    }
  }
}

/* Where the next bytes are to be received, and how many. NULL: they cannot be held, and the record says so. */
static unsigned char *hold_room(struct zlr_talk *talk, size_t *room) {
  struct zlr_house *house = talk->house;
  struct zlr_exchange *record = talk->record;
  if (record->flags & ZLR_UNHELD) return NULL;
  if (record->in_slot == 0) {
    const uint32_t slot = zlr_take_slot(house);
    if (slot == 0) {
      publish32(&record->flags, record->flags | ZLR_UNHELD);
      return NULL;
    }
    publish64(&record->in_base, talk->read); /* means nothing until the slot is there */
    publish32(&record->in_slot, slot);
  }
  unsigned char *slot = zlr_house_slot(house, record->in_slot);
  if (talk->read - record->in_base == house->slot_size) {
    const size_t gap = (size_t)(talk->now.in_done - record->in_base), held = (size_t)(talk->read - talk->now.in_done);
    if (held > gap) {
      publish32(&record->flags, record->flags | ZLR_UNHELD);
      return NULL;
    }
    memcpy(slot, slot + gap, held); /* leaves its source whole until in_base is turned */
    publish64(&record->in_base, talk->now.in_done);
  }
  const size_t used = (size_t)(talk->read - record->in_base);
  *room = house->slot_size - used;
  return slot + used;
}

/* What follows a request that was not held can be: the bytes from in_done on, if they are all in this buffer. */
static void hold_again(struct zlr_talk *talk, const unsigned char *bytes, uint64_t base) {
  struct zlr_exchange *record = talk->record;
  const uint64_t from = talk->now.in_done;
  if (from < base || from == talk->read || talk->read - from > talk->house->slot_size) return;
  if (!record->in_slot) record->in_slot = zlr_take_slot(talk->house); /* ZLR_UNHELD still says that it means nothing */
  if (!record->in_slot) return;
  memcpy(zlr_house_slot(talk->house, record->in_slot), bytes + (from - base), (size_t)(talk->read - from));
  publish64(&record->in_base, from);
  publish32(&record->flags, record->flags & ~(uint32_t)ZLR_UNHELD);
}

static ssize_t read_unheld(struct zlr_talk *talk, void *buffer, size_t length) {
  const ssize_t n = recv(talk->fd, buffer, length, 0);
  if (n <= 0) return n;
  const uint64_t base = talk->read;
  talk->read += (uint64_t)n;
  if (!scan(talk, buffer, base)) zlr_talk_give_up(talk);
  settle(talk);
  hold_again(talk, buffer, base);
  /* the beginning of a head cannot be looked at again when it is not held */
  const bool in_head = talk->scanned < talk->read || zlr_scan_in_head(&talk->scanner);
  if (in_head && talk->record->flags & ZLR_UNHELD) zlr_talk_give_up(talk);
  return n;
}

ssize_t zlr_talk_read(struct zlr_talk *talk, void *buffer, size_t length) {
  talk->tally->reads++;
  if (is_opaque(talk)) return recv(talk->fd, buffer, length, 0);
  size_t room;
  unsigned char *at = hold_room(talk, &room);
  if (!at) return read_unheld(talk, buffer, length);
  /* Into the hold first: what only libuv's buffer had would be lost with the process. */
  const ssize_t n = recv(talk->fd, at, length < room ? length : room, 0);
  if (n <= 0) {
    const int error = errno;
    settle(talk);
    errno = error;
    return n;
  }
  memcpy(buffer, at, (size_t)n);
  talk->read += (uint64_t)n;
  if (!scan(talk, zlr_house_slot(talk->house, talk->record->in_slot), talk->record->in_base)) zlr_talk_give_up(talk);
  settle(talk);
  return n;
}

/* --- output -------------------------------------------------------------------------------------------------------- */

void zlr_cursor_skip(struct zlr_cursor *cursor, size_t bytes) {
  while (cursor->count > 0) {
    const size_t here = cursor->part->iov_len - cursor->offset;
    if (bytes < here) {
      cursor->offset += bytes;
      return;
    }
    bytes -= here;
    cursor->part++;
    cursor->count--;
    cursor->offset = 0;
  }
}

size_t zlr_cursor_copy(struct zlr_cursor *cursor, unsigned char *to, size_t most) {
  size_t copied = 0;
  while (cursor->count > 0 && copied < most) {
    size_t here = cursor->part->iov_len - cursor->offset;
    if (here > most - copied) here = most - copied;
    if (here) memcpy(to + copied, (const unsigned char *)cursor->part->iov_base + cursor->offset, here);
    copied += here;
    zlr_cursor_skip(cursor, here);
  }
  return copied;
}

unsigned char *zlr_talk_room(struct zlr_talk *talk, size_t *room) {
  struct zlr_progress *now = &talk->now;
  if (!now->out_slot) now->out_slot = zlr_take_slot(talk->house);
  if (!now->out_slot) return NULL;
  if (talk->written >= now->out_pos) now->out_base = now->out_pos; /* nothing waits in it */
  const size_t used = (size_t)(now->out_pos - now->out_base);
  *room = talk->house->slot_size - used;
  return zlr_house_slot(talk->house, now->out_slot) + used;
}

/* All of it is the kernel's: the slot is free, and the record must not name it when another takes it. */
static void release_out(struct zlr_talk *talk) {
  const uint32_t slot = talk->now.out_slot;
  if (!slot) return;
  talk->now.out_slot = 0;
  publish32(&talk->record->progress[talk->record->which].out_slot, 0);
  zlr_give_slot(talk->house, slot);
}

static void answer_ends(struct zlr_talk *talk, uint64_t position) {
  struct zlr_progress *now = &talk->now;
  now->framing = ZLR_NO_ANSWER;
  now->interim = 0;
  now->out_start = position;
  talk->tally->answers++;
  if (talk->count == 0) return; /* to something that was no request */
  const uint64_t end = talk->requests[talk->first] >> 8;
  if (end) request_done(talk, end);
  else now->flags |= ZLR_ANSWERED_EARLY;
}

static struct zlr_chunks chunks_of(const struct zlr_progress *now) {
  return (struct zlr_chunks){.left = now->chunk_left, .state = now->chunk_state, .digits = now->chunk_digits};
}

static void set_chunks(struct zlr_progress *now, const struct zlr_chunks *chunks) {
  now->chunk_left = chunks->left;
  now->chunk_state = chunks->state;
  now->chunk_digits = chunks->digits;
}

static void add_body(struct zlr_talk *talk, const unsigned char *bytes, size_t count) {
  zlr_digest_more(&talk->digest, bytes, count);
  talk->now.body_done += count;
}

/* Bytes of an answer's body, at most to its end. Returns how many; -1: not the framing its head announced. */
static ptrdiff_t feed_body(struct zlr_talk *talk, const unsigned char *bytes, size_t count, uint64_t position) {
  struct zlr_progress *now = &talk->now;
  if (now->framing == ZLR_UNTIL_END) {
    add_body(talk, bytes, count);
    return (ptrdiff_t)count;
  }
  if (now->framing == ZLR_LENGTH) {
    const uint64_t left = now->body_total - now->body_done;
    if (count < left) {
      add_body(talk, bytes, count);
      return (ptrdiff_t)count;
    }
    answer_ends(talk, position + left); /* whole: nobody will ask for its digest */
    return (ptrdiff_t)left;
  }
  struct zlr_chunks chunks = chunks_of(now);
  bool data;
  const ptrdiff_t step = zlr_chunks_step(&chunks, bytes, count, &data);
  if (step < 0) return -1;
  if (data) add_body(talk, bytes, (size_t)step);
  set_chunks(now, &chunks);
  if (chunks.state == ZLR_CHUNK_END) answer_ends(talk, position + (uint64_t)step);
  return step;
}

static ptrdiff_t feed_head(struct zlr_talk *talk, const unsigned char *bytes, size_t count, uint64_t position) {
  struct zlr_progress *now = &talk->now;
  struct zlr_answer_head head;
  const size_t length = zlr_answer_head(bytes, count, zlr_answers_head(talk), &head);
  if (length == 0 || head.status == 101) return -1;
  if (talk->count > 0 && talk->requests[talk->first] & ZLR_REQUEST_UPGRADES && head.status == 200 && !head.length &&
      head.framing != ZLR_CHUNKED)
    return -1; /* to CONNECT */
  if (head.status < 200) {
    now->interim++;
    now->out_start = position + length;
    return (ptrdiff_t)length;
  }
  now->status = head.status;
  now->framing = head.framing;
  now->body_total = head.length;
  now->body_done = 0;
  set_chunks(now, &(struct zlr_chunks){.left = 0});
  if (head.closes) now->flags |= ZLR_ANSWER_CLOSES;
  zlr_digest_begin(&talk->digest);
  if (head.framing == ZLR_LENGTH && head.length == 0) answer_ends(talk, position + length);
  return (ptrdiff_t)length;
}

/*
 * Accounts for bytes that the program produced at out_pos: at most to where a head begins that is not whole. Returns how
 * many; -1: none, and what stands first is no HTTP/1.1 as we know it, or not whole.
 */
static ptrdiff_t feed(struct zlr_talk *talk, const unsigned char *bytes, size_t count) {
  struct zlr_progress *now = &talk->now;
  size_t at = 0;
  while (at < count) {
    const uint64_t position = now->out_pos + at;
    const ptrdiff_t step = now->framing == ZLR_NO_ANSWER ? feed_head(talk, bytes + at, count - at, position)
                                                         : feed_body(talk, bytes + at, count - at, position);
    if (step < 0) break;
    at += (size_t)step;
  }
  now->out_pos += at;
  if (now->framing != ZLR_NO_ANSWER) now->digest = zlr_digest_value(&talk->digest);
  return at ? (ptrdiff_t)at : -1;
}

/* Body bytes that may follow at out_pos before anything else does. */
static uint64_t body_ahead(const struct zlr_progress *now) {
  switch (now->framing) {
    case ZLR_LENGTH:
      return now->body_total - now->body_done;
    case ZLR_CHUNKED:
      return now->chunk_state == ZLR_CHUNK_DATA ? now->chunk_left : 0;
    case ZLR_UNTIL_END:
      return UINT64_MAX;
    default:
      return 0;
  }
}

static ssize_t send_held(struct zlr_talk *talk) {
  const struct zlr_progress *now = &talk->now;
  const unsigned char *at = zlr_house_slot(talk->house, now->out_slot) + (talk->written - now->out_base);
  const ssize_t n = send(talk->fd, at, (size_t)(now->out_pos - talk->written), MSG_NOSIGNAL);
  if (n > 0) talk->written += (uint64_t)n;
  return n;
}

int zlr_talk_flush(struct zlr_talk *talk) {
  while (talk->written < talk->now.out_pos)
    if (send_held(talk) < 0) return -1;
  talk->owes = false;
  release_out(talk);
  return 0;
}

/* Body bytes at out_pos that the kernel has taken. */
static void sent_body(struct zlr_talk *talk, size_t count) {
  struct zlr_progress *now = &talk->now;
  now->out_pos += count;
  now->body_done += count;
  now->digest = zlr_digest_value(&talk->digest);
  if (now->framing == ZLR_CHUNKED) {
    struct zlr_chunks chunks = chunks_of(now);
    zlr_chunks_skip(&chunks, count);
    set_chunks(now, &chunks);
  }
}

static void digest_parts(struct zlr_digest *digest, const struct iovec *parts, size_t count) {
  for (; count > 0; parts++) {
    const size_t here = count < parts->iov_len ? count : parts->iov_len;
    zlr_digest_more(digest, parts->iov_base, here);
    count -= here;
  }
}

/*
 * Sends what is held and, behind it, body bytes straight from where they are. They are not held: before the first of them
 * leaves, the record says how many there may be and what their digest is (but see ZLR_SPAN_WHOLE). Returns whether all were
 * taken.
 */
static bool send_span(struct zlr_talk *talk, struct zlr_cursor *cursor, size_t *left) {
  struct zlr_progress *now = &talk->now;
  const bool whole = now->framing == ZLR_LENGTH && body_ahead(now) == *left && *left <= SPAN_MAX;
  size_t most = talk->house->slot_size - ZLR_SEAM; /* the next generation holds as much before it sends on */
  if (whole) most = *left;
  if (most > *left) most = *left;
  if (most > body_ahead(now)) most = (size_t)body_ahead(now);

  struct iovec parts[PARTS_MAX + 1];
  const size_t held = (size_t)(now->out_pos - talk->written);
  if (held) parts[0] = (struct iovec){zlr_house_slot(talk->house, now->out_slot) + (talk->written - now->out_base), held};
  struct iovec *const body = held ? parts + 1 : parts;
  struct zlr_cursor at = *cursor;
  size_t span = 0;
  int count = 0;
  while (span < most && count < PARTS_MAX) {
    size_t here = at.part->iov_len - at.offset;
    if (here > most - span) here = most - span;
    body[count++] = (struct iovec){(unsigned char *)at.part->iov_base + at.offset, here};
    span += here;
    zlr_cursor_skip(&at, here);
  }

  const bool undigested = whole && span == most;
  struct zlr_digest after = talk->digest;
  if (!undigested) digest_parts(&after, body, span);
  now->span = (uint32_t)span;
  now->digest = zlr_digest_value(&after);
  if (undigested) now->flags |= ZLR_SPAN_WHOLE;
  zlr_talk_publish(talk);
  const struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count + (held ? 1 : 0)};
  const ssize_t n = sendmsg(talk->fd, &message, MSG_NOSIGNAL);
  now->span = 0;
  now->flags &= (uint8_t)~ZLR_SPAN_WHOLE;
  if (n < 0) return false;
  talk->written += (uint64_t)n;
  if ((size_t)n <= held) return false;
  const size_t sent = (size_t)n - held;
  const bool ends = now->framing == ZLR_LENGTH && now->body_done + sent == now->body_total;
  if (!ends && sent == span) talk->digest = after;
  else if (!ends) digest_parts(&talk->digest, body, sent);
  sent_body(talk, sent);
  if (ends) answer_ends(talk, now->out_pos);
  if (ends || undigested) zlr_talk_publish(talk); /* else `written` tells */
  zlr_cursor_skip(cursor, sent);
  *left -= sent;
  return sent == span;
}

/* Copies presented bytes into the slot and publishes them. False: they cannot be held or framed. */
static bool hold_output(struct zlr_talk *talk, struct zlr_cursor *cursor, size_t *left) {
  const size_t tries[] = {*left < UNHELD_MIN ? *left : HEAD_COPY, HEAD_MAX};
  for (int i = 0; i < 2; i++) {
    size_t room;
    unsigned char *at = zlr_talk_room(talk, &room);
    if (!at) return false;
    struct zlr_cursor from = *cursor;
    size_t count = tries[i] < *left ? tries[i] : *left;
    if (count > room) count = room;
    zlr_cursor_copy(&from, at, count);
    const ptrdiff_t fed = feed(talk, at, count);
    if (fed < 0) continue; /* a head that is longer than that? */
    zlr_cursor_skip(cursor, (size_t)fed);
    *left -= (size_t)fed;
    zlr_talk_publish(talk);
    return true;
  }
  return false;
}

ssize_t zlr_talk_write_on(struct zlr_talk *talk, struct zlr_cursor *cursor, size_t left) {
  struct zlr_progress *now = &talk->now;
  const uint64_t before = talk->written;
  size_t held = (size_t)(now->out_pos - talk->written);
  if (held > left) held = left;
  zlr_cursor_skip(cursor, held);
  left -= held;
  for (;;) {
    if (left >= UNHELD_MIN && body_ahead(now) >= UNHELD_MIN) {
      if (!send_span(talk, cursor, &left)) break;
      if (left == 0) break;
      continue;
    }
    if (left > 0) {
      const bool full = talk->written < now->out_pos && now->out_pos - now->out_base == talk->house->slot_size;
      if (!full && !hold_output(talk, cursor, &left)) {
        if (talk->written != now->out_pos && send_held(talk) < 0) break; /* what was taken comes first */
        if (talk->written != now->out_pos) break;
        zlr_talk_give_up(talk);
        if (talk->written > before) break; /* libuv presents the rest again */
        return writev(talk->fd, cursor->part, cursor->count); /* the cursor has not moved: nothing was taken */
      }
      if (left >= UNHELD_MIN && body_ahead(now) >= UNHELD_MIN) continue; /* one call for head and body */
    }
    if (talk->written == now->out_pos) break;
    const uint64_t end = now->out_pos;
    if (send_held(talk) < 0 || talk->written < end) break;
    if (left == 0) break;
  }
  const int error = errno;
  if (talk->written == now->out_pos) {
    release_out(talk);
    settle(talk);
  }
  errno = error;
  return talk->written > before ? (ssize_t)(talk->written - before) : -1;
}

ssize_t zlr_talk_write(struct zlr_talk *talk, const struct iovec *parts, int count) {
  talk->tally->writes++;
  /* What a former generation owes is sent first, whatever has become of the rest. */
  const bool ours = talk->match || talk->owes || talk->echo;
  if (is_opaque(talk) && !ours) return writev(talk->fd, parts, count);
  if (talk->owes && zlr_talk_flush(talk) < 0) return -1;
  size_t left = 0;
  for (int i = 0; i < count; i++) left += parts[i].iov_len;
  struct zlr_cursor cursor = {parts, count, 0};
  const size_t echo = talk->echo;
  talk->echo = 0;
  zlr_cursor_skip(&cursor, echo);
  left -= echo;
  if (left == 0) return (ssize_t)echo;
  const ssize_t n = talk->match ? zlr_match_write(talk, &cursor, left) : zlr_talk_write_on(talk, &cursor, left);
  if (n < 0) return echo ? (ssize_t)echo : -1;
  return (ssize_t)echo + n;
}

/* --- going on ------------------------------------------------------------------------------------------------------ */

struct zlr_talk *zlr_talk_resume(struct zlr_house *house, struct zlr_tally *tally, int fd, uint32_t number, uint64_t read,
                                 uint64_t written, enum zlr_answered answered) {
  struct zlr_talk *talk = make(house, tally, fd, number);
  if (!talk) return NULL;
  struct zlr_progress *now = &talk->now;
  *now = talk->record->progress[talk->record->which];
  talk->read = read;
  talk->written = written;
  if (answered == ZLR_ANSWER_ANEW) {
    now->out_pos = now->out_start;
    now->framing = ZLR_NO_ANSWER;
  }
  if (written >= now->out_pos) now->out_slot = 0;
  talk->owes = written < now->out_pos;
  talk->scanned = now->in_done;
  if (read > now->in_done && !(talk->record->flags & ZLR_UNHELD))
    scan(talk, zlr_house_slot(house, talk->record->in_slot), talk->record->in_base);
  if (answered == ZLR_ANSWERED_WHOLE) { /* the kernel has all of it, which the dead process did not live to record */
    now->span = 0;
    now->flags &= (uint8_t)~ZLR_SPAN_WHOLE;
    now->out_pos = written;
    answer_ends(talk, written);
    zlr_talk_publish(talk);
    settle(talk);
  }
  if ((now->framing != ZLR_NO_ANSWER || now->interim > 0) && !zlr_match_begin(talk)) {
    free(talk);
    return NULL;
  }
  return talk;
}
