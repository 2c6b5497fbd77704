#define _GNU_SOURCE
#include "reactor.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* epoll's data: a channel's number, or a listener's beyond all of those */
static const uint64_t listener_bit = (uint64_t)1 << 32;

static struct zlr_channel *record_of(const struct zlr_reactor *r, uint32_t channel) {
  assert(channel < r->capacity);
  return (struct zlr_channel *)(r->records + (size_t)channel * r->stride);
}

static void emit(struct zlr_reactor *r, uint32_t kind, uint32_t a, uint32_t b, uint32_t c) {
  assert(r->event_count < ZLR_EVENTS);
  uint32_t *event = r->events[r->event_count++];
  event[0] = kind;
  event[1] = a;
  event[2] = b;
  event[3] = c;
}

static void emit_held(struct zlr_reactor *r, uint32_t kind, uint32_t channel) {
  const struct zlr_channel *record = record_of(r, channel);
  if (record->hold_slot == 0) {
    emit(r, kind, channel, 0, 0);
    return;
  }
  const uint64_t slot = (uint64_t)(record->hold_slot - 1) * r->pool.slot_size;
  emit(r, kind, channel, (uint32_t)(slot + (record->consumed - record->hold_base)),
       (uint32_t)(slot + (r->local[channel].flow.read - record->hold_base)));
}

static void read_clock(struct zlr_reactor *r) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  r->now = (uint32_t)t.tv_sec;
}

/* --- what epoll watches ------------------------------------------------------------------------------------------- */

/* Level-triggered, so nothing is read or sent merely to learn that there is nothing; changed only when it differs. */
static void watch(struct zlr_reactor *r, uint32_t channel, uint32_t interest) {
  struct zlr_local *local = &r->local[channel];
  if (local->interest == interest) return;
  struct epoll_event event = {.events = interest, .data.u64 = channel};
  const int error = epoll_ctl(r->epoll, EPOLL_CTL_MOD, local->flow.fd, &event);
  assert(error == 0);
  (void)error;
  local->interest = interest;
}

/* Input waits in the kernel while an answer is blocked or the hold is full: the client feels it as back-pressure. */
static void watch_as_needed(struct zlr_reactor *r, uint32_t channel) {
  struct zlr_local *local = &r->local[channel];
  const struct zlr_channel *record = record_of(r, channel);
  uint32_t interest = 0;
  if (local->sending) {
    interest = EPOLLOUT;
  } else if (!local->ended && !local->starved) {
    const uint64_t held = local->flow.read - record->consumed;
    const uint64_t used = record->hold_slot == 0 ? 0 : local->flow.read - record->hold_base;
    const bool movable = record->hold_slot != 0 && record->consumed - record->hold_base >= r->pool.slot_size / 2;
    if (held == 0 || used < r->pool.slot_size || movable) interest = EPOLLIN;
  }
  watch(r, channel, interest);
}

static void watch_listeners(struct zlr_reactor *r, bool on) {
  if (r->accepting == on) return;
  for (uint32_t i = 0; i < r->listener_count; i++) {
    struct epoll_event event = {.events = on ? EPOLLIN : 0, .data.u64 = listener_bit | i};
    epoll_ctl(r->epoll, EPOLL_CTL_MOD, r->listeners[i], &event);
  }
  r->accepting = on;
}

static int attach(struct zlr_reactor *r, uint32_t channel, int fd, uint64_t read, uint64_t written) {
  struct zlr_local *local = &r->local[channel];
  assert(local->flow.fd < 0);
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = channel};
  if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &event)) return -errno;
  *local = (struct zlr_local){.flow = {.fd = fd, .read = read, .written = written}, .interest = EPOLLIN,
                              .touched = r->now};
  r->attached++;
  return 0;
}

/* --- slots ------------------------------------------------------------------------------------------------------- */

static void feed_the_starving(struct zlr_reactor *r) {
  for (uint32_t channel = 0; r->starving > 0 && (uint32_t)r->pool.stack[0] > r->pool.reserve && channel < r->capacity; channel++) {
    struct zlr_local *local = &r->local[channel];
    if (local->flow.fd < 0 || !local->starved) continue;
    local->starved = false;
    r->starving--;
    watch_as_needed(r, channel);
  }
}

