/* What TypeScript sees of other processes, and of descriptors that become readable. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "../keeper/children.h"
#include "napi.h"

/* spawn(file, argv, envp, link, keeperLink, diesWithParent, Int32Array listeners): {error, pid, pidfd} */
static napi_value spawn(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  char *file = get_string(env, args.at[0]);
  char **argv = get_strings(env, args.at[1]), **envp = get_strings(env, args.at[2]);
  bool dies_with_parent;
  MUST(napi_get_value_bool(env, args.at[5], &dies_with_parent));
  size_t count;
  MUST(napi_get_typedarray_info(env, args.at[6], NULL, &count, NULL, NULL, NULL));
  const struct zlr_gift gift = {.listeners = get_bytes(env, args.at[6]), .count = (int)count,
                                .link = get_int(env, args.at[3]), .keeper_link = get_int(env, args.at[4])};
  struct zlr_child child = {.pid = 0, .pidfd = -1};
  napi_value out;
  MUST(napi_create_object(env, &out));
  set(env, out, "error", zlr_spawn(file, argv, envp, &gift, dies_with_parent, &child));
  set(env, out, "pid", child.pid);
  set(env, out, "pidfd", child.pidfd);
  free(file);
  free_strings(argv);
  free_strings(envp);
  return out;
}

/* reap(pid): {error, signaled, dumped, number} */
static napi_value reap(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct zlr_status status = {.number = 0};
  napi_value out;
  MUST(napi_create_object(env, &out));
  set(env, out, "error", zlr_reap(get_int(env, args.at[0]), &status));
  set(env, out, "signaled", status.signaled);
  set(env, out, "dumped", status.dumped);
  set(env, out, "number", status.number);
  return out;
}

/* becomeSubreaper(): 0 or -errno. Orphans below this process become its children. */
static napi_value become_subreaper(napi_env env, napi_callback_info info) {
  (void)info;
  return make_int(env, prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) ? -errno : 0);
}

/* Of the line in /proc/PID/stat (man 5 proc_pid_stat): state, parent and session. The name before them, in brackets, may hold anything. */
static bool read_stat(int proc, const char *pid, char *state, int *parent, int *session) {
  char path[32], line[1024];
  snprintf(path, sizeof path, "%.16s/stat", pid);
  const int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t length = read(fd, line, sizeof line - 1);
  close(fd);
  if (length <= 0) return false;
  line[length] = 0;
  const char *end = strrchr(line, ')');
  return end && sscanf(end + 1, " %c %d %*d %d", state, parent, session) == 3;
}

/* processes(): [pid, parent, session, 1 if it has ended and waits to be reaped, pid, ...], or -errno */
static napi_value processes(napi_env env, napi_callback_info info) {
  (void)info;
  DIR *proc = opendir("/proc");
  if (!proc) return make_int(env, -errno);
  napi_value out;
  MUST(napi_create_array(env, &out));
  uint32_t length = 0;
  for (struct dirent *entry; (entry = readdir(proc));) {
    char state;
    int parent, session;
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    if (!read_stat(dirfd(proc), entry->d_name, &state, &parent, &session)) continue; /* it has gone */
    const int of[] = {atoi(entry->d_name), parent, session, state == 'Z'};
    for (int i = 0; i < 4; i++) MUST(napi_set_element(env, out, length++, make_int(env, of[i])));
  }
  closedir(proc);
  return out;
}

/* pidfdOpen(pid): fd or -errno */
static napi_value pidfd_open_of(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  return make_int(env, zlr_pidfd(get_int(env, args.at[0])));
}

/* put(fd, text): 0, or -errno; -EAGAIN: nobody reads it, and it would have to wait. A pipe that is writable takes PIPE_BUF bytes. */
static napi_value put(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  const int fd = get_int(env, args.at[0]);
  char *text = get_string(env, args.at[1]);
  int error = 0;
  for (size_t at = 0, length = strlen(text); at < length && error == 0;) {
    struct pollfd look = {fd, POLLOUT, 0};
    if (poll(&look, 1, 0) != 1 || look.revents != POLLOUT) {
      error = look.revents == 0 ? -EAGAIN : -EPIPE;
      break;
    }
    const ssize_t n = write(fd, text + at, length - at < PIPE_BUF ? length - at : PIPE_BUF);
    if (n > 0) at += (size_t)n;
    else if (errno != EINTR) error = -errno;
  }
  free(text);
  return make_int(env, error);
}

/*
 * notify(path, text): a datagram to a socket of the file system, or of the abstract names when the first letter is '@' (man 3
 * sd_notify). 0 or -errno.
 */
static napi_value notify(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  char *path = get_string(env, args.at[0]), *text = get_string(env, args.at[1]);
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  const size_t length = strlen(path);
  int error = -ENAMETOOLONG;
  if (length > 0 && length < sizeof to.sun_path) {
    memcpy(to.sun_path, path, length);
    if (path[0] == '@') to.sun_path[0] = 0;
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    error = fd < 0 ? -errno : 0;
    const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (path[0] == '@' ? 0 : 1));
    if (fd >= 0 && sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&to, size) < 0) error = -errno;
    if (fd >= 0) close(fd);
  }
  free(path);
  free(text);
  return make_int(env, error);
}

