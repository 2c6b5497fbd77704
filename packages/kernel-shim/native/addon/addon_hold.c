/* Data-holding read of a single stream, for JavaScript that has its own loop; and the same in C, to measure by. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <unistd.h>
#include <uv.h>

#include "../reactor/hold.h"
#include "napi.h"

/* What JavaScript sees, too, in the order in which heldOpen gets it. */
enum buffer { RECORD, POOL, EXTENTS, LARGE, SMALL, FLOW, BUFFERS };

struct held {
  struct zlr_pool pool;
  struct zlr_held stream;
  napi_ref buffers[BUFFERS]; /* keep their memory alive */
};

static struct held *get_held(napi_env env, napi_value value) {
  void *out;
  MUST(napi_get_value_external(env, value, &out));
  return out;
}

static void finalize(napi_env env, void *data, void *hint) {
  (void)hint;
  struct held *held = data;
  for (int i = 0; i < BUFFERS; i++) MUST(napi_delete_reference(env, held->buffers[i]));
  free(held);
}

/*
 * heldOpen(buffers, sizes, owner, most, fd, read): external. The typed array of the record begins at the record, sizes
 * are those of zlr_pool_of, `owner` is the record's number + 1.
 */
static napi_value open_held(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct held *held = calloc(1, sizeof *held);
  if (!held) abort();
  void *memory[BUFFERS];
  for (uint32_t i = 0; i < BUFFERS; i++) {
    napi_value each;
    MUST(napi_get_element(env, args.at[0], i, &each));
    MUST(napi_create_reference(env, each, 1, &held->buffers[i]));
    memory[i] = get_bytes(env, each);
  }
  held->pool = zlr_pool_of(memory[POOL], memory[EXTENTS], memory[LARGE], memory[SMALL], get_bytes(env, args.at[1]));
  held->stream = (struct zlr_held){.pool = &held->pool, .record = memory[RECORD], .flow = memory[FLOW],
                                   .owner = get_uint(env, args.at[2]), .most = get_uint(env, args.at[3])};
  *held->stream.flow = (struct zlr_flow){.fd = get_int(env, args.at[4]), .read = (uint64_t)get_double(env, args.at[5])};
  zlr_hold_resume(held->stream);
  napi_value external;
  MUST(napi_create_external(env, held, finalize, NULL, &external));
  return external;
}

/* hread(held, rlen, dlen): bytes read, 0 at the end, or -errno */
static napi_value hread(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  const ssize_t n = zlr_hread(get_held(env, args.at[0])->stream, get_uint(env, args.at[1]), get_uint(env, args.at[2]));
  return make_int(env, n < 0 ? -errno : n);
}

/* readSocket(fd, buffer, length): what read(2) says, or -errno */
static napi_value read_socket(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  const ssize_t n = read(get_int(env, args.at[0]), get_bytes(env, args.at[1]), get_uint(env, args.at[2]));
  return make_int(env, n < 0 ? -errno : n);
}

/*
 * measureReads(held, other end's fd, length, count, hold): nanoseconds spent in `count` reads of `length` bytes, by
 * read(2) or by zlr_hread. They come in batches under one reading of the clock; each is fed by writes to the other
 * end, which are not counted, nor is the time in which the kernel has not brought the bytes over yet. -errno.
 */
static napi_value measure_reads(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct held *held = get_held(env, args.at[0]);
  const int feeder = get_int(env, args.at[1]);
  const size_t length = get_uint(env, args.at[2]);
  const uint32_t count = get_uint(env, args.at[3]);
  const bool hold = get_int(env, args.at[4]);
  enum { MOST = 1 << 16, BATCH_BYTES = 1 << 14, BATCH = 32, WAIT_MS = 5000 };
  static const unsigned char sent[MOST];
  static _Alignas(4096) unsigned char bytes[MOST]; /* as the hold's slots are */
  if (length == 0 || length > MOST) return make_int(env, -EINVAL);
  uint64_t spent = 0;
  size_t held_bytes = 0;
  for (uint32_t done = 0; done < count;) {
    size_t batch = length * BATCH > BATCH_BYTES ? (BATCH_BYTES + length - 1) / length : BATCH;
    if (batch > count - done) batch = count - done;
    for (size_t i = 0; i < batch; i++)
      if (write(feeder, sent, length) != (ssize_t)length) return make_int(env, -errno);
    uint64_t begin = uv_hrtime();
    for (size_t left = batch * length; left > 0;) {
      const size_t rlen = left < length ? left : length;
      const ssize_t n = hold ? zlr_hread(held->stream, rlen, held_bytes)
                             : read(held->stream.flow->fd, bytes, rlen);
      held_bytes = n > 0 ? (size_t)n : 0;
      if (n > 0) {
        left -= (size_t)n;
        continue;
      }
      if (n == 0 || errno != EAGAIN) return make_int(env, n < 0 ? -errno : -EPIPE);
      spent += uv_hrtime() - begin;
      struct pollfd wait = {held->stream.flow->fd, POLLIN, 0};
      if (poll(&wait, 1, WAIT_MS) == 0) return make_int(env, -ETIMEDOUT);
      begin = uv_hrtime();
    }
    spent += uv_hrtime() - begin;
    done += (uint32_t)batch;
  }
  /* What the last read left held: the next measurement begins with an empty hold, as this one did. */
  if (hold && zlr_hread(held->stream, 0, held_bytes) < 0) return make_int(env, -errno);
  return make_int(env, (int64_t)spent);
}

void zlr_export_hold(napi_env env, napi_value exports) {
  export_function(env, exports, "heldOpen", open_held);
  export_function(env, exports, "hread", hread);
  export_function(env, exports, "readSocket", read_socket);
  export_function(env, exports, "measureReads", measure_reads);
}
