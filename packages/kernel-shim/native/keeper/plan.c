#define _GNU_SOURCE
#include "plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct head {
  uint32_t args, vars, bytes;
};

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, EXTRA_VARS = 2 };

static uint32_t count_and_measure(char *const strings[], size_t *bytes) {
  uint32_t count = 0;
  for (; strings[count]; count++) *bytes += strlen(strings[count]) + 1;
  return count;
}

static bool write_all(int fd, const void *bytes, size_t size) {
  for (size_t at = 0; at < size;) {
    const ssize_t n = write(fd, (const char *)bytes + at, size - at);
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) at += (size_t)n;
  }
  return true;
}

static bool write_strings(int fd, char *const strings[]) {
  for (; *strings; strings++) if (!write_all(fd, *strings, strlen(*strings) + 1)) return false;
  return true;
}

static int sealed(int fd, bool written) {
  if (written && !fcntl(fd, F_ADD_SEALS, SEALS)) return fd;
  const int error = -errno;
  close(fd);
  return error;
}

int zlr_plan_seal(const char *file, char *const argv[], char *const envp[]) {
  size_t bytes = strlen(file) + 1;
  const uint32_t args = count_and_measure(argv, &bytes), vars = count_and_measure(envp, &bytes);
  if (bytes > UINT32_MAX) return -E2BIG;
  const int fd = memfd_create("zlr-plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  const struct head head = {args, vars, (uint32_t)bytes};
  return sealed(fd, write_all(fd, &head, sizeof head) && write_all(fd, file, strlen(file) + 1) &&
                        write_strings(fd, argv) && write_strings(fd, envp));
}

int zlr_plan_copy(const struct zlr_plan *plan) {
  const int fd = memfd_create("zlr-plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  return sealed(fd, write_all(fd, plan->content, plan->content_size));
}

/* Points to the strings one after the other. False: they do not fit what the head says. */
static bool point(struct zlr_plan *plan, const struct head *head) {
  char *at = (char *)(head + 1), *const end = at + head->bytes;
  if (head->bytes == 0 || end[-1] != 0) return false;
  plan->file = at;
  char **to = plan->argv;
  for (uint32_t i = 0; i < head->args + head->vars; i++) {
    at += strlen(at) + 1;
    if (at >= end) return false;
    if (i == head->args) to = plan->envp;
    *to++ = at;
  }
  return at + strlen(at) + 1 == end;
}

struct zlr_plan *zlr_plan_open(int memfd) {
  struct stat stat;
  struct head head;
  const int seals = fcntl(memfd, F_GET_SEALS);
  if (seals < 0 || (seals & SEALS) != SEALS || syscall(SYS_fstat, memfd, &stat) ||
      pread(memfd, &head, sizeof head, 0) != sizeof head ||
      (uint64_t)stat.st_size != sizeof head + (uint64_t)head.bytes || head.args == 0 || head.args > head.bytes ||
      head.vars > head.bytes) {
    errno = EBADMSG;
    return NULL;
  }
  const size_t pointers = (size_t)head.args + 1 + head.vars + EXTRA_VARS + 1;
  const size_t content_at = sizeof(struct zlr_plan) + pointers * sizeof(char *);
  const size_t size = content_at + (size_t)stat.st_size;
  struct zlr_plan *plan = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (plan == MAP_FAILED) return NULL;
  plan->size = size;
  plan->argv = (char **)(plan + 1);
  plan->envp = plan->argv + head.args + 1;
  plan->vars = head.vars;
  char *content = (char *)plan + content_at;
  plan->content = content;
  plan->content_size = (uint32_t)stat.st_size;
  for (size_t at = 0; at < plan->content_size;) {
    const ssize_t n = pread(memfd, content + at, plan->content_size - at, (off_t)at);
    if (n <= 0) break;
    at += (size_t)n;
  }
  if (point(plan, (const struct head *)content)) return plan;
  zlr_plan_free(plan);
  errno = EBADMSG;
  return NULL;
}

void zlr_plan_free(struct zlr_plan *plan) { munmap(plan, plan->size); }
