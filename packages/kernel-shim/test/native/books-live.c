/*
 * Reads the books of a connection over and over while its peer reads and writes, and compares with one's own count.
 *
 *   books-live ROUNDS SEED
 *
 * Nobody dies here, so what was written and read is known. The naive reading, which takes TCP_INFO and the queues once,
 * is counted beside: the rounds go on until it was wrong often enough, or the peer was not alive enough to prove anything.
 */
#include "harness.h"

enum { WRONG_ENOUGH = 20, ROUNDS_MOST = 5000000 };

static uint64_t rounds, seed;

static _Noreturn void be_peer(struct connection made) {
  close(made.service); /* or its end would never be seen here */
  const int fd = made.peer;
  static char bytes[65536];
  uint64_t random = mix(seed);
  ssize_t n;
  while ((n = recv(fd, bytes, 1 + chance(&random, 30000), 0)) > 0) {
    if (send(fd, bytes, 1 + chance(&random, 2000), MSG_NOSIGNAL) < 0) break;
  }
  _exit(0);
}

static void compare(void) {
  static char bytes[65536];
  const struct connection made = make_connection(0);
  const pid_t peer = fork_child();
  if (peer == 0) be_peer(made);
  close(made.peer);
  uint64_t random = mix(~seed), written = 0, read_ = 0, naive_wrong = 0;
  uint64_t round = 0;
  for (; round < rounds || naive_wrong < WRONG_ENOUGH; round++) {
    if (round == ROUNDS_MOST) die("the naive reading was wrong %lu times in %lu rounds: the peer hardly runs", naive_wrong, round);
    ssize_t n = send(made.service, bytes, 1 + chance(&random, 20000), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) written += (uint64_t)n;
    n = recv(made.service, bytes, 1 + chance(&random, 3000), MSG_DONTWAIT);
    if (n > 0) read_ += (uint64_t)n;
    const struct naive naive = read_naively(made.service);
    if (naive.written != written || naive.read != read_) naive_wrong++;
    const struct zlr_books books = read_books(made.service);
    if (books.written != written || books.read != read_)
      die("round %lu: written %lu, read %lu; the books say %lu and %lu", round, written, read_, books.written, books.read);
  }
  close(made.service);
  expect_success(peer, "the peer");
  printf("{\"readings\":%lu,\"naiveWrong\":%lu,\"bytes\":%lu}\n", round, naive_wrong, written + read_);
}

int main(int count, char **arguments) {
  if (count != 3) {
    fprintf(stderr, "usage: books-live ROUNDS SEED\n");
    return 2;
  }
  rounds = strtoull(arguments[1], NULL, 10);
  seed = strtoull(arguments[2], NULL, 10);
  return run_reported(compare);
}