/* --- one pass of input -------------------------------------------------------------------------------------------- */

static void fail(struct zlr_reactor *r, uint32_t channel, int error) {
  watch(r, channel, 0);
  r->local[channel].sending = false;
  emit(r, ZLR_FAILED, channel, (uint32_t)error, 0);
}

static void receive(struct zlr_reactor *r, uint32_t channel) {
  struct zlr_local *local = &r->local[channel];
  struct zlr_channel *record = record_of(r, channel);
  if (zlr_hold_room(&r->pool, record, &local->flow) == 0) {
    if (record->hold_slot == 0) {
      local->starved = true;
      r->starving++;
    }
    watch_as_needed(r, channel);
    return;
  }
  const ssize_t n = zlr_hold_recv(&r->pool, record, &local->flow, SIZE_MAX);
  if (n > 0) {
    local->touched = r->now;
    watch_as_needed(r, channel);
    emit_held(r, ZLR_INPUT, channel);
    return;
  }
  const int error = errno;
  zlr_hold_settle(&r->pool, record, &local->flow);
  if (n == 0) {
    local->ended = true;
    watch_as_needed(r, channel);
    emit_held(r, ZLR_ENDED, channel);
  } else if (error != EAGAIN && error != EINTR) {
    fail(r, channel, error);
  }
}

static void send_on(struct zlr_reactor *r, uint32_t channel) {
  struct zlr_local *local = &r->local[channel];
  const uint64_t before = local->flow.written;
  const int result = zlr_outflow(&r->pool, record_of(r, channel), &local->flow);
  if (local->flow.written != before) local->touched = r->now;
  if (result < 0) {
    fail(r, channel, -result);
    return;
  }
  local->sending = result == 0;
  watch_as_needed(r, channel);
  if (result == 1) emit_held(r, ZLR_SENT, channel);
}

static void accept_some(struct zlr_reactor *r, int listener) {
  while (r->accepted < ZLR_ACCEPT_BATCH) {
    if (r->attached + r->accepted >= r->capacity) {
      watch_listeners(r, false); /* until a channel closes */
      return;
    }
    const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) watch_listeners(r, false);
      if (errno == ECONNABORTED || errno == EINTR) continue;
      return;
    }
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length);
    r->accepted++;
    emit(r, ZLR_ACCEPTED, (uint32_t)fd, (uint32_t)cookie, (uint32_t)(cookie >> 32));
  }
}

void zlr_reactor_collect(struct zlr_reactor *r) {
  struct epoll_event ready[ZLR_BATCH];
  r->event_count = 0;
  r->accepted = 0;
  read_clock(r);
  const int n = epoll_wait(r->epoll, ready, ZLR_BATCH, 0);
  for (int i = 0; i < n; i++) {
    const uint64_t data = ready[i].data.u64;
    if (data & listener_bit) {
      accept_some(r, r->listeners[data & ~listener_bit]);
      continue;
    }
    const uint32_t channel = (uint32_t)data;
    const uint32_t events = ready[i].events;
    struct zlr_local *local = &r->local[channel];
    assert(local->flow.fd >= 0); /* CLOSE takes a channel out of the epoll set before anything else */
    if (local->sending) {
      send_on(r, channel);
    } else if (events & EPOLLIN && local->interest & EPOLLIN) {
      receive(r, channel);
    } else if (events & (EPOLLERR | EPOLLHUP)) {
      int error = 0;
      socklen_t length = sizeof error;
      getsockopt(local->flow.fd, SOL_SOCKET, SO_ERROR, &error, &length);
      fail(r, channel, error ? error : EPIPE);
    }
  }
}

void zlr_reactor_idle(struct zlr_reactor *r, uint32_t seconds) {
  r->event_count = 0;
  read_clock(r);
  /* Goes on where the events were full the last time, so that those behind are not passed over for ever. */
  for (uint32_t i = 0; i < r->capacity && r->event_count < ZLR_EVENTS; i++) {
    const uint32_t channel = r->next_idle;
    r->next_idle = channel + 1 == r->capacity ? 0 : channel + 1;
    const struct zlr_local *local = &r->local[channel];
    if (local->flow.fd >= 0 && r->now - local->touched >= seconds) emit_held(r, ZLR_IDLE, channel);
  }
  watch_listeners(r, true); /* after a lack of descriptors or memory that no CLOSE has ended */
}

