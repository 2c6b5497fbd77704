/* The calls of /dev/zlr, the kernel module of kmod/ (packages/kernel-shim/include/zlr/kmod.h). Failures are a negative errno. */
#ifndef ZLR_DEVICE_CLIENT_H
#define ZLR_DEVICE_CLIENT_H

#include <stdint.h>

#include "../../include/zlr/kmod.h"

/* A descriptor of the device, which does not wait; -EPROTO: its module speaks another ABI. */
int zlr_device_open(void);
/* *service: the secret number that a standby needs. */
int zlr_device_register(int device, const char *path, char *const argv[], char *const envp[], uint32_t child_id,
                        uint32_t threshold_ms, uint64_t *service);
/* 1: this process has a registration, its own or its former generation's; 0: it has none. */
int zlr_device_info(int device, struct zlr_reginfo *info);
int zlr_device_forget(int device);
/* 0: this process lives the service now; -EAGAIN: it stands by, and the device is readable when it is worth asking again. */
int zlr_device_standby(int device, uint64_t service);
/* How many attached System V segments were noted for the next generation. */
int zlr_device_segments(int device);
/* Bytes read, 0 at the end of the stream. Waits if the file is one that does. */
int64_t zlr_device_hread(int device, int fd, void *into, uint64_t rlen, uint64_t dlen);
int zlr_device_books(int device, int fd, struct zlr_books *books);

#endif