/* --- waiting ------------------------------------------------------------------------------------------------------- */

struct watch {
  uv_poll_t poll;
  napi_env env;
  napi_ref callback;
  napi_async_context context;
  int pidfd; /* of a watch that ends with its first event; -1: of a descriptor that belongs to somebody else */
};

/* Not before: a callback may end its own watch, and its context is in use until it returns. */
static void watch_closed(uv_handle_t *handle) {
  struct watch *watch = handle->data;
  if (watch->env) {
    napi_handle_scope scope;
    MUST(napi_open_handle_scope(watch->env, &scope));
    MUST(napi_async_destroy(watch->env, watch->context));
    MUST(napi_close_handle_scope(watch->env, scope));
  }
  free(watch);
}

/* The environment is going down: from here on nothing of it may be called. */
static void abandon_watch(void *data) {
  struct watch *watch = data;
  watch->env = NULL;
  uv_poll_stop(&watch->poll);
  uv_close((uv_handle_t *)&watch->poll, watch_closed);
}

/* The handle ends; the callback, too. */
static void end_watch(struct watch *watch) {
  uv_poll_stop(&watch->poll);
  MUST(napi_remove_env_cleanup_hook(watch->env, abandon_watch, watch));
  MUST(napi_delete_reference(watch->env, watch->callback));
  watch->callback = NULL;
  if (watch->pidfd >= 0) close(watch->pidfd);
  uv_close((uv_handle_t *)&watch->poll, watch_closed);
}

static void watch_fired(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  struct watch *watch = poll->data;
  napi_env env = watch->env;
  napi_handle_scope scope;
  MUST(napi_open_handle_scope(env, &scope));
  napi_value callback, receiver;
  MUST(napi_get_reference_value(env, watch->callback, &callback));
  MUST(napi_create_object(env, &receiver));
  napi_async_context context = watch->context;
  if (watch->pidfd >= 0) end_watch(watch);
  if (napi_make_callback(env, context, receiver, callback, 0, NULL, NULL) == napi_pending_exception) {
    napi_value error;
    MUST(napi_get_and_clear_last_exception(env, &error));
    napi_fatal_exception(env, error);
  }
  MUST(napi_close_handle_scope(env, scope));
}

/* 0 or -errno */
static int start_watch(napi_env env, int fd, napi_value callback, napi_value keep_alive, const char *what,
                       struct watch **out) {
  bool alive;
  MUST(napi_get_value_bool(env, keep_alive, &alive));
  uv_loop_t *loop;
  MUST(napi_get_uv_event_loop(env, &loop));
  struct watch *watch = calloc(1, sizeof *watch);
  if (!watch) return -ENOMEM;
  const int error = uv_poll_init(loop, &watch->poll, fd);
  if (error) {
    free(watch);
    return error;
  }
  napi_value name;
  MUST(napi_create_string_utf8(env, what, NAPI_AUTO_LENGTH, &name));
  MUST(napi_async_init(env, NULL, name, &watch->context));
  MUST(napi_create_reference(env, callback, 1, &watch->callback));
  MUST(napi_add_env_cleanup_hook(env, abandon_watch, watch));
  watch->env = env;
  watch->pidfd = -1;
  watch->poll.data = watch;
  uv_poll_start(&watch->poll, UV_READABLE, watch_fired);
  if (!alive) uv_unref((uv_handle_t *)&watch->poll);
  *out = watch;
  return 0;
}

/* onExit(pidfd, callback, keepLoopAlive): 0 or -errno. Takes the pidfd over. */
static napi_value on_exit_of(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  const int pidfd = get_int(env, args.at[0]);
  struct watch *watch;
  const int error = start_watch(env, pidfd, args.at[1], args.at[2], "zlr.exit", &watch);
  if (!error) watch->pidfd = pidfd;
  return make_int(env, error);
}

/* onReadable(fd, callback, keepLoopAlive): a watch or -errno. The descriptor stays the caller's. */
static napi_value on_readable(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct watch *watch;
  const int error = start_watch(env, get_int(env, args.at[0]), args.at[1], args.at[2], "zlr.link", &watch);
  if (error) return make_int(env, error);
  napi_value out;
  MUST(napi_create_external(env, watch, NULL, NULL, &out));
  return out;
}

/* unwatch(watch), once. Before its descriptor is closed. */
static napi_value unwatch(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  void *data;
  MUST(napi_get_value_external(env, args.at[0], &data));
  end_watch(data);
  return make_int(env, 0);
}

void zlr_export_process(napi_env env, napi_value exports) {
  export_function(env, exports, "spawn", spawn);
  export_function(env, exports, "reap", reap);
  export_function(env, exports, "processes", processes);
  export_function(env, exports, "becomeSubreaper", become_subreaper);
  export_function(env, exports, "pidfdOpen", pidfd_open_of);
  export_function(env, exports, "put", put);
  export_function(env, exports, "notify", notify);
  export_function(env, exports, "onExit", on_exit_of);
  export_function(env, exports, "onReadable", on_readable);
  export_function(env, exports, "unwatch", unwatch);
}
