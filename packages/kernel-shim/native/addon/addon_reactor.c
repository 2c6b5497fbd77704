/* The reactor as JavaScript sees it: one object, its buffers shared by both sides. */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <uv.h>

#include "napi.h"
#include "../reactor/reactor.h"

/* What both sides see, in the order in which reactorCreate gets it. */
enum buffer { RECORDS, POOL, EXTENTS, LARGE, SMALL, FLOWS, EVENTS, COMMANDS, CONTROL, BUFFERS };
enum number { STRIDE, CAPACITY, LARGE_SIZE, SMALL_SIZE, LARGE_COUNT, SMALL_COUNT, RESERVE, MOST_HELD, MOST_OUTPUT, IN_TURN };
enum origin { NONE, COLLECTED, BROUGHT_ABOUT };
enum { TURNS = 4 };

struct binding {
  struct zlr_reactor reactor;
  uv_poll_t poll;
  napi_env env;
  napi_ref callback;
  napi_ref buffers[BUFFERS]; /* keep their memory alive */
  napi_async_context context;
  /* [0]: commands that wait; [1]: enum origin of the batch that is being delivered; [2]: channels have input that waits
   * for its turn */
  uint32_t *control;
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
static bool deliver(struct binding *b, enum origin what) {
  napi_env env = b->env;
  napi_value callback, receiver;
  MUST(napi_get_reference_value(env, b->callback, &callback));
  MUST(napi_get_global(env, &receiver));
  assert(b->control[1] == NONE);
  for (bool turn = what == COLLECTED && b->control[2] != 0; turn || b->reactor.event_count > 0; turn = false) {
    b->control[1] = what;
    napi_value count = make_int(env, b->reactor.event_count);
    /* make_callback, not call: promises settled by the batch must run before its commands are carried out */
    const napi_status status = napi_make_callback(env, b->context, receiver, callback, 1, &count, NULL);
    if (status == napi_pending_exception) {
      b->control[1] = NONE;
      return false;
    }
    MUST(status);
    zlr_reactor_execute(&b->reactor, take_commands(b));
    what = BROUGHT_ABOUT;
  }
  b->control[1] = NONE;
  return true;
}

/* One pass. False: there was nothing to do. */
static bool pass(struct binding *b) {
  napi_env env = b->env;
  napi_handle_scope scope;
  MUST(napi_open_handle_scope(env, &scope));
  zlr_reactor_collect(&b->reactor);
  const bool any = b->reactor.event_count > 0 || b->control[2] != 0;
  if (!deliver(b, COLLECTED)) {
    napi_value error;
    MUST(napi_get_and_clear_last_exception(env, &error));
    napi_fatal_exception(env, error);
  }
  MUST(napi_close_handle_scope(env, scope));
  return any;
}

static void ready(uv_poll_t *poll, int status, int events) {
  (void)events;
  if (status < 0) return;
  for (int turn = 0; turn < TURNS && pass(poll->data); turn++) continue;
}

/* reactorCreate(buffers, numbers, callback): external or -errno. What they are: the enumerations above. */
static napi_value create(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct binding *b = calloc(1, sizeof *b);
  if (!b) return make_int(env, -ENOMEM);
  void *memory[BUFFERS];
  for (uint32_t i = 0; i < BUFFERS; i++) {
    napi_value each;
    MUST(napi_get_element(env, args.at[0], i, &each));
    MUST(napi_create_reference(env, each, 1, &b->buffers[i]));
    memory[i] = get_bytes(env, each);
  }
  const uint32_t *numbers = get_bytes(env, args.at[1]);
  MUST(napi_create_reference(env, args.at[2], 1, &b->callback));
  b->env = env;
  b->reactor = (struct zlr_reactor){
      .records = memory[RECORDS],
      .stride = numbers[STRIDE],
      .capacity = numbers[CAPACITY],
      .pool = zlr_pool_of(memory[POOL], memory[EXTENTS], memory[LARGE], memory[SMALL], numbers + LARGE_SIZE),
      .limits = {.held = numbers[MOST_HELD], .output = numbers[MOST_OUTPUT], .in_turn = numbers[IN_TURN]},
      .flows = memory[FLOWS],
      .events = memory[EVENTS],
      .commands = memory[COMMANDS],
  };
  b->control = memory[CONTROL];
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
  deliver(b, BROUGHT_ABOUT); /* an exception goes on to the caller */
  return make_int(env, 0);
}

/* reactorPass(reactor): one pass, though epoll tells of nothing: input waits for its turn. */
static napi_value pass_once(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  pass(get_binding(env, args.at[0]));
  return make_int(env, 0);
}

/* reactorIdle(reactor, quiet seconds, unit seconds): delivers IDLE and OVERDUE events */
static napi_value idle(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct binding *b = get_binding(env, args.at[0]);
  zlr_reactor_idle(&b->reactor, get_uint(env, args.at[1]), get_uint(env, args.at[2]));
  deliver(b, BROUGHT_ABOUT);
  return make_int(env, 0);
}

/* cookieOf(fd): the socket's SO_COOKIE, a bigint; 0: it has none */
static napi_value cookie_of(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  getsockopt(get_int(env, args.at[0]), SOL_SOCKET, SO_COOKIE, &cookie, &length);
  napi_value out;
  MUST(napi_create_bigint_uint64(env, cookie, &out));
  return out;
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
  export_function(env, exports, "cookieOf", cookie_of);
  export_function(env, exports, "reactorCreate", create);
  export_function(env, exports, "reactorListen", listen_with);
  export_function(env, exports, "reactorUnlisten", unlisten);
  export_function(env, exports, "reactorResume", resume);
  export_function(env, exports, "reactorSubmit", submit);
  export_function(env, exports, "reactorPass", pass_once);
  export_function(env, exports, "reactorIdle", idle);
  export_function(env, exports, "reactorClose", destroy);
  set(env, exports, "REACTOR_EVENTS", ZLR_EVENTS);
  set(env, exports, "REACTOR_COMMANDS", ZLR_COMMANDS);
}
