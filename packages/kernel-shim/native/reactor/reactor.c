#define _GNU_SOURCE
#include "reactor.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../channels/room.h"
#include "../channels/sockets.h"

/* epoll's data: a channel's number, or a listener's beyond all of those */
static const uint64_t listener_bit = (uint64_t)1 << 32;

static struct zlr_channel *record_of(const struct zlr_reactor *r, uint32_t channel) {
  assert(channel < r->capacity);
  return (struct zlr_channel *)(r->records + (size_t)channel * r->stride);
}

static struct zlr_held held_of(const struct zlr_reactor *r, uint32_t channel) {
  return (struct zlr_held){&r->pool, record_of(r, channel), &r->flows[channel], channel + 1, r->limits.held};
}

static uint64_t held_bytes(const struct zlr_reactor *r, uint32_t channel) {
  return r->flows[channel].read - record_of(r, channel)->consumed;
}

static void emit(struct zlr_reactor *r, uint32_t kind, uint32_t a, uint32_t b, uint32_t c) {
  assert(r->event_count < ZLR_EVENTS);
  uint32_t *event = r->events[r->event_count++];
  event[0] = kind;
  event[1] = a;
  event[2] = b;
  event[3] = c;
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
  if (!local->watched || local->interest == interest) return;
  struct epoll_event event = {.events = interest, .data.u64 = channel};
  const int error = epoll_ctl(r->epoll, EPOLL_CTL_MOD, r->flows[channel].fd, &event);
  assert(error == 0);
  (void)error;
  local->interest = interest;
}

/* Input waits in the kernel while there is no room for it, or too much output: the client feels it as back-pressure. */
static void watch_as_needed(struct zlr_reactor *r, uint32_t channel) {
  const struct zlr_local *local = &r->local[channel];
  const bool sending = record_of(r, channel)->out_head != 0;
  uint32_t interest = sending ? EPOLLOUT : 0;
  const bool may_read = !local->ended && !local->starved && !(sending && r->limits.in_turn) &&
                        r->flows[channel].waiting <= r->limits.output;
  if (may_read && zlr_hold_may_grow(held_of(r, channel))) interest |= EPOLLIN;
  watch(r, channel, interest);
}

static void unwatch(struct zlr_reactor *r, uint32_t channel) {
  if (!r->local[channel].watched) return;
  epoll_ctl(r->epoll, EPOLL_CTL_DEL, r->flows[channel].fd, NULL);
  r->local[channel].watched = false;
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
  struct zlr_flow *flow = &r->flows[channel];
  assert(flow->fd < 0);
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = channel};
  if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &event)) return -errno;
  const uint32_t waiting = flow->waiting; /* output that was recorded before */
  *flow = (struct zlr_flow){.fd = fd, .read = read, .written = written, .waiting = waiting};
  r->local[channel] = (struct zlr_local){.watched = true, .interest = EPOLLIN, .touched = r->now, .began = r->now,
                                         .consumed = record_of(r, channel)->consumed};
  r->attached++;
  return 0;
}

/* --- extents ------------------------------------------------------------------------------------------------------ */

static void wait_for_extent(struct zlr_reactor *r, uint32_t channel) {
  struct zlr_local *local = &r->local[channel];
  assert(!local->starved && !local->promised);
  local->starved = true;
  zlr_queue_join(&r->starving, &r->local->link, sizeof *r->local, channel + 1);
  watch_as_needed(r, channel);
  emit(r, ZLR_STARVED, channel, 0, 0);
}

static void stop_waiting(struct zlr_reactor *r, uint32_t channel) {
  struct zlr_local *local = &r->local[channel];
  if (local->starved) zlr_queue_leave(&r->starving, &r->local->link, sizeof *r->local, channel + 1);
  if (local->promised) r->pool.promised--;
  local->starved = local->promised = false;
}

/* Those that have waited longest are woken, as many as there are extents for; these are kept for them. */
static void feed_the_starving(struct zlr_reactor *r) {
  while (r->starving.first != 0 && (uint32_t)r->pool.large[0] > r->pool.reserve + r->pool.promised) {
    const uint32_t channel = r->starving.first - 1;
    stop_waiting(r, channel);
    r->local[channel].promised = true;
    r->pool.promised++;
    watch_as_needed(r, channel);
  }
}

/* As zlr_hold_room; what was promised is taken. */
static ssize_t make_room(struct zlr_reactor *r, uint32_t channel) {
  if (r->local[channel].promised) stop_waiting(r, channel);
  return zlr_hold_room(held_of(r, channel), 0);
}

/* --- one pass of input -------------------------------------------------------------------------------------------- */

/* Receives what has come, as far as there is room. What recv said last, or -ENOBUFS. */
static ssize_t receive_once(struct zlr_reactor *r, uint32_t channel) {
  struct zlr_local *local = &r->local[channel];
  const bool is_fresh = held_bytes(r, channel) == 0;
  const ssize_t room = make_room(r, channel);
  if (room <= 0) return room < 0 ? room : -EAGAIN;
  const ssize_t n = zlr_hold_recv(held_of(r, channel), SIZE_MAX);
  if (n <= 0) {
    const int error = errno;
    zlr_hold_settle(held_of(r, channel));
    return n < 0 ? -error : 0;
  }
  local->touched = r->now;
  if (is_fresh) local->began = r->now;
  return n;
}

