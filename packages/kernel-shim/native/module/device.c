#define _GNU_SOURCE
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int zlr_device_open(void) {
  const int device = open(ZLR_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (device < 0) return -errno;
  struct zlr_version version;
  const int error = ioctl(device, ZLR_VERSION, &version) ? -errno : version.abi == ZLR_ABI ? 0 : -EPROTO;
  if (!error) return device;
  close(device);
  return error;
}

static size_t length_of(char *const strings[]) {
  size_t length = 0;
  for (; *strings; strings++) length += strlen(*strings) + 1;
  return length;
}

static void pack(char *to, char *const strings[]) {
  for (; *strings; strings++) to = stpcpy(to, *strings) + 1;
}

int zlr_device_register(int device, const char *path, char *const argv[], char *const envp[], uint32_t child_id,
                        uint32_t threshold_ms, uint64_t *service) {
  const size_t argv_length = length_of(argv), envp_length = length_of(envp);
  char *text = malloc(argv_length + envp_length + 1);
  if (!text) return -ENOMEM;
  pack(text, argv);
  pack(text + argv_length, envp);
  struct zlr_reregist call = {
      .abi = ZLR_ABI,
      .child_id = child_id,
      .path = (uintptr_t)path,
      .path_len = (uint32_t)strlen(path) + 1,
      .argv = (uintptr_t)text,
      .argv_len = (uint32_t)argv_length,
      .envp = (uintptr_t)(text + argv_length),
      .envp_len = (uint32_t)envp_length,
      .threshold_ms = threshold_ms,
  };
  const int error = ioctl(device, ZLR_REREGIST, &call) ? -errno : 0;
  *service = call.service;
  free(text);
  return error;
}

int zlr_device_info(int device, struct zlr_reginfo *info) {
  memset(info, 0, sizeof *info);
  info->abi = ZLR_ABI;
  const int result = ioctl(device, ZLR_GETREGINFO, info);
  return result < 0 ? -errno : result;
}

int zlr_device_forget(int device) {
  struct zlr_forget call = {.pid = 0};
  return ioctl(device, ZLR_FORGET, &call) ? -errno : 0;
}

int zlr_device_standby(int device, uint64_t service) {
  struct zlr_standby call = {.abi = ZLR_ABI, .service = service};
  return ioctl(device, ZLR_STANDBY, &call) ? -errno : 0;
}

int zlr_device_segments(int device) {
  const int noted = ioctl(device, ZLR_SEGMENTS);
  return noted < 0 ? -errno : noted;
}

int64_t zlr_device_hread(int device, int fd, void *into, uint64_t rlen, uint64_t dlen) {
  struct zlr_hread call = {.fd = fd, .buf = (uintptr_t)into, .rlen = rlen, .dlen = dlen};
  const int read = ioctl(device, ZLR_HREAD, &call);
  return read < 0 ? -errno : read;
}

int zlr_device_books(int device, int fd, struct zlr_books *books) {
  *books = (struct zlr_books){.fd = fd};
  return ioctl(device, ZLR_BOOKS, books) ? -errno : 0;
}
