/* The reactor as JavaScript sees it: one object, its buffers shared by both sides. */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <uv.h>

#include "napi.h"
#include "../reactor/reactor.h"

enum { BUFFERS = 6, TURNS = 4 };

struct binding {
  struct zlr_reactor reactor;
  uv_poll_t poll;
  napi_env env;
  napi_ref callback;
  napi_ref buffers[BUFFERS]; /* keep the memory of records, pool, stack, events, commands, control alive */
  napi_async_context context;
  uint32_t *control; /* [0]: commands that wait; [1]: a batch is being delivered */
};

static uint32_t take_commands(struct binding *b) {
  const uint32_t count = b->control[0];
  b->control[0] = 0;
  return count;
}

static struct binding *get_binding(napi_env env, napi_value value) {
  void *out;
  MUST(napi_get_value_external(env, value, &out));
  return out;
}

/* Gives the events to JavaScript and carries out its commands until neither is left. False: it threw. */
static bool deliver(struct binding *b) {
  napi_env env = b->env;
  napi_value callback, receiver;
  MUST(napi_get_reference_value(env, b->callback, &callback));
  MUST(napi_get_global(env, &receiver));
  assert(b->control[1] == 0);
  b->control[1] = 1;
  while (b->reactor.event_count > 0) {
    napi_value count = make_int(env, b->reactor.event_count);
    /* make_callback, not call: promises settled by the batch must run before its commands are carried out */
    const napi_status status = napi_make_callback(env, b->context, receiver, callback, 1, &count, NULL);
    if (status == napi_pending_exception) {
      b->control[1] = 0;
      return false;
    }
    MUST(status);
    zlr_reactor_execute(&b->reactor, take_commands(b));
  }
  b->control[1] = 0;
  return true;
}

static void ready(uv_poll_t *poll, int status, int events) {
  (void)events;
  struct binding *b = poll->data;
  napi_env env = b->env;
  if (status < 0) return;
  for (int turn = 0; turn < TURNS; turn++) {
    napi_handle_scope scope;
    MUST(napi_open_handle_scope(env, &scope));
    zlr_reactor_collect(&b->reactor);
    const bool any = b->reactor.event_count > 0;
    if (!deliver(b)) {
      napi_value error;
      MUST(napi_get_and_clear_last_exception(env, &error));
      napi_fatal_exception(env, error);
    }
    MUST(napi_close_handle_scope(env, scope));
    if (!any) break;
  }
}

/* reactorCreate(records, stride, capacity, pool, slotSize, stack, [events, commands, control],
 * callback): external or -errno */
static napi_value create(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct binding *b = calloc(1, sizeof *b);
  if (!b) return make_int(env, -ENOMEM);
  napi_value events, commands, control;
  MUST(napi_get_element(env, args.at[6], 0, &events));
  MUST(napi_get_element(env, args.at[6], 1, &commands));
  MUST(napi_get_element(env, args.at[6], 2, &control));
  const napi_value buffers[BUFFERS] = {args.at[0], args.at[3], args.at[5], events, commands, control};
  for (int i = 0; i < BUFFERS; i++) MUST(napi_create_reference(env, buffers[i], 1, &b->buffers[i]));
  MUST(napi_create_reference(env, args.at[7], 1, &b->callback));
  b->env = env;
  b->reactor.records = get_bytes(env, args.at[0]);
  b->reactor.stride = get_uint(env, args.at[1]);
  b->reactor.capacity = get_uint(env, args.at[2]);
  b->reactor.pool.base = get_bytes(env, args.at[3]);
  b->reactor.pool.slot_size = get_uint(env, args.at[4]);
  b->reactor.pool.stack = get_bytes(env, args.at[5]);
  size_t bytes;
  MUST(napi_get_typedarray_info(env, args.at[3], NULL, &bytes, NULL, NULL, NULL));
  b->reactor.pool.slot_count = (uint32_t)(bytes / b->reactor.pool.slot_size);
  b->reactor.pool.reserve = b->reactor.pool.slot_count / 4;
  b->reactor.events = get_bytes(env, events);
  b->reactor.commands = get_bytes(env, commands);
  b->control = get_bytes(env, control);
  uv_loop_t *loop;
  MUST(napi_get_uv_event_loop(env, &loop));
  int error = zlr_reactor_init(&b->reactor);
  if (!error) error = uv_poll_init(loop, &b->poll, b->reactor.epoll);
  if (error) return make_int(env, error);
  b->poll.data = b;
  uv_poll_start(&b->poll, UV_READABLE, ready);
  napi_value name, external;
  MUST(napi_create_string_utf8(env, "zlr.reactor", NAPI_AUTO_LENGTH, &name));
  MUST(napi_async_init(env, NULL, name, &b->context));
  MUST(napi_create_external(env, b, NULL, NULL, &external));
  return external;
}

/* reactorListen(reactor, fd): 0 or -errno */
static napi_value listen_with(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  return make_int(env, zlr_reactor_listen(&get_binding(env, args.at[0])->reactor, get_int(env, args.at[1])));
}

/* reactorUnlisten(reactor) */
static napi_value unlisten(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  zlr_reactor_unlisten(&get_binding(env, args.at[0])->reactor);
  return make_int(env, 0);
}

/* reactorResume(reactor, channel, fd, read, written): 0 or -errno */
static napi_value resume(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  return make_int(env, zlr_reactor_resume(&get_binding(env, args.at[0])->reactor, get_uint(env, args.at[1]),
                                          get_int(env, args.at[2]), (uint64_t)get_double(env, args.at[3]),
                                          (uint64_t)get_double(env, args.at[4])));
}

/* reactorSubmit(reactor): carries out the waiting commands outside of a batch. */
static napi_value submit(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct binding *b = get_binding(env, args.at[0]);
  zlr_reactor_execute(&b->reactor, take_commands(b));
  deliver(b); /* an exception goes on to the caller */
  return make_int(env, 0);
}

/* reactorIdle(reactor, seconds): delivers IDLE events */
static napi_value idle(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct binding *b = get_binding(env, args.at[0]);
  zlr_reactor_idle(&b->reactor, get_uint(env, args.at[1]));
  deliver(b);
  return make_int(env, 0);
}

static void closed(uv_handle_t *handle) {
  struct binding *b = handle->data;
  zlr_reactor_free(&b->reactor);
  free(b);
}

/* reactorClose(reactor): after the last channel has gone; not from within the callback */
static napi_value destroy(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct binding *b = get_binding(env, args.at[0]);
  assert(b->control[1] == 0);
  zlr_reactor_unlisten(&b->reactor);
  for (int i = 0; i < BUFFERS; i++) MUST(napi_delete_reference(env, b->buffers[i]));
  MUST(napi_delete_reference(env, b->callback));
  MUST(napi_async_destroy(env, b->context));
  uv_close((uv_handle_t *)&b->poll, closed);
  return make_int(env, 0);
}

void zlr_export_reactor(napi_env env, napi_value exports) {
  export_function(env, exports, "reactorCreate", create);
  export_function(env, exports, "reactorListen", listen_with);
  export_function(env, exports, "reactorUnlisten", unlisten);
  export_function(env, exports, "reactorResume", resume);
  export_function(env, exports, "reactorSubmit", submit);
  export_function(env, exports, "reactorIdle", idle);
  export_function(env, exports, "reactorClose", destroy);
  napi_value events;
  MUST(napi_create_uint32(env, ZLR_EVENTS, &events));
  MUST(napi_set_named_property(env, exports, "REACTOR_EVENTS", events));
}