/* Nothing can be sent any more, but a line that came before the end counts: what is still there is received. */
static void fail(struct zlr_reactor *r, uint32_t channel, int error) {
  struct zlr_local *local = &r->local[channel];
  local->failed = true;
  unwatch(r, channel);
  zlr_outflow_drop(&r->pool, record_of(r, channel), &r->flows[channel]);
  stop_waiting(r, channel);
  while (!local->ended && receive_once(r, channel) > 0) continue;
  emit(r, ZLR_FAILED, channel, (uint32_t)error, 0);
}

static void receive(struct zlr_reactor *r, uint32_t channel) {
  ssize_t n = receive_once(r, channel);
  const bool any = n > 0;
  /* A small extent that is full: the rest is looked for at once. */
  if (any && zlr_hold_is_outgrown(held_of(r, channel))) n = receive_once(r, channel);
  if (n == -ENOBUFS) {
    wait_for_extent(r, channel);
  } else if (n < 0 && n != -EAGAIN && n != -EINTR) {
    fail(r, channel, (int)-n);
    return;
  } else if (n == 0) {
    r->local[channel].ended = true;
  }
  watch_as_needed(r, channel);
  if (any) emit(r, ZLR_INPUT, channel, 0, 0);
  if (n == 0) emit(r, ZLR_ENDED, channel, 0, 0);
}

static void send_on(struct zlr_reactor *r, uint32_t channel) {
  struct zlr_local *local = &r->local[channel];
  struct zlr_flow *flow = &r->flows[channel];
  const uint64_t before = flow->written;
  const int result = zlr_outflow(&r->pool, record_of(r, channel), flow);
  if (flow->written != before) local->touched = r->now;
  if (result < 0) {
    fail(r, channel, -result);
    return;
  }
  watch_as_needed(r, channel);
  if (flow->wants && flow->waiting <= r->limits.output / 2) {
    flow->wants = 0;
    emit(r, ZLR_DRAINED, channel, 0, 0);
  }
  if (result == 1) emit(r, ZLR_SENT, channel, 0, 0);
}

/* Until a channel closes, or the next second. */
static void stop_accepting(struct zlr_reactor *r, int first_reserved) {
  watch_listeners(r, false);
  if (!r->crowded) emit(r, ZLR_CROWDED, (uint32_t)first_reserved, 0, 0);
  r->crowded = true;
}

static void accept_some(struct zlr_reactor *r, int listener) {
  const int first_reserved = zlr_first_reserved();
  while (r->accepted < ZLR_ACCEPT_BATCH) {
    /* Looked at before, and not only in the number that one has got: each would take one of the reserve, and whoever leaves let two in. */
    if ((r->crowded || r->attached + r->accepted >= (uint32_t)first_reserved / 2) && !zlr_has_room(first_reserved)) {
      stop_accepting(r, first_reserved);
      return;
    }
    if (r->attached + r->accepted >= r->capacity) {
      watch_listeners(r, false); /* until a channel closes */
      return;
    }
    const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE) stop_accepting(r, first_reserved);
      if (errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) watch_listeners(r, false);
      if (errno == ECONNABORTED || errno == EINTR) continue;
      return;
    }
    zlr_mark_channel(fd);
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length);
    r->accepted++;
    emit(r, ZLR_ACCEPTED, (uint32_t)fd, (uint32_t)cookie, (uint32_t)(cookie >> 32));
    if (fd >= first_reserved) { /* other descriptors than connections fill the table */
      stop_accepting(r, first_reserved);
      return;
    }
  }
}

static void serve(struct zlr_reactor *r, uint32_t channel, uint32_t events) {
  const struct zlr_local *local = &r->local[channel];
  const uint32_t wanted = events & local->interest;
  if (wanted & EPOLLOUT) send_on(r, channel);
  if (wanted & EPOLLIN && local->interest & EPOLLIN && !local->failed) receive(r, channel);
  if (wanted == 0 && events & (EPOLLERR | EPOLLHUP)) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(r->flows[channel].fd, SOL_SOCKET, SO_ERROR, &error, &length);
    fail(r, channel, error ? error : EPIPE);
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
    if (data & listener_bit) accept_some(r, r->listeners[data & ~listener_bit]);
    else serve(r, (uint32_t)data, ready[i].events);
  }
}

/* --- who is late --------------------------------------------------------------------------------------------------- */

