/* The calls of /dev/zlr, the kernel module of kmod/ (packages/kernel-shim/include/zlr/kmod.h). Failures are a negative errno. */
#ifndef ZLR_DEVICE_CLIENT_H
#define ZLR_DEVICE_CLIENT_H

#include <stdint.h>

#include "../../include/zlr/kmod.h"

/* A descriptor of the device; -EPROTO: its module speaks another ABI. */
int zlr_device_open(void);
int zlr_device_register(int device, const char *path, char *const argv[], char *const envp[], uint32_t child_id,
                        uint32_t threshold_ms);
/* 1: this process has a registration, its own or its former generation's; 0: it has none. */
int zlr_device_info(int device, struct zlr_reginfo *info);
int zlr_device_forget(int device);

#endif
