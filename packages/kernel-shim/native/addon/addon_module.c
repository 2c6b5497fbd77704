/* What TypeScript sees of the kernel module. */
#include <stdint.h>

#include "../module/device.h"
#include "napi.h"

/* moduleOpen(): descriptor of /dev/zlr or -errno */
static napi_value module_open(napi_env env, napi_callback_info info) {
  (void)info;
  return make_int(env, zlr_device_open());
}

/* moduleRegister(device, binPath, argv, envp, childId, thresholdMs): 0 or -errno */
static napi_value module_register(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  char *path = get_string(env, args.at[1]);
  char **argv = get_strings(env, args.at[2]), **envp = get_strings(env, args.at[3]);
  const int error = zlr_device_register(get_int(env, args.at[0]), path, argv, envp, get_uint(env, args.at[4]),
                                        get_uint(env, args.at[5]));
  free(path);
  free_strings(argv);
  free_strings(envp);
  return make_int(env, error);
}

/* moduleInfo(device): {error, restarted, childId, generation, signal, code, pid, channels} */
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
  return out;
}

/* moduleForget(device): 0 or -errno */
static napi_value module_forget(napi_env env, napi_callback_info info) {
  struct args args = get_args(env, info);
  return make_int(env, zlr_device_forget(get_int(env, args.at[0])));
}

void zlr_export_module(napi_env env, napi_value exports) {
  export_function(env, exports, "moduleOpen", module_open);
  export_function(env, exports, "moduleRegister", module_register);
  export_function(env, exports, "moduleInfo", module_info);
  export_function(env, exports, "moduleForget", module_forget);
}
