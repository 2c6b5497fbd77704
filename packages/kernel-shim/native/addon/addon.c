/* What TypeScript sees of the native code. Results are numbers, a failure is a negative errno: TypeScript decides. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "../channels/books.h"
#include "../keeper/children.h"
#include "../channels/files.h"
#include "../keeper/keeper.h"
#include "napi.h"
#include "../channels/sockets.h"

/* --- keeper ------------------------------------------------------------------------------------------------------- */

static struct zlr_plan *plan;

/* planMake(binPath, argv, envp, controlPath, generation, lifeline, orphaned, thresholdMs): 0 or -errno */
static napi_value plan_make(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  char *bin = get_string(env, args.at[0]), *control = get_string(env, args.at[3]);
  char **argv = get_strings(env, args.at[1]), **envp = get_strings(env, args.at[2]);
  plan = zlr_plan_make(bin, argv, envp, control);
  const int error = plan ? 0 : errno;
  if (plan) {
    plan->generation = get_uint(env, args.at[4]);
    plan->lifeline_in = get_int(env, args.at[5]);
    plan->orphaned = get_uint(env, args.at[6]);
    plan->threshold_ns = (uint64_t)(get_double(env, args.at[7]) * 1e6);
    plan->started_ns = uv_hrtime();
  }
  free(bin);
  free(control);
  free_strings(argv);
  free_strings(envp);
  return make_int(env, -error);
}

/* keeperStart(): {error, pid, pidfd} */
static napi_value keeper_start(napi_env env, napi_callback_info info) {
  (void)info;
  struct zlr_keeper keeper = {.pid = 0, .pidfd = -1};
  napi_value out;
  MUST(napi_create_object(env, &out));
  set(env, out, "error", zlr_keeper_start(plan, &keeper));
  set(env, out, "pid", keeper.pid);
  set(env, out, "pidfd", keeper.pidfd);
  return out;
}

/* orderly(): from now on the end of this process is no fault */
static napi_value orderly(napi_env env, napi_callback_info info) {
  (void)info;
  if (plan) __atomic_store_n(&plan->orderly, 1, __ATOMIC_RELEASE);
  return make_int(env, 0);
}

struct adoption {
  napi_env env;
  napi_value channels, files;
  uint32_t channel_count, file_count;
};

static bool adopt_one(int fd, void *context) {
  struct adoption *a = context;
  const enum zlr_mark mark = zlr_mark_of(fd);
  if (mark == ZLR_UNMARKED) return true;
  fcntl(fd, F_SETFD, FD_CLOEXEC); /* the service's own children must not inherit it */
  const napi_value number = make_int(a->env, fd);
  if (mark == ZLR_CHANNEL) MUST(napi_set_element(a->env, a->channels, a->channel_count++, number));
  else MUST(napi_set_element(a->env, a->files, a->file_count++, number));
  return true;
}

/* adopt(): {channels, files}, the marked descriptors of this process */
static napi_value adopt(napi_env env, napi_callback_info info) {
  (void)info;
  struct adoption a = {.env = env};
  MUST(napi_create_array(env, &a.channels));
  MUST(napi_create_array(env, &a.files));
  const bool ok = zlr_each_fd(adopt_one, &a);
  napi_value out;
  MUST(napi_create_object(env, &out));
  set(env, out, "error", ok ? 0 : -ENOENT);
  MUST(napi_set_named_property(env, out, "channels", a.channels));
  MUST(napi_set_named_property(env, out, "files", a.files));
  return out;
}

/* --- children ------------------------------------------------------------------------------------------------------ */

/* spawn(file, argv, envp): {error, pid, pidfd} */
static napi_value spawn(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  char *file = get_string(env, args.at[0]);
  char **argv = get_strings(env, args.at[1]), **envp = get_strings(env, args.at[2]);
  struct zlr_child child = {.pid = 0, .pidfd = -1};
  napi_value out;
  MUST(napi_create_object(env, &out));
  set(env, out, "error", zlr_spawn(file, argv, envp, &child));
  set(env, out, "pid", child.pid);
  set(env, out, "pidfd", child.pidfd);
  free(file);
  free_strings(argv);
  free_strings(envp);
  return out;
}

/* reap(pid): {error, signaled, number} */
static napi_value reap(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct zlr_status status = {.number = 0};
  napi_value out;
  MUST(napi_create_object(env, &out));
  set(env, out, "error", zlr_reap(get_int(env, args.at[0]), &status));
  set(env, out, "signaled", status.signaled);
  set(env, out, "number", status.number);
  return out;
}

/* hasChildren(): boolean */
static napi_value has_children(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value out;
  MUST(napi_get_boolean(env, zlr_has_children(), &out));
  return out;
}

struct pid_watch {
  uv_poll_t poll;
  napi_env env;
  napi_ref callback;
  napi_async_context context;
  int pidfd;
};

static void pid_watch_closed(uv_handle_t *handle) { free(handle->data); }

static void pid_watch_fired(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  struct pid_watch *watch = poll->data;
  napi_env env = watch->env;
  napi_handle_scope scope;
  MUST(napi_open_handle_scope(env, &scope));
  napi_value callback, receiver;
  MUST(napi_get_reference_value(env, watch->callback, &callback));
  MUST(napi_create_object(env, &receiver));
  uv_poll_stop(poll);
  napi_async_context context = watch->context;
  MUST(napi_delete_reference(env, watch->callback));
  close(watch->pidfd);
  uv_close((uv_handle_t *)poll, pid_watch_closed);
  if (napi_make_callback(env, context, receiver, callback, 0, NULL, NULL) == napi_pending_exception) {
    napi_value error;
    MUST(napi_get_and_clear_last_exception(env, &error));
    napi_fatal_exception(env, error);
  }
  MUST(napi_async_destroy(env, context));
  MUST(napi_close_handle_scope(env, scope));
}

