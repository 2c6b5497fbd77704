/* HTTP connections of programs that know nothing of us, as TypeScript sees them: it decides, this does. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "../channels/books.h"
#include "../channels/sockets.h"
#include "../exchange/answer.h"
#include "../exchange/calls.h"
#include "../exchange/waiting.h"
#include "napi.h"

/* One for the process: its calls are led for all of it. */
static struct zlr_house house;
static struct zlr_tally tally;
static napi_ref memory[2]; /* records and slots stay mapped */

static struct {
  struct zlr_waiting waiting;
  uv_poll_t poll;
  napi_env env;
  napi_ref callback;
  napi_async_context context;
  bool polled;
} room = {.waiting = {.epoll = -1}};

static uint32_t *copy_numbers(napi_env env, napi_value array, uint32_t capacity, uint32_t *count) {
  size_t length;
  void *data;
  MUST(napi_get_typedarray_info(env, array, NULL, &length, &data, NULL, NULL));
  uint32_t *out = malloc((capacity + 1) * sizeof *out);
  if (!out) abort();
  memcpy(out, data, length * sizeof *out);
  *count = (uint32_t)length;
  return out;
}

/* exchangeOpen(records, stride, slots, slotSize, freeRecords, freeSlots): 0 or -errno. Once in a process. */
static napi_value open_house(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  size_t record_bytes, slot_bytes;
  void *records, *slots;
  MUST(napi_get_typedarray_info(env, args.at[0], NULL, &record_bytes, &records, NULL, NULL));
  MUST(napi_get_typedarray_info(env, args.at[2], NULL, &slot_bytes, &slots, NULL, NULL));
  house.records = records;
  house.stride = get_uint(env, args.at[1]);
  house.record_count = (uint32_t)(record_bytes / house.stride);
  house.slots = slots;
  house.slot_size = get_uint(env, args.at[3]);
  house.slot_count = (uint32_t)(slot_bytes / house.slot_size);
  house.free_records = copy_numbers(env, args.at[4], house.record_count, &house.free_record_count);
  house.free_slots = copy_numbers(env, args.at[5], house.slot_count, &house.free_slot_count);
  MUST(napi_create_reference(env, args.at[0], 1, &memory[0]));
  MUST(napi_create_reference(env, args.at[2], 1, &memory[1]));
  return make_int(env, zlr_calls_lead());
}

/* exchangeRestore(): libuv's calls are its own again */
static napi_value restore(napi_env env, napi_callback_info info) {
  (void)info;
  zlr_calls_restore();
  return make_int(env, 0);
}

/* exchangeBegin(fd): 0 or -errno; -ENOBUFS: no record is free, it stays plain. 0 too when it was begun or resumed before. */
static napi_value begin(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  const int fd = get_int(env, args.at[0]);
  uint64_t cookie;
  socklen_t length = sizeof cookie;
  if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length)) return make_int(env, -errno);
  const struct zlr_talk *known = zlr_calls_find(fd);
  if (known && known->record->cookie == cookie) return make_int(env, 0);
  zlr_calls_leave(fd); /* of a socket that was closed where we do not look */
  zlr_mark_channel(fd);
  struct zlr_talk *talk = zlr_talk_begin(&house, &tally, fd, cookie);
  if (!talk) return make_int(env, -ENOBUFS);
  if (zlr_calls_enter(talk)) return make_int(env, 0);
  zlr_talk_end(talk);
  return make_int(env, -ENOBUFS);
}

/* exchangeResume(fd, record, read, written, enum zlr_answered): 0 or -errno */
static napi_value resume(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct zlr_talk *talk = zlr_talk_resume(&house, &tally, get_int(env, args.at[0]), get_uint(env, args.at[1]),
                                          (uint64_t)get_double(env, args.at[2]), (uint64_t)get_double(env, args.at[3]),
                                          (enum zlr_answered)get_int(env, args.at[4]));
  if (!talk) return make_int(env, -ENOMEM);
  if (zlr_calls_enter(talk)) return make_int(env, 0);
  zlr_talk_end(talk);
  return make_int(env, -ENOBUFS);
}

