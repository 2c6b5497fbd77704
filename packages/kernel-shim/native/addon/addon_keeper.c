/* What TypeScript sees of links, keepers and the handover. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../keeper/handover.h"
#include "../keeper/keeper.h"
#include "../keeper/plan.h"
#include "../keeper/table.h"
#include "napi.h"

/* --- links --------------------------------------------------------------------------------------------------------- */

/* linkPair(): {error, ours, theirs} */
static napi_value link_pair(napi_env env, napi_callback_info info) {
  (void)info;
  int ends[2] = {-1, -1};
  int error = zlr_pair(ends);
  if (!error) error = zlr_ask_who(ends[0]);
  napi_value out;
  MUST(napi_create_object(env, &out));
  set(env, out, "error", error);
  set(env, out, "ours", ends[0]);
  set(env, out, "theirs", ends[1]);
  return out;
}

/* linkSend(link, word, fd): 0 or -errno. fd: -1: none */
static napi_value link_send(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  const int fd = get_int(env, args.at[2]);
  return make_int(env, zlr_send(get_int(env, args.at[0]), get_bytes(env, args.at[1]), NULL, &fd, fd >= 0));
}

/* linkReceive(link, word, block): {result, fd, pid, uid}; result 1: there is a word, 0: the other end is closed, -errno */
static napi_value link_receive(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  bool block;
  MUST(napi_get_value_bool(env, args.at[2], &block));
  struct zlr_received in = {.count = 0};
  const int result = zlr_receive(get_int(env, args.at[0]), &in, block ? ZLR_BLOCKING : ZLR_AT_ONCE);
  if (result > 0) memcpy(get_bytes(env, args.at[1]), &in.word, sizeof in.word);
  else in.count = 0;
  for (unsigned i = 1; i < in.count; i++) close(in.fds[i]); /* no word brings two */
  napi_value out;
  MUST(napi_create_object(env, &out));
  set(env, out, "result", result);
  set(env, out, "fd", in.count > 0 ? in.fds[0] : -1);
  set(env, out, "pid", in.pid);
  set(env, out, "uid", in.uid);
  return out;
}

/* linkDoor(path): fd or -errno */
static napi_value link_door(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  char *path = get_string(env, args.at[0]);
  const int door = zlr_door(path);
  free(path);
  return make_int(env, door);
}

/* linkAnswer(door): {link, pid, uid}; link is -errno when nobody is there */
static napi_value link_answer(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  pid_t pid = 0;
  uid_t uid = 0;
  const int link = zlr_answer_door(get_int(env, args.at[0]), &pid, &uid);
  if (link >= 0) zlr_ask_who(link);
  napi_value out;
  MUST(napi_create_object(env, &out));
  set(env, out, "link", link);
  set(env, out, "pid", pid);
  set(env, out, "uid", uid);
  return out;
}

/* linkKnock(path): link or -errno */
static napi_value link_knock(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  char *path = get_string(env, args.at[0]);
  const int link = zlr_knock(path);
  free(path);
  return make_int(env, link);
}

/* askWho(link): 0 or -errno */
static napi_value ask_who(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  return make_int(env, zlr_ask_who(get_int(env, args.at[0])));
}

/* peer(fd): {error, pid, uid} of whoever is at the other end of a unix socket */
static napi_value peer(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct ucred from = {.pid = 0, .uid = (uid_t)-1};
  socklen_t length = sizeof from;
  const int error = getsockopt(get_int(env, args.at[0]), SOL_SOCKET, SO_PEERCRED, &from, &length) ? -errno : 0;
  napi_value out;
  MUST(napi_create_object(env, &out));
  set(env, out, "error", error);
  set(env, out, "pid", from.pid);
  set(env, out, "uid", from.uid);
  return out;
}

/* inode(fd): of the open file; -errno when the descriptor is not open */
static napi_value inode(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  const struct zlr_own own = zlr_own(get_int(env, args.at[0]));
  return make_int(env, own.fd < 0 ? -EBADF : (int64_t)own.inode);
}

/* closeOnExec(fd): 0 or -errno */
static napi_value close_on_exec(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  return make_int(env, fcntl(get_int(env, args.at[0]), F_SETFD, FD_CLOEXEC) ? -errno : 0);
}

/* --- keepers -------------------------------------------------------------------------------------------------------- */

static struct zlr_page *page;

/* planSeal(file, argv, envp): a sealed memfd or -errno */
static napi_value plan_seal(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  char *file = get_string(env, args.at[0]);
  char **argv = get_strings(env, args.at[1]), **envp = get_strings(env, args.at[2]);
  const int fd = zlr_plan_seal(file, argv, envp);
  free(file);
  free_strings(argv);
  free_strings(envp);
  return make_int(env, fd);
}

static int page_made(void) {
  if (!page) page = zlr_page_make();
  return page ? 0 : -errno;
}

