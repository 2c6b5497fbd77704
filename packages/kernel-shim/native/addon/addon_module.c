/* What TypeScript sees of the kernel module. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>

#include "../module/device.h"
#include "napi.h"

static void set_bigint(napi_env env, napi_value object, const char *name, uint64_t value) {
  napi_value out;
  MUST(napi_create_bigint_uint64(env, value, &out));
  MUST(napi_set_named_property(env, object, name, out));
}

/* moduleOpen(): descriptor of /dev/zlr or -errno */
static napi_value module_open(napi_env env, napi_callback_info info) {
  (void)info;
  return make_int(env, zlr_device_open());
}

/* moduleRegister(device, binPath, argv, envp, childId, thresholdMs): {error, service} */
static napi_value module_register(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  char *path = get_string(env, args.at[1]);
  char **argv = get_strings(env, args.at[2]), **envp = get_strings(env, args.at[3]);
  uint64_t service;
  const int error = zlr_device_register(get_int(env, args.at[0]), path, argv, envp, get_uint(env, args.at[4]),
                                        get_uint(env, args.at[5]), &service);
  free(path);
  free_strings(argv);
  free_strings(envp);
  napi_value out;
  MUST(napi_create_object(env, &out));
  set(env, out, "error", error);
  set_bigint(env, out, "service", service);
  return out;
}

/* [{shmid, address, size}] */
static napi_value segments_of(napi_env env, const struct zlr_reginfo *info) {
  napi_value out, segment;
  MUST(napi_create_array(env, &out));
  for (uint32_t i = 0; i < info->segments; i++) {
    MUST(napi_create_object(env, &segment));
    set(env, segment, "shmid", info->segment[i].shmid);
    set_bigint(env, segment, "address", info->segment[i].address);
    set(env, segment, "size", (int64_t)info->segment[i].size);
    MUST(napi_set_element(env, out, i, segment));
  }
  return out;
}

/* moduleInfo(device): {error, restarted, childId, generation, signal, code, pid, channels, segments} */
static napi_value module_info(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  struct zlr_reginfo found;
  const int result = zlr_device_info(get_int(env, args.at[0]), &found);
  napi_value out;
  MUST(napi_create_object(env, &out));
  set(env, out, "error", result < 0 ? result : 0);
  set(env, out, "restarted", (found.flags & ZLR_RESTARTED) != 0);
  set(env, out, "childId", found.child_id);
  set(env, out, "generation", found.generation);
  set(env, out, "signal", found.fault_signal);
  set(env, out, "code", found.fault_code);
  set(env, out, "pid", found.fault_pid);
  set(env, out, "channels", found.channels);
  MUST(napi_set_named_property(env, out, "segments", segments_of(env, &found)));
  return out;
}

/* moduleForget(device): 0 or -errno */
static napi_value module_forget(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  return make_int(env, zlr_device_forget(get_int(env, args.at[0])));
}

/* moduleStandby(device, service): 0 or -errno */
static napi_value module_standby(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  uint64_t service;
  bool lossless;
  MUST(napi_get_value_bigint_uint64(env, args.at[1], &service, &lossless));
  return make_int(env, zlr_device_standby(get_int(env, args.at[0]), service));
}

/* moduleSegments(device): how many, or -errno */
static napi_value module_segments(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  return make_int(env, zlr_device_segments(get_int(env, args.at[0])));
}

/* moduleStream(device, fd): {error, read, deleted, written}. From here on the file does not wait. */
static napi_value module_stream(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  const int fd = get_int(env, args.at[1]);
  struct zlr_books books;
  int error = zlr_device_books(get_int(env, args.at[0]), fd, &books);
  const int flags = error ? 0 : fcntl(fd, F_GETFL);
  if (!error && (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))) error = -errno;
  napi_value out;
  MUST(napi_create_object(env, &out));
  set(env, out, "error", error);
  set(env, out, "read", (int64_t)books.read_pt);
  set(env, out, "deleted", (int64_t)books.destroy_pt);
  set(env, out, "written", (int64_t)books.write_pt);
  return out;
}

/* moduleHread(device, fd, into, rlen, dlen): bytes or -errno. `into` has room for rlen. */
static napi_value module_hread(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  return make_int(env, zlr_device_hread(get_int(env, args.at[0]), get_int(env, args.at[1]), get_bytes(env, args.at[2]),
                                        get_uint(env, args.at[3]), (uint64_t)get_double(env, args.at[4])));
}

void zlr_export_module(napi_env env, napi_value exports) {
  export_function(env, exports, "moduleOpen", module_open);
  export_function(env, exports, "moduleRegister", module_register);
  export_function(env, exports, "moduleInfo", module_info);
  export_function(env, exports, "moduleForget", module_forget);
  export_function(env, exports, "moduleStandby", module_standby);
  export_function(env, exports, "moduleSegments", module_segments);
  export_function(env, exports, "moduleStream", module_stream);
  export_function(env, exports, "moduleHread", module_hread);
}
