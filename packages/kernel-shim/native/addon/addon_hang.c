/*
 * What JavaScript does when the event loop does not turn: a thread sees that no beat comes, and asks V8 to stop at the next place where
 * it can, a loop's end or a call; there the stack is read, and sent to the supervisor, which may end this process soon. Code that never
 * comes back to JavaScript answers nothing, and says by that where it is.
 *
 * Node-API has no call for it. V8's own are looked up by the names that they have had since Node 20; where one is missing nothing is told.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "../link/link.h"
#include "napi.h"

enum { FRAMES_MAX = 30, NAME_MAX_BYTES = 200, DETAILED = 0x7f };

static const uint64_t MS = 1000000, SECOND = 1000000000;

/* A local handle is a pointer, here as in Node-API. */
typedef napi_value local;
struct location {
  int line, column; /* from 0 */
};

static struct {
  void *(*get_current)(void);
  void (*request_interrupt)(void *isolate, void (*callback)(void *isolate, void *data), void *data);
  local (*current_stack)(void *isolate, int limit, int options);
  int (*frame_count)(local stack);
  local (*frame_at)(local stack, void *isolate, uint32_t index);
  struct location (*location)(local frame);
  local (*function_name)(local frame);
  local (*script_name)(local frame);
} v8;

static bool find_v8(void) {
  const struct {
    void *to;
    const char *name;
  } calls[] = {{&v8.get_current, "_ZN2v87Isolate10GetCurrentEv"},
               {&v8.request_interrupt, "_ZN2v87Isolate16RequestInterruptEPFvPS0_PvES2_"},
               {&v8.current_stack, "_ZN2v810StackTrace17CurrentStackTraceEPNS_7IsolateEiNS0_17StackTraceOptionsE"},
               {&v8.frame_count, "_ZNK2v810StackTrace13GetFrameCountEv"},
               {&v8.frame_at, "_ZNK2v810StackTrace8GetFrameEPNS_7IsolateEj"},
               {&v8.location, "_ZNK2v810StackFrame11GetLocationEv"},
               {&v8.function_name, "_ZNK2v810StackFrame15GetFunctionNameEv"},
               {&v8.script_name, "_ZNK2v810StackFrame24GetScriptNameOrSourceURLEv"}};
  uv_lib_t program; /* libuv's own threads and lookups: those of the C library have newer versions than Node asks for */
  if (uv_dlopen(NULL, &program)) return false;
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    void *call;
    if (uv_dlsym(&program, calls[i].name, &call)) return false;
    memcpy(calls[i].to, &call, sizeof call);
  }
  return true;
}

/* One in a process: of its main thread. */
static struct {
  uv_once_t once;
  uv_mutex_t lock;
  uv_cond_t changed;
  uv_thread_t thread;
  bool runs, ends;
  uint64_t limit_ns; /* 0: nobody wants to know */
  int link;
  uint32_t generation;
  napi_env env;
  void *isolate;
} hang = {.once = UV_ONCE_INIT};
static _Atomic uint64_t last_beat;

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

/* --- on the main thread, amid JavaScript: nothing here may run any ------------------------------------------------- */

static const char *text_of(napi_env env, local string, char bytes[NAME_MAX_BYTES], const char *otherwise) {
  size_t length = 0;
  const bool has = string && napi_get_value_string_utf8(env, string, bytes, NAME_MAX_BYTES, &length) == napi_ok && length > 0;
  return has ? bytes : otherwise;
}

static void tell(void *isolate, void *data) {
  (void)data;
  napi_env env = hang.env;
  if (!env || hang.limit_ns == 0) return; /* nobody wants to know any more */
  const int memfd = memfd_create("zlr-stack", MFD_CLOEXEC);
  if (memfd < 0) return; /* the supervisor will say that it knows nothing more */
  napi_handle_scope scope;
  MUST(napi_open_handle_scope(env, &scope));
  const local stack = v8.current_stack(isolate, FRAMES_MAX, DETAILED);
  const int count = stack ? v8.frame_count(stack) : 0;
  for (int i = 0; i < count; i++) {
    const local frame = v8.frame_at(stack, isolate, (uint32_t)i);
    const struct location at = v8.location(frame);
    char name[NAME_MAX_BYTES], script[NAME_MAX_BYTES];
    dprintf(memfd, "%s (%s:%d:%d)\n", text_of(env, v8.function_name(frame), name, "<anonymous>"),
            text_of(env, v8.script_name(frame), script, "<unknown>"), at.line + 1, at.column + 1);
  }
  MUST(napi_close_handle_scope(env, scope));
  const struct zlr_word word = {.kind = ZLR_STACK, .generation = hang.generation, .value = (uint64_t)count};
  zlr_send(hang.link, &word, NULL, &memfd, 1);
  close(memfd);
}

/* --- the thread ------------------------------------------------------------------------------------------------------ */

static void watch(void *unused) {
  (void)unused;
  prctl(PR_SET_NAME, "zlr-hang");
  uint64_t asked = 0; /* behind which beat */
  uv_mutex_lock(&hang.lock);
  while (!hang.ends) {
    const uint64_t beat = atomic_load(&last_beat), now = now_ns(), limit = hang.limit_ns;
    if (limit == 0) {
      uv_cond_wait(&hang.changed, &hang.lock);
    } else if (now < beat + limit || asked == beat) {
      uv_cond_timedwait(&hang.changed, &hang.lock, asked == beat ? limit : beat + limit - now);
    } else {
      asked = beat;
      v8.request_interrupt(hang.isolate, tell, NULL);
    }
  }
  uv_mutex_unlock(&hang.lock);
}

static void end(void *unused) {
  (void)unused;
  uv_mutex_lock(&hang.lock);
  hang.ends = true;
  hang.env = NULL;
  uv_cond_signal(&hang.changed);
  uv_mutex_unlock(&hang.lock);
  if (hang.runs) uv_thread_join(&hang.thread);
  hang.runs = false;
}

static void prepare(void) {
  if (uv_mutex_init(&hang.lock) || uv_cond_init(&hang.changed)) abort(); /* for want of memory */
}

static int start(napi_env env) {
  if (!find_v8()) return -ENOTSUP;
  hang.env = env;
  hang.isolate = v8.get_current();
  hang.ends = false;
  sigset_t all, mask; /* signals are for the others */
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &mask);
  const int error = uv_thread_create(&hang.thread, watch, NULL);
  sigprocmask(SIG_SETMASK, &mask, NULL);
  if (error) return error;
  hang.runs = true;
  MUST(napi_add_env_cleanup_hook(env, end, NULL));
  return 0;
}

/* stackAfter(limitMs, link, generation): 0 or -errno. From here on, a stack is sent when no beat came for so long; 0: none is. */
static napi_value stack_after(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  const uint64_t limit = get_uint(env, args.at[0]);
  uv_once(&hang.once, prepare);
  uv_mutex_lock(&hang.lock);
  hang.limit_ns = limit * MS;
  hang.link = get_int(env, args.at[1]);
  hang.generation = get_uint(env, args.at[2]);
  atomic_store(&last_beat, now_ns());
  int error = 0;
  if (hang.runs) uv_cond_signal(&hang.changed);
  else if (limit > 0) error = start(env);
  uv_mutex_unlock(&hang.lock);
  return make_int(env, error);
}

/* beat() */
static napi_value beat(napi_env env, napi_callback_info info) {
  (void)info;
  atomic_store(&last_beat, now_ns());
  return make_int(env, 0);
}

void zlr_export_hang(napi_env env, napi_value exports) {
  export_function(env, exports, "stackAfter", stack_after);
  export_function(env, exports, "beat", beat);
}
