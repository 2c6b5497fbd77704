/* Preloaded, it makes the moment long between the start of a process and a session of its own. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

pid_t setsid(void) {
  const struct timespec moment = {0, 300000000};
  syscall(SYS_nanosleep, &moment, NULL);
  return (pid_t)syscall(SYS_setsid);
}
