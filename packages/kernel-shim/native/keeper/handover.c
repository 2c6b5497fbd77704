#define _GNU_SOURCE
#include "handover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "table.h"

static bool highest(int fd, void *context) {
  int *top = context;
  if (fd > *top) *top = fd;
  return true;
}

int zlr_send_batch(int link, int from) {
  struct zlr_entry entries[ZLR_BATCH_MAX];
  int fds[ZLR_BATCH_MAX];
  unsigned count = 0;
  int top = 0, fd = from > 3 ? from : 3;
  zlr_each_fd(highest, &top);
  for (; fd <= top && count < ZLR_BATCH_MAX; fd++) {
    const enum zlr_mark mark = zlr_mark_of(fd);
    if (mark == ZLR_UNMARKED) continue;
    entries[count] = (struct zlr_entry){fd, (uint32_t)mark};
    fds[count++] = fd;
  }
  const struct zlr_word word = {.kind = ZLR_BATCH, .value = count, .extra = fd <= top ? (uint64_t)fd : 0};
  return zlr_send(link, &word, entries, fds, count);
}

/* What has come so far: it is nobody's until everything is there. */
struct taken {
  int *fds;
  struct zlr_entry *entries;
  size_t count, room;
};

static bool add(struct taken *taken, const struct zlr_received *batch) {
  if (taken->count + batch->count > taken->room) {
    const size_t room = (taken->room + batch->count) * 2;
    int *fds = realloc(taken->fds, room * sizeof *fds);
    if (fds) taken->fds = fds;
    struct zlr_entry *entries = realloc(taken->entries, room * sizeof *entries);
    if (entries) taken->entries = entries;
    if (!fds || !entries) return false;
    taken->room = room;
  }
  for (unsigned i = 0; i < batch->count; i++) {
    taken->fds[taken->count] = batch->fds[i];
    taken->entries[taken->count++] = batch->entries[i];
  }
  return true;
}

/*
 * Gives everything its former number where nothing else has it in this process: people who look on know their descriptors by them,
 * and what a record calls a file by is its number. (Kept files are opened high up, where a process that starts has nothing:
 * native/channels/files.c.) Descriptors arrive under any free numbers, so one may lie where another belongs.
 */
static void place(struct taken *taken, int *holder, int top) {
  for (int fd = 0; fd <= top; fd++) holder[fd] = -1;
  for (size_t i = 0; i < taken->count; i++) holder[taken->fds[i]] = (int)i;
  for (size_t i = 0; i < taken->count; i++) {
    const int from = taken->fds[i], to = taken->entries[i].fd;
    if (from == to) continue;
    const int in_the_way = to <= top ? holder[to] : -1;
    if (in_the_way >= 0) {
      const int aside = fcntl(to, F_DUPFD_CLOEXEC, top + 1);
      if (aside < 0) continue;
      taken->fds[in_the_way] = aside;
      if (dup3(from, to, O_CLOEXEC) < 0) continue;
    } else {
      const int got = fcntl(from, F_DUPFD_CLOEXEC, to); /* the next free number, so nothing of this process is replaced */
      if (got >= 0 && got != to) close(got);
      if (got != to) continue;
    }
    if (from <= top) holder[from] = -1;
    if (to <= top) holder[to] = (int)i;
    close(from);
    taken->fds[i] = to;
  }
}

static bool place_all(struct taken *taken) {
  int top = 0;
  for (size_t i = 0; i < taken->count; i++) {
    if (taken->fds[i] > top) top = taken->fds[i];
    if (taken->entries[i].fd > top) top = taken->entries[i].fd;
  }
  int *holder = malloc(((size_t)top + 1) * sizeof *holder);
  if (!holder) return false;
  place(taken, holder, top);
  free(holder);
  return true;
}

static void give_back(struct taken *taken) {
  for (size_t i = 0; i < taken->count; i++) close(taken->fds[i]);
  free(taken->fds);
  free(taken->entries);
}

static int receive_all(int link, struct taken *taken) {
  struct zlr_received batch;
  struct zlr_word next = {.kind = ZLR_NEXT};
  do {
    int result = zlr_send(link, &next, NULL, NULL, 0);
    if (result) return result == -ECONNRESET ? -EPIPE : result;
    result = zlr_receive(link, &batch, ZLR_BLOCKING);
    if (result == 0) return -EPIPE;
    /* descriptors that found no room in the table stay with the keeper: nothing is lost by giving up */
    if (result < 0) return result == -EBADMSG ? -EMFILE : result;
    if (!add(taken, &batch)) {
      for (unsigned i = 0; i < batch.count; i++) close(batch.fds[i]);
      return -ENOMEM;
    }
    next.value = batch.word.extra;
  } while (next.value != 0);
  return 0;
}

int zlr_take_over(int link, struct zlr_page *page, void (*visit)(int fd, struct zlr_entry was, void *context), void *context) {
  struct taken taken = {.count = 0};
  page->claim = zlr_own_high(link);
  link = page->claim.fd;
  int result = receive_all(link, &taken);
  if (result == 0 && !place_all(&taken)) result = -ENOMEM;
  if (result == 0) {
    zlr_store(&page->charge, ZLR_TAKING);
    /* When the keeper is gone by now, nobody but this generation has the channels, and it is in charge all the same. */
    zlr_send(link, &(struct zlr_word){.kind = ZLR_TAKEN, .value = taken.count}, NULL, NULL, 0);
    zlr_store(&page->charge, ZLR_CHARGED);
    for (size_t i = 0; i < taken.count; i++) visit(taken.fds[i], taken.entries[i], context);
    taken.count = 0;
  }
  zlr_drop(&page->claim);
  give_back(&taken);
  return result;
}
