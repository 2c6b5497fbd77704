/* Short forms of what every function of the addon does with its arguments. */
#ifndef ZLR_NAPI_H
#define ZLR_NAPI_H

#include <node_api.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The addon is called by our own TypeScript alone, with checked arguments: a failure here is a bug in it. */
#define MUST(call)                                                                                   \
  do {                                                                                               \
    if ((call) != napi_ok) napi_fatal_error(__FILE__, NAPI_AUTO_LENGTH, #call, NAPI_AUTO_LENGTH);    \
  } while (0)

enum { MAX_ARGS = 8 };

struct args {
  napi_value at[MAX_ARGS];
};

static inline struct args get_args(napi_env env, napi_callback_info info) {
  struct args args;
  size_t count = MAX_ARGS;
  MUST(napi_get_cb_info(env, info, &count, args.at, NULL, NULL));
  return args;
}

static inline napi_value make_int(napi_env env, int64_t value) {
  napi_value out;
  MUST(napi_create_int64(env, value, &out));
  return out;
}

static inline int32_t get_int(napi_env env, napi_value value) {
  int32_t out;
  MUST(napi_get_value_int32(env, value, &out));
  return out;
}

static inline uint32_t get_uint(napi_env env, napi_value value) {
  uint32_t out;
  MUST(napi_get_value_uint32(env, value, &out));
  return out;
}

static inline double get_double(napi_env env, napi_value value) {
  double out;
  MUST(napi_get_value_double(env, value, &out));
  return out;
}

/* A copy on the heap */
static inline char *get_string(napi_env env, napi_value value) {
  size_t length;
  MUST(napi_get_value_string_utf8(env, value, NULL, 0, &length));
  char *out = malloc(length + 1);
  if (!out) abort();
  MUST(napi_get_value_string_utf8(env, value, out, length + 1, &length));
  return out;
}

/* The strings of an array and a NULL, copies on the heap */
static inline char **get_strings(napi_env env, napi_value array) {
  uint32_t count;
  MUST(napi_get_array_length(env, array, &count));
  char **out = calloc(count + 1, sizeof *out);
  if (!out) abort();
  for (uint32_t i = 0; i < count; i++) {
    napi_value item;
    MUST(napi_get_element(env, array, i, &item));
    out[i] = get_string(env, item);
  }
  return out;
}

static inline void free_strings(char **strings) {
  for (char **s = strings; *s; s++) free(*s);
  free(strings);
}

/* The bytes under a typed array */
static inline void *get_bytes(napi_env env, napi_value value) {
  void *data;
  MUST(napi_get_typedarray_info(env, value, NULL, NULL, &data, NULL, NULL));
  return data;
}

static inline void set(napi_env env, napi_value object, const char *name, int64_t value) {
  MUST(napi_set_named_property(env, object, name, make_int(env, value)));
}

static inline void export_function(napi_env env, napi_value exports, const char *name, napi_callback function) {
  napi_value value;
  MUST(napi_create_function(env, name, NAPI_AUTO_LENGTH, function, NULL, &value));
  MUST(napi_set_named_property(env, exports, name, value));
}

void zlr_export_reactor(napi_env env, napi_value exports);
void zlr_export_hang(napi_env env, napi_value exports);
void zlr_export_process(napi_env env, napi_value exports);
void zlr_export_keeper(napi_env env, napi_value exports);
void zlr_export_hold(napi_env env, napi_value exports);
void zlr_export_module(napi_env env, napi_value exports);
void zlr_export_exchange(napi_env env, napi_value exports);
void zlr_export_store(napi_env env, napi_value exports);

#endif
