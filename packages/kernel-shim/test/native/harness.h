/* What the programs here share: connections, streams whose every byte is known, and a memory that outlives a kill. */
#ifndef HARNESS_H
#define HARNESS_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../native/channels/books.h"
#include "../../native/reactor/hold.h"
#include "../../native/reactor/outflow.h"
#include "../../native/channels/sockets.h"

/* A complaint of any process, in shared memory: the parent prints it, so that it comes out once and whole. */
struct complaint {
  uint32_t made;
  char text[256];
};
static struct complaint *complaint;

__attribute__((format(printf, 1, 2))) static _Noreturn void die(const char *format, ...) {
  if (__atomic_exchange_n(&complaint->made, 1, __ATOMIC_ACQ_REL) == 0) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(complaint->text, sizeof complaint->text, format, arguments);
    va_end(arguments);
  }
  _exit(2);
}

#define MUST(call) \
  ({ \
    const long must_result = (long)(call); \
    if (must_result < 0) die("%s:%d: %s: %s", __FILE__, __LINE__, #call, strerror(errno)); \
    must_result; \
  })
#define EXPECT(condition) \
  do { \
    if (!(condition)) die("%s:%d: expected %s", __FILE__, __LINE__, #condition); \
  } while (0)

/* --- chance and streams ------------------------------------------------------------------------------------------- */

static inline uint64_t mix(uint64_t x) { /* splitmix64 */
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

static inline uint64_t chance(uint64_t *state, uint64_t below) { return mix((*state)++) % below; }

/* The byte at a position of a stream: a shift by one, a loss or a repetition of any length changes it. */
static inline unsigned char stream_byte(uint64_t stream, uint64_t position) {
  return (unsigned char)(((position + (stream << 44)) * 0x9E3779B97F4A7C15u) >> 56);
}

static inline void fill(unsigned char *to, uint64_t stream, uint64_t position, size_t length) {
  for (size_t i = 0; i < length; i++) to[i] = stream_byte(stream, position + i);
}

/* The first byte that differs, or length. */
static inline size_t differs_at(const unsigned char *from, uint64_t stream, uint64_t position, size_t length) {
  size_t i = 0;
  while (i < length && from[i] == stream_byte(stream, position + i)) i++;
  return i;
}

/* --- processes ---------------------------------------------------------------------------------------------------- */

/* A child that cannot outlive this program. */
static inline pid_t fork_child(void) {
  const pid_t parent = getpid();
  const pid_t pid = (pid_t)MUST(fork());
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
  }
  return pid;
}

/* The experiment itself: let it live for a random while. Every fourth is killed while it still finds its way back. */
static inline void kill_somewhen(pid_t pid, uint64_t *random) {
  const uint64_t most = chance(random, 4) == 0 ? 300000 : 3000000;
  const struct timespec life = {.tv_nsec = (long)chance(random, most)};
  nanosleep(&life, NULL);
  kill(pid, SIGKILL);
  int status;
  MUST(waitpid(pid, &status, 0));
  if (complaint->made) _exit(2);
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) die("the child ended with status %#x before it was killed", status);
}

static inline void expect_success(pid_t pid, const char *who) {
  int status;
  MUST(waitpid(pid, &status, 0));
  if (status != 0) die("%s ended with status %#x", who, status);
}

/* Runs `body` in a child and reports what it complains of, so that a failure has one voice and one exit code. */
static inline int run_reported(void (*body)(void)) {
  complaint = mmap(NULL, sizeof *complaint, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (complaint == MAP_FAILED) return 1;
  const pid_t pid = fork_child();
  if (pid == 0) {
    body();
    fflush(stdout);
    exit(0);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (complaint->made) fprintf(stderr, "%s\n", complaint->text);
  else if (status != 0) fprintf(stderr, "ended with status %#x\n", status);
  return status == 0 && !complaint->made ? 0 : 1;
}

/* Memory that all children share, with a page on either side that nobody may touch. */
static inline void *shared(size_t bytes) {
  const size_t page = 4096, whole = (bytes + page - 1) / page * page;
  unsigned char *at = mmap(NULL, whole + 2 * page, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) die("no memory");
  MUST(mprotect(at + page, whole, PROT_READ | PROT_WRITE));
  return at + page;
}

/* --- connections -------------------------------------------------------------------------------------------------- */

/* A loopback connection: `service` as the reactor has it (non-blocking, a marked channel), `peer` an ordinary one. */
struct connection {
  int service, peer;
};

static inline struct connection make_connection(int peer_receive_buffer) {
  const int listener = zlr_listen("127.0.0.1", 0, 8, false);
  if (listener < 0) die("zlr_listen: %s", strerror(-listener));
  struct sockaddr_in where;
  socklen_t length = sizeof where;
  MUST(getsockname(listener, (struct sockaddr *)&where, &length));
  struct connection made;
  made.peer = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
  if (peer_receive_buffer > 0)
    MUST(setsockopt(made.peer, SOL_SOCKET, SO_RCVBUF, &peer_receive_buffer, sizeof peer_receive_buffer));
  MUST(connect(made.peer, (struct sockaddr *)&where, sizeof where));
  struct pollfd wait = {listener, POLLIN, 0};
  MUST(poll(&wait, 1, -1));
  made.service = (int)MUST(accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
  close(listener);
  return made;
}

/* The naive reading of the kernel's books: one pass, as if nothing could arrive in between. */
struct naive {
  uint64_t written, read;
};

static inline struct naive read_naively(int fd) {
  struct tcp_info info;
  socklen_t length = sizeof info;
  int out_queue, in_queue;
  memset(&info, 0, sizeof info);
  MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length));
  MUST(ioctl(fd, SIOCOUTQ, &out_queue));
  MUST(ioctl(fd, SIOCINQ, &in_queue));
  return (struct naive){info.tcpi_bytes_acked + (uint64_t)out_queue, info.tcpi_bytes_received - (uint64_t)in_queue};
}

static inline struct zlr_books read_books(int fd) {
  struct zlr_books books;
  const int error = zlr_books(fd, &books);
  if (error) die("zlr_books: %s", strerror(-error));
  return books;
}

struct readings {
  uint64_t count, naive_wrong;
  uint64_t alive; /* bytes arrived, or were acknowledged, while the books were read */
};

/* Reads the books of a connection that nobody serves while its peer lives: every reading must say the same.
 * With `arrives`, goes on until bytes arrived in between, or for so long that the peer must be blocked. */
static inline struct zlr_books read_settled_books(int fd, bool arrives, struct readings *readings) {
  int queued, still_queued;
  MUST(ioctl(fd, SIOCOUTQ, &queued));
  const struct zlr_books first = read_books(fd);
  uint64_t unread = first.unread;
  for (int i = 0; i < 8 || (arrives && unread == first.unread && i < 1000); i++) {
    if (complaint->made) _exit(2);
    const struct naive naive = read_naively(fd);
    const struct zlr_books books = read_books(fd);
    if (books.read != first.read || books.written != first.written)
      die("two readings of the books differ: read %lu and %lu, written %lu and %lu", first.read, books.read, first.written, books.written);
    if (naive.read != first.read || naive.written != first.written) readings->naive_wrong++;
    readings->count++;
    MUST(ioctl(fd, SIOCOUTQ, &still_queued));
    if (books.unread != unread || still_queued != queued) readings->alive++;
    unread = books.unread;
    queued = still_queued;
  }
  return first;
}

#endif