/* onExit(pidfd, callback, keepLoopAlive): 0 or -errno. Takes the pidfd over. */
static napi_value on_exit_of(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  const int pidfd = get_int(env, args.at[0]);
  bool keep_alive;
  MUST(napi_get_value_bool(env, args.at[2], &keep_alive));
  uv_loop_t *loop;
  MUST(napi_get_uv_event_loop(env, &loop));
  struct pid_watch *watch = calloc(1, sizeof *watch);
  if (!watch) return make_int(env, -ENOMEM);
  const int error = uv_poll_init(loop, &watch->poll, pidfd);
  if (error) {
    free(watch);
    return make_int(env, error);
  }
  napi_value name;
  MUST(napi_create_string_utf8(env, "zlr.exit", NAPI_AUTO_LENGTH, &name));
  MUST(napi_async_init(env, NULL, name, &watch->context));
  MUST(napi_create_reference(env, args.at[1], 1, &watch->callback));
  watch->env = env;
  watch->pidfd = pidfd;
  watch->poll.data = watch;
  uv_poll_start(&watch->poll, UV_READABLE, pid_watch_fired);
  if (!keep_alive) uv_unref((uv_handle_t *)&watch->poll);
  return make_int(env, 0);
}

/* pidfdOpen(pid): fd or -errno */
static napi_value pidfd_open_of(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  return make_int(env, zlr_pidfd(get_int(env, args.at[0])));
}

/* --- sockets and files ----------------------------------------------------------------------------------------------- */

/* books(fd, Float64Array [cookie low, cookie high, written, read, unread, peerEnded, dead]): 0 or -errno */
static napi_value books(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct zlr_books b;
  const int error = zlr_books(get_int(env, args.at[0]), &b);
  if (error) return make_int(env, error);
  double *out = get_bytes(env, args.at[1]);
  out[0] = (double)(uint32_t)b.cookie;
  out[1] = (double)(uint32_t)(b.cookie >> 32);
  out[2] = (double)b.written;
  out[3] = (double)b.read;
  out[4] = (double)b.unread;
  out[5] = b.peer_ended;
  out[6] = b.dead;
  return make_int(env, 0);
}

/* listen(address, port, backlog): fd or -errno */
static napi_value listen_on(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  char *address = get_string(env, args.at[0]);
  const int fd = zlr_listen(address, (uint16_t)get_uint(env, args.at[1]), get_int(env, args.at[2]));
  free(address);
  return make_int(env, fd);
}

/* localAddress(fd): {error, address, port, listening} */
static napi_value local_address(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  const int fd = get_int(env, args.at[0]);
  char text[INET6_ADDRSTRLEN] = "";
  uint16_t port = 0;
  int listening = 0;
  socklen_t length = sizeof listening;
  int error = zlr_local_address(fd, text, &port);
  if (!error && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length)) error = -errno;
  napi_value out, address;
  MUST(napi_create_object(env, &out));
  MUST(napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &address));
  MUST(napi_set_named_property(env, out, "address", address));
  set(env, out, "error", error);
  set(env, out, "port", port);
  set(env, out, "listening", listening);
  return out;
}

/* openBeneath(directory, path, Float64Array [mode, size, device, inode, mtime s, mtime ns]): fd or -errno */
static napi_value open_beneath(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  char path[4096];
  size_t length;
  MUST(napi_get_value_string_utf8(env, args.at[1], path, sizeof path, &length));
  if (length == sizeof path - 1) return make_int(env, -ENAMETOOLONG);
  if (strlen(path) != length) return make_int(env, -EINVAL);
  struct zlr_file file;
  const int error = zlr_open_beneath(get_int(env, args.at[0]), path, &file);
  if (error) return make_int(env, error);
  double *out = get_bytes(env, args.at[2]);
  out[0] = file.mode;
  out[1] = (double)file.size;
  out[2] = (double)file.device;
  out[3] = (double)file.inode;
  out[4] = (double)file.mtime_seconds;
  out[5] = file.mtime_ns;
  return make_int(env, file.fd);
}

/* readAt(fd, buffer, offset in the buffer, length, position in the file): bytes read or -errno */
static napi_value read_at(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  unsigned char *to = (unsigned char *)get_bytes(env, args.at[1]) + get_uint(env, args.at[2]);
  const ssize_t n = pread(get_int(env, args.at[0]), to, get_uint(env, args.at[3]), (off_t)get_double(env, args.at[4]));
  return make_int(env, n < 0 ? -errno : n);
}

/* close(fd): 0 or -errno */
static napi_value close_fd(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  return make_int(env, close(get_int(env, args.at[0])) ? -errno : 0);
}

NAPI_MODULE_INIT() {
  export_function(env, exports, "planMake", plan_make);
  export_function(env, exports, "keeperStart", keeper_start);
  export_function(env, exports, "orderly", orderly);
  export_function(env, exports, "adopt", adopt);
  export_function(env, exports, "spawn", spawn);
  export_function(env, exports, "reap", reap);
  export_function(env, exports, "hasChildren", has_children);
  export_function(env, exports, "pidfdOpen", pidfd_open_of);
  export_function(env, exports, "onExit", on_exit_of);
  export_function(env, exports, "books", books);
  export_function(env, exports, "listen", listen_on);
  export_function(env, exports, "localAddress", local_address);
  export_function(env, exports, "openBeneath", open_beneath);
  export_function(env, exports, "readAt", read_at);
  export_function(env, exports, "close", close_fd);
  zlr_export_hold(env, exports);
  zlr_export_reactor(env, exports);
  zlr_export_module(env, exports);
  zlr_export_exchange(env, exports);
  zlr_export_store(env, exports);
  return exports;
}