/* While channels wait for an extent: at most as many of those that hold one, the ones that have held it longest. */
static void call_in(struct zlr_reactor *r) {
  enum { MOST = 64, GRACE_SECONDS = 2 };
  uint32_t oldest[MOST]; /* in that order */
  uint32_t count = 0;
  const uint32_t most = r->starving.count < MOST ? r->starving.count : MOST;
  for (uint32_t channel = 0; channel < r->capacity; channel++) {
    const struct zlr_flow *flow = &r->flows[channel];
    const uint32_t began = r->local[channel].began;
    if (flow->fd < 0 || flow->hold_tail == 0 || zlr_is_small(&r->pool, flow->hold_tail - 1)) continue;
    if (r->now - began < GRACE_SECONDS) continue;
    uint32_t at = count;
    while (at > 0 && r->local[oldest[at - 1]].began > began) at--;
    if (at == most) continue;
    if (count < most) count++;
    memmove(oldest + at + 1, oldest + at, (count - 1 - at) * sizeof *oldest);
    oldest[at] = channel;
  }
  for (uint32_t i = 0; i < count; i++) emit(r, ZLR_OVERDUE, oldest[i], 0, 0);
}

void zlr_reactor_idle(struct zlr_reactor *r, uint32_t quiet, uint32_t unit) {
  r->event_count = 0;
  read_clock(r);
  if (r->starving.count > 0) call_in(r);
  /* Goes on where the events were full the last time, so that those behind are not passed over for ever. */
  for (uint32_t i = 0; i < r->capacity && r->event_count < ZLR_EVENTS; i++) {
    const uint32_t channel = r->next_idle;
    r->next_idle = channel + 1 == r->capacity ? 0 : channel + 1;
    const struct zlr_local *local = &r->local[channel];
    if (r->flows[channel].fd < 0) continue;
    if (r->now - local->touched >= quiet) emit(r, ZLR_IDLE, channel, 0, 0);
    else if (held_bytes(r, channel) > 0 && r->now - local->began >= unit) emit(r, ZLR_OVERDUE, channel, 0, 0);
  }
  watch_listeners(r, true); /* after a lack of descriptors or memory that no CLOSE has ended */
}

/* --- commands ------------------------------------------------------------------------------------------------------ */

static void close_channel(struct zlr_reactor *r, uint32_t channel) {
  struct zlr_flow *flow = &r->flows[channel];
  assert(flow->fd >= 0);
  /* Out of the set first: a copy of the descriptor in a former keeper would keep a closed one in it. */
  unwatch(r, channel);
  close(flow->fd);
  /* The record goes after the socket: killed in between, it is a record without a channel, which is dropped. */
  zlr_hold_release(held_of(r, channel));
  zlr_outflow_drop(&r->pool, record_of(r, channel), flow);
  stop_waiting(r, channel);
  flow->fd = -1;
  r->attached--;
  watch_listeners(r, true);
  emit(r, ZLR_CLOSED, channel, 0, 0);
}

static void settle(struct zlr_reactor *r, uint32_t channel) {
  struct zlr_local *local = &r->local[channel];
  const uint64_t consumed = record_of(r, channel)->consumed;
  if (consumed == local->consumed) return;
  zlr_hold_settle(held_of(r, channel));
  local->consumed = consumed;
  local->began = r->now;
  /* Of a connection that has failed epoll tells nothing more; what had no room before may have now. */
  if (local->failed && !local->ended && receive_once(r, channel) > 0) emit(r, ZLR_INPUT, channel, 0, 0);
}

/* ENOMEM, or the limit on watches: there is nothing that could serve it. */
static void attach_accepted(struct zlr_reactor *r, uint32_t channel, int fd) {
  if (attach(r, channel, fd, 0, 0) == 0) return;
  close(fd);
  zlr_outflow_drop(&r->pool, record_of(r, channel), &r->flows[channel]);
  emit(r, ZLR_CLOSED, channel, 0, 0);
}

void zlr_reactor_execute(struct zlr_reactor *r, uint32_t count) {
  assert(count <= ZLR_COMMANDS);
  r->event_count = 0;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t *command = r->commands[i];
    const uint32_t channel = command[1];
    if (command[0] != ZLR_ATTACH && r->flows[channel].fd < 0) continue; /* it could not be attached */
    switch (command[0]) {
      case ZLR_ATTACH:
        attach_accepted(r, channel, (int)command[2]);
        break;
      case ZLR_SEND:
        settle(r, channel);
        if (!r->local[channel].failed) send_on(r, channel);
        break;
      case ZLR_CONSUMED:
        settle(r, channel);
        watch_as_needed(r, channel);
        break;
      case ZLR_SHUTDOWN:
        shutdown(r->flows[channel].fd, SHUT_WR);
        settle(r, channel);
        watch_as_needed(r, channel);
        break;
      case ZLR_CLOSE:
        close_channel(r, channel);
        break;
      default:
        assert(!"a command of the list");
    }
  }
  feed_the_starving(r);
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
  for (uint32_t i = 0; i < r->capacity; i++) r->flows[i].fd = -1;
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
  const int error = attach(r, channel, fd, read, written);
  if (error) return error;
  zlr_hold_resume(held_of(r, channel));
  watch_as_needed(r, channel);
  return 0;
}
