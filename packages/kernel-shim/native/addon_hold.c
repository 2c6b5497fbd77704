/* Data-holding read of a single stream, for JavaScript that has its own loop; and the same in C, to measure by. */
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>
#include <uv.h>

#include "hold.h"
#include "napi.h"

struct held {
  struct zlr_pool pool;
  struct zlr_channel *record;
  struct zlr_flow flow;
  napi_ref record_buffer, pool_buffer, stack_buffer;
};

static struct held *get_held(napi_env env, napi_value value) {
  void *out;
  MUST(napi_get_value_external(env, value, &out));
  return out;
}

static void finalize(napi_env env, void *data, void *hint) {
  (void)hint;
  struct held *held = data;
  MUST(napi_delete_reference(env, held->record_buffer));
  MUST(napi_delete_reference(env, held->pool_buffer));
  MUST(napi_delete_reference(env, held->stack_buffer));
  free(held);
}

/* heldOpen(record, pool, slotSize, stack, fd, read): external. The typed array `record` begins at the record. */
static napi_value open_held(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct held *held = calloc(1, sizeof *held);
  if (!held) abort();
  size_t bytes;
  MUST(napi_get_typedarray_info(env, args.at[1], NULL, &bytes, NULL, NULL, NULL));
  held->record = get_bytes(env, args.at[0]);
  held->pool.base = get_bytes(env, args.at[1]);
  held->pool.slot_size = get_uint(env, args.at[2]);
  held->pool.slot_count = (uint32_t)(bytes / held->pool.slot_size);
  held->pool.stack = get_bytes(env, args.at[3]);
  held->flow = (struct zlr_flow){.fd = get_int(env, args.at[4]), .read = (uint64_t)get_double(env, args.at[5])};
  MUST(napi_create_reference(env, args.at[0], 1, &held->record_buffer));
  MUST(napi_create_reference(env, args.at[1], 1, &held->pool_buffer));
  MUST(napi_create_reference(env, args.at[3], 1, &held->stack_buffer));
  napi_value external;
  MUST(napi_create_external(env, held, finalize, NULL, &external));
  return external;
}

/* hread(held, rlen, dlen): bytes read, 0 at the end, or -errno */
static napi_value hread(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct held *held = get_held(env, args.at[0]);
  const ssize_t n = zlr_hread(&held->pool, held->record, &held->flow, get_uint(env, args.at[1]), get_uint(env, args.at[2]));
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
 * read(2) or by zlr_hread; each is fed by a write to the other end that is not counted.
 */
static napi_value measure_reads(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct held *held = get_held(env, args.at[0]);
  const int feeder = get_int(env, args.at[1]);
  const size_t length = get_uint(env, args.at[2]);
  const uint32_t count = get_uint(env, args.at[3]);
  const bool hold = get_int(env, args.at[4]);
  static unsigned char bytes[1 << 16];
  uint64_t spent = 0;
  size_t held_bytes = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (write(feeder, bytes, length) != (ssize_t)length) return make_int(env, -errno);
    for (size_t got = 0; got < length;) {
      const uint64_t begin = uv_hrtime();
      const ssize_t n = hold ? zlr_hread(&held->pool, held->record, &held->flow, length - got, held_bytes)
                             : read(held->flow.fd, bytes, length - got);
      spent += uv_hrtime() - begin;
      if (n <= 0) return make_int(env, n < 0 ? -errno : -EPIPE);
      got += (size_t)n;
      held_bytes = (size_t)n;
    }
  }
  return make_int(env, (int64_t)spent);
}

void zlr_export_hold(napi_env env, napi_value exports) {
  export_function(env, exports, "heldOpen", open_held);
  export_function(env, exports, "hread", hread);
  export_function(env, exports, "readSocket", read_socket);
  export_function(env, exports, "measureReads", measure_reads);
}