/* --- commands ------------------------------------------------------------------------------------------------------ */

static void close_channel(struct zlr_reactor *r, uint32_t channel) {
  struct zlr_local *local = &r->local[channel];
  struct zlr_channel *record = record_of(r, channel);
  assert(local->flow.fd >= 0);
  /* Out of the set first: a copy of the descriptor in a former keeper would keep a closed one in it. */
  epoll_ctl(r->epoll, EPOLL_CTL_DEL, local->flow.fd, NULL);
  close(local->flow.fd);
  /* The record goes after the socket: killed in between, it is a record without a channel, which is dropped. */
  if (record->hold_slot != 0) r->pool.stack[++r->pool.stack[0]] = (int32_t)(record->hold_slot - 1);
  if (local->starved) r->starving--;
  local->flow.fd = -1;
  r->attached--;
  watch_listeners(r, true);
  emit(r, ZLR_CLOSED, channel, 0, 0);
}

static void consumed(struct zlr_reactor *r, uint32_t channel) {
  zlr_hold_settle(&r->pool, record_of(r, channel), &r->local[channel].flow);
  watch_as_needed(r, channel);
}

void zlr_reactor_execute(struct zlr_reactor *r, uint32_t count) {
  assert(count <= ZLR_EVENTS);
  r->event_count = 0;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t *command = r->commands[i];
    const uint32_t channel = command[1];
    switch (command[0]) {
      case ZLR_ATTACH: {
        const int error = attach(r, channel, (int)command[2], 0, 0);
        if (error) { /* ENOMEM, or the limit on watches: there is nothing that could serve it */
          close((int)command[2]);
          emit(r, ZLR_CLOSED, channel, 0, 0);
        }
        break;
      }
      case ZLR_SEND:
        zlr_hold_settle(&r->pool, record_of(r, channel), &r->local[channel].flow);
        send_on(r, channel);
        break;
      case ZLR_CONSUMED:
        consumed(r, channel);
        break;
      case ZLR_SHUTDOWN:
        shutdown(r->local[channel].flow.fd, SHUT_WR);
        consumed(r, channel);
        break;
      case ZLR_CLOSE:
        close_channel(r, channel);
        break;
      default:
        assert(!"a command of the list");
    }
  }
  if (r->starving > 0) feed_the_starving(r);
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

int zlr_reactor_init(struct zlr_reactor *r) {
  r->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (r->epoll < 0) return -errno;
  r->local = calloc(r->capacity, sizeof *r->local);
  if (!r->local) {
    close(r->epoll);
    return -ENOMEM;
  }
  for (uint32_t i = 0; i < r->capacity; i++) r->local[i].flow.fd = -1;
  r->accepting = true;
  read_clock(r);
  return 0;
}

void zlr_reactor_free(struct zlr_reactor *r) {
  close(r->epoll);
  free(r->local);
  r->local = NULL;
}

int zlr_reactor_listen(struct zlr_reactor *r, int fd) {
  if (r->listener_count == ZLR_LISTENERS) return -ENOSPC;
  struct epoll_event event = {.events = r->accepting ? EPOLLIN : 0, .data.u64 = listener_bit | r->listener_count};
  if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &event)) return -errno;
  r->listeners[r->listener_count++] = fd;
  return 0;
}

void zlr_reactor_unlisten(struct zlr_reactor *r) {
  for (uint32_t i = 0; i < r->listener_count; i++) {
    epoll_ctl(r->epoll, EPOLL_CTL_DEL, r->listeners[i], NULL);
    close(r->listeners[i]);
  }
  r->listener_count = 0;
}

int zlr_reactor_resume(struct zlr_reactor *r, uint32_t channel, int fd, uint64_t read, uint64_t written) {
  const struct zlr_channel *record = record_of(r, channel);
  if (read < record->consumed) return -EINVAL;
  const int error = attach(r, channel, fd, read, written);
  if (error) return error;
  zlr_hold_settle(&r->pool, record_of(r, channel), &r->local[channel].flow);
  watch_as_needed(r, channel);
  return 0;
}
