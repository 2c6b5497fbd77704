/* What TypeScript sees of the native code. Results are numbers, a failure is a negative errno: TypeScript decides. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../channels/books.h"
#include "../channels/files.h"
#include "napi.h"
#include "../channels/sockets.h"

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

/* listen(address, port, backlog, shared): fd or -errno */
static napi_value listen_on(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  char *address = get_string(env, args.at[0]);
  const int fd = zlr_listen(address, (uint16_t)get_uint(env, args.at[1]), get_int(env, args.at[2]), get_int(env, args.at[3]) != 0);
  free(address);
  return make_int(env, fd);
}

/* give(fd): 0 or -errno; a listening socket that the next listen or socketBind at its address takes */
static napi_value give(napi_env env, napi_callback_info info) {
  return make_int(env, zlr_give_listener(get_int(env, get_args(env, info).at[0])));
}

/* mark(fd): a channel from here on, with the connections that it accepts */
static napi_value mark(napi_env env, napi_callback_info info) {
  zlr_mark_channel(get_int(env, get_args(env, info).at[0]));
  return make_int(env, 0);
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

/* openBeneath(directory, path, Float64Array [mode, size, device, inode, mtime s, mtime ns, ctime s, ctime ns]): fd or -errno */
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
  out[6] = (double)file.ctime_seconds;
  out[7] = file.ctime_ns;
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
  export_function(env, exports, "books", books);
  export_function(env, exports, "listen", listen_on);
  export_function(env, exports, "give", give);
  export_function(env, exports, "mark", mark);
  export_function(env, exports, "localAddress", local_address);
  export_function(env, exports, "openBeneath", open_beneath);
  export_function(env, exports, "readAt", read_at);
  export_function(env, exports, "close", close_fd);
  zlr_export_process(env, exports);
  zlr_export_hang(env, exports);
  zlr_export_keeper(env, exports);
  zlr_export_hold(env, exports);
  zlr_export_reactor(env, exports);
  zlr_export_module(env, exports);
  zlr_export_exchange(env, exports);
  zlr_export_store(env, exports);
  return exports;
}