/* exchangeFlush(fd): 0: all that was produced is the kernel's; or -errno, -EAGAIN among them */
static napi_value flush(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct zlr_talk *talk = zlr_calls_find(get_int(env, args.at[0]));
  return make_int(env, talk && zlr_talk_flush(talk) ? -errno : 0);
}

/* exchangeClose(fd, reset): ends a connection, and what is kept of it */
static napi_value close_exchange(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  const int fd = get_int(env, args.at[0]);
  zlr_wait_no_more(&room.waiting, fd);
  zlr_calls_leave(fd);
  if (get_int(env, args.at[1])) {
    const struct linger at_once = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  return make_int(env, close(fd) ? -errno : 0);
}

/* exchangePeek(fd): bytes that wait, at most 1; 0: the peer has ended; or -errno */
static napi_value peek(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  char byte;
  const ssize_t n = recv(get_int(env, args.at[0]), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return make_int(env, n < 0 ? -errno : n);
}

/* exchangeScan(bytes): [end, flags, ...] for each request whose head is whole; an end of 0 has not come, -1: it is odd */
static napi_value scan_requests(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  size_t count, at = 0;
  void *bytes;
  MUST(napi_get_typedarray_info(env, args.at[0], NULL, &count, &bytes, NULL, NULL));
  napi_value out;
  MUST(napi_create_array(env, &out));
  struct zlr_scanner scanner = {.body = 0};
  for (int32_t requests = 0;;) {
    size_t used;
    const enum zlr_scanned event = zlr_scan(&scanner, (unsigned char *)bytes + at, count - at, &used);
    at += used;
    if (event == ZLR_SCAN_MORE) return out;
    if (event == ZLR_SCAN_END) {
      MUST(napi_set_element(env, out, (uint32_t)requests * 2 - 2, make_int(env, (int64_t)at)));
      continue;
    }
    const bool odd = event == ZLR_SCAN_ODD;
    MUST(napi_set_element(env, out, (uint32_t)requests * 2, make_int(env, odd ? -1 : 0)));
    MUST(napi_set_element(env, out, (uint32_t)requests * 2 + 1, make_int(env, scanner.flags)));
    requests++;
    if (odd) return out;
  }
}

/* exchangeAnswerHead(bytes, toHead): [length, status, framing, body length, closes]; undefined: not whole, or none */
static napi_value read_answer_head(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  size_t count;
  void *bytes;
  MUST(napi_get_typedarray_info(env, args.at[0], NULL, &count, &bytes, NULL, NULL));
  struct zlr_answer_head head;
  const size_t length = zlr_answer_head(bytes, count, get_int(env, args.at[1]), &head);
  napi_value out;
  if (length == 0) {
    MUST(napi_get_undefined(env, &out));
    return out;
  }
  const int64_t numbers[] = {(int64_t)length, head.status, head.framing, (int64_t)head.length, head.closes};
  MUST(napi_create_array(env, &out));
  for (uint32_t i = 0; i < sizeof numbers / sizeof *numbers; i++) MUST(napi_set_element(env, out, i, make_int(env, numbers[i])));
  return out;
}

/* exchangeTally(): what this process did so far */
static napi_value get_tally(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value out;
  MUST(napi_create_object(env, &out));
  set(env, out, "reads", (int64_t)tally.reads);
  set(env, out, "writes", (int64_t)tally.writes);
  set(env, out, "closes", (int64_t)tally.closes);
  set(env, out, "answers", (int64_t)tally.answers);
  set(env, out, "passedOver", (int64_t)tally.passed_over);
  set(env, out, "diverged", (int64_t)tally.diverged);
  set(env, out, "opaque", (int64_t)tally.opaque);
  set(env, out, "freeRecords", house.free_record_count);
  set(env, out, "freeSlots", house.free_slot_count);
  return out;
}

static void ready(uv_poll_t *poll, int status, int events) {
  (void)poll;
  (void)events;
  if (status < 0) return;
  napi_env env = room.env;
  int fds[64];
  const int count = zlr_wait_ready(&room.waiting, fds, 64);
  for (int i = 0; i < count; i++) {
    napi_handle_scope scope;
    MUST(napi_open_handle_scope(env, &scope));
    napi_value callback, receiver, number = make_int(env, fds[i]);
    MUST(napi_get_reference_value(env, room.callback, &callback));
    MUST(napi_get_global(env, &receiver));
    if (napi_make_callback(env, room.context, receiver, callback, 1, &number, NULL) == napi_pending_exception) {
      napi_value error;
      MUST(napi_get_and_clear_last_exception(env, &error));
      napi_fatal_exception(env, error);
    }
    MUST(napi_close_handle_scope(env, scope));
  }
}

/* exchangeOnReady(callback(fd)): whom to tell of the connections that are waited for */
static napi_value on_ready(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  napi_value name;
  MUST(napi_create_string_utf8(env, "zlr.waiting", NAPI_AUTO_LENGTH, &name));
  MUST(napi_async_init(env, NULL, name, &room.context));
  MUST(napi_create_reference(env, args.at[0], 1, &room.callback));
  room.env = env;
  return make_int(env, 0);
}

/* exchangeWait(fd, writable): tells of it once when it can be written to, or read from. 0 or -errno */
static napi_value wait_for(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  const int error = zlr_wait_for(&room.waiting, get_int(env, args.at[0]), get_int(env, args.at[1]) ? EPOLLOUT : EPOLLIN);
  if (error || room.polled) return make_int(env, error);
  uv_loop_t *loop;
  MUST(napi_get_uv_event_loop(env, &loop));
  const int failed = uv_poll_init(loop, &room.poll, room.waiting.epoll);
  if (failed) return make_int(env, failed);
  uv_poll_start(&room.poll, UV_READABLE, ready);
  uv_unref((uv_handle_t *)&room.poll); /* a program that has nothing else to do ends, as it would without us */
  room.polled = true;
  return make_int(env, 0);
}

/* socketBind(address, port, shared): a TCP socket that does not listen yet, marked as a channel. Its fd or -errno */
static napi_value bind_socket(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  char *address = get_string(env, args.at[0]);
  const int fd = zlr_bind(address, (uint16_t)get_uint(env, args.at[1]), get_int(env, args.at[2]) != 0);
  free(address);
  return make_int(env, fd);
}

/* socketCookie(fd): SO_COOKIE, a name that is never used twice; 0: no socket */
static napi_value socket_cookie(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  if (getsockopt(get_int(env, args.at[0]), SOL_SOCKET, SO_COOKIE, &cookie, &length)) cookie = 0;
  napi_value out;
  MUST(napi_create_bigint_uint64(env, cookie, &out));
  return out;
}

void zlr_export_exchange(napi_env env, napi_value exports) {
  export_function(env, exports, "exchangeOpen", open_house);
  export_function(env, exports, "exchangeRestore", restore);
  export_function(env, exports, "exchangeBegin", begin);
  export_function(env, exports, "exchangeResume", resume);
  export_function(env, exports, "exchangeFlush", flush);
  export_function(env, exports, "exchangeClose", close_exchange);
  export_function(env, exports, "exchangePeek", peek);
  export_function(env, exports, "exchangeScan", scan_requests);
  export_function(env, exports, "exchangeAnswerHead", read_answer_head);
  export_function(env, exports, "exchangeTally", get_tally);
  export_function(env, exports, "exchangeOnReady", on_ready);
  export_function(env, exports, "exchangeWait", wait_for);
  export_function(env, exports, "socketBind", bind_socket);
  export_function(env, exports, "socketCookie", socket_cookie);
}
