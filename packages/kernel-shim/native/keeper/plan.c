#define _GNU_SOURCE
#include "plan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char generation_name[] = "ZLR_GENERATION=";
static const char lifeline_name[] = "ZLR_LIFELINE=";
static const char orphaned_name[] = "ZLR_ORPHANED=";

static size_t count_and_measure(char *const strings[], size_t *bytes) {
  size_t count = 0;
  for (; strings[count]; count++) *bytes += strlen(strings[count]) + 1;
  return count;
}

static char *append(char **free, const char *text, size_t extra) {
  char *at = *free;
  const size_t length = strlen(text);
  memcpy(at, text, length);
  memset(at + length, '0', extra);
  at[length + extra] = 0;
  *free += length + extra + 1;
  return at;
}

struct zlr_plan *zlr_plan_make(const char *bin_path, char *const argv[], char *const envp[],
                               const char *control_path) {
  size_t bytes = strlen(bin_path) + 1;
  const size_t args = count_and_measure(argv, &bytes);
  const size_t vars = count_and_measure(envp, &bytes);
  bytes += sizeof generation_name + sizeof lifeline_name + sizeof orphaned_name + 3 * ZLR_DIGITS;
  const size_t pointers = (args + 1) + (vars + 3 + 1);
  const size_t size = sizeof(struct zlr_plan) + pointers * sizeof(char *) + bytes;
  if (strlen(control_path) >= sizeof((struct zlr_plan *)0)->control_path) {
    errno = ENAMETOOLONG;
    return NULL;
  }
  struct zlr_plan *plan = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (plan == MAP_FAILED) return NULL;
  plan->size = size;
  plan->control = plan->lifeline_in = plan->service_pidfd = -1;
  strcpy(plan->control_path, control_path);
  plan->argv = (char **)(plan + 1);
  plan->envp = plan->argv + args + 1;
  char *free = (char *)(plan->argv + pointers);
  plan->bin_path = append(&free, bin_path, 0);
  for (size_t i = 0; i < args; i++) plan->argv[i] = append(&free, argv[i], 0);
  for (size_t i = 0; i < vars; i++) plan->envp[i] = append(&free, envp[i], 0);
  plan->envp[vars] = append(&free, generation_name, ZLR_DIGITS);
  plan->envp[vars + 1] = append(&free, lifeline_name, ZLR_DIGITS);
  plan->envp[vars + 2] = append(&free, orphaned_name, ZLR_DIGITS);
  plan->generation_digits = plan->envp[vars] + sizeof generation_name - 1;
  plan->lifeline_digits = plan->envp[vars + 1] + sizeof lifeline_name - 1;
  plan->orphaned_digits = plan->envp[vars + 2] + sizeof orphaned_name - 1;
  return plan;
}

void zlr_put_digits(char *to, uint32_t value) {
  for (int i = ZLR_DIGITS - 1; i >= 0; i--, value /= 10) to[i] = (char)('0' + value % 10);
}

static bool make_inheritable(int fd, void *context) {
  (void)context;
  if (zlr_mark_of(fd) != ZLR_UNMARKED) fcntl(fd, F_SETFD, 0);
  return true;
}

_Noreturn void zlr_become(struct zlr_plan *plan, int lifeline_out) {
  setsid(); /* out of reach of the terminal's signals and of a kill meant for another generation's group */
  for (int signal = 1; signal < NSIG; signal++) {
    struct sigaction normal = {.sa_handler = SIG_DFL};
    sigaction(signal, &normal, NULL); /* fails for SIGKILL, SIGSTOP and libc's own two: nothing to do there */
  }
  for (int fd = 0; fd <= 2; fd++) fcntl(fd, F_SETFD, 0); /* Node makes its own stdio close-on-exec */
  if (lifeline_out >= 0) fcntl(lifeline_out, F_SETFD, 0);
  zlr_each_fd(make_inheritable, NULL);
  sigprocmask(SIG_SETMASK, &plan->signal_mask, NULL);
  execve(plan->bin_path, plan->argv, plan->envp);
  static const char message[] = "zlr: cannot execute the service's program\n";
  if (write(2, message, sizeof message - 1) < 0) _exit(126);
  _exit(127);
}