/* keeperClone(generation, supervisor, orphaned, link, door): {error, pid} */
static napi_value keeper_clone(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  char *door = get_string(env, args.at[4]);
  const struct zlr_birth birth = {.generation = get_uint(env, args.at[0]),
                                  .supervisor = get_int(env, args.at[1]),
                                  .orphaned = get_uint(env, args.at[2]),
                                  .link = get_int(env, args.at[3]),
                                  .door = door};
  pid_t pid = 0;
  int error = page_made();
  if (!error) error = zlr_keeper_clone(&birth, page, &pid);
  free(door);
  napi_value out;
  MUST(napi_create_object(env, &out));
  set(env, out, "error", error);
  set(env, out, "pid", pid);
  return out;
}

/* kept(): {older, younger, thresholdMs}; pids, 0: there has been none */
static napi_value kept(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value out;
  MUST(napi_create_object(env, &out));
  set(env, out, "older", page ? page->keepers[0] : 0);
  set(env, out, "younger", page ? page->keepers[1] : 0);
  set(env, out, "thresholdMs", page ? page->threshold_ms : 0);
  return out;
}

/* takeCharge(): 0 or -errno. There is nobody to take anything over from: what this process has is its keepers'. */
static napi_value take_charge(napi_env env, napi_callback_info info) {
  (void)info;
  const int error = page_made();
  if (error) return make_int(env, error);
  zlr_store(&page->charge, ZLR_CHARGED);
  return make_int(env, prctl(PR_SET_PDEATHSIG, 0) ? -errno : 0);
}

struct adoption {
  napi_env env;
  napi_value channels, files, were;
  uint32_t channel_count, file_count;
};

static void adopt_one(int fd, struct zlr_entry was, void *context) {
  struct adoption *a = context;
  const napi_value number = make_int(a->env, fd);
  if (was.mark == ZLR_CHANNEL) {
    MUST(napi_set_element(a->env, a->channels, a->channel_count++, number));
  } else {
    MUST(napi_set_element(a->env, a->were, a->file_count, make_int(a->env, was.fd)));
    MUST(napi_set_element(a->env, a->files, a->file_count++, number));
  }
}

/* takeOver(link): {error, channels, files, were}; were: the files' numbers in the former generation. Closes the link. */
static napi_value take_over(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  const int link = get_int(env, args.at[0]);
  struct adoption a = {.env = env};
  MUST(napi_create_array(env, &a.channels));
  MUST(napi_create_array(env, &a.files));
  MUST(napi_create_array(env, &a.were));
  int error = page_made();
  if (!error) error = zlr_take_over(link, page, adopt_one, &a);
  if (!error) prctl(PR_SET_PDEATHSIG, 0); /* from here on others would miss this process */
  napi_value out;
  MUST(napi_create_object(env, &out));
  set(env, out, "error", error);
  MUST(napi_set_named_property(env, out, "channels", a.channels));
  MUST(napi_set_named_property(env, out, "files", a.files));
  MUST(napi_set_named_property(env, out, "were", a.were));
  return out;
}

static bool keep_from_children(int fd, void *context) {
  struct adoption *a = context;
  const enum zlr_mark mark = zlr_mark_of(fd);
  if (mark == ZLR_UNMARKED) return true;
  fcntl(fd, F_SETFD, FD_CLOEXEC); /* the service's own children must not inherit it */
  adopt_one(fd, (struct zlr_entry){fd, (uint32_t)mark}, a);
  return true;
}

/* inherited(): {channels, files, were}, the marked descriptors that the kernel module has put into this process */
static napi_value inherited(napi_env env, napi_callback_info info) {
  (void)info;
  struct adoption a = {.env = env};
  MUST(napi_create_array(env, &a.channels));
  MUST(napi_create_array(env, &a.files));
  MUST(napi_create_array(env, &a.were));
  zlr_each_fd(keep_from_children, &a);
  napi_value out;
  MUST(napi_create_object(env, &out));
  MUST(napi_set_named_property(env, out, "channels", a.channels));
  MUST(napi_set_named_property(env, out, "files", a.files));
  MUST(napi_set_named_property(env, out, "were", a.were));
  return out;
}

/* orderly(): from now on the end of this process is no fault */
static napi_value orderly(napi_env env, napi_callback_info info) {
  (void)info;
  if (page) zlr_store(&page->orderly, 1);
  return make_int(env, 0);
}

void zlr_export_keeper(napi_env env, napi_value exports) {
  export_function(env, exports, "linkPair", link_pair);
  export_function(env, exports, "linkSend", link_send);
  export_function(env, exports, "linkReceive", link_receive);
  export_function(env, exports, "linkDoor", link_door);
  export_function(env, exports, "linkAnswer", link_answer);
  export_function(env, exports, "linkKnock", link_knock);
  export_function(env, exports, "askWho", ask_who);
  export_function(env, exports, "peer", peer);
  export_function(env, exports, "inode", inode);
  export_function(env, exports, "closeOnExec", close_on_exec);
  export_function(env, exports, "planSeal", plan_seal);
  export_function(env, exports, "keeperClone", keeper_clone);
  export_function(env, exports, "kept", kept);
  export_function(env, exports, "takeCharge", take_charge);
  export_function(env, exports, "takeOver", take_over);
  export_function(env, exports, "inherited", inherited);
  export_function(env, exports, "orderly", orderly);
}
