/*
 * Kills a process at random instants while it receives into held memory, and compares every byte.
 *
 *   read-loop KILLS SEED
 *
 * Peers write streams whose every byte is known, all the while. A child receives them into the extents of a shared pool
 * (hold.c) and consumes random amounts. After each kill the parent asks the kernel (books.c) how far reading came and
 * expects [consumed, read) in the chain, byte for byte; the next child goes on from there. Bytes are compared again
 * when they are consumed, at the position that `consumed` names, so a lost or doubled byte anywhere fails.
 * There are fewer extents than channels want: what is held is moved and chained all the time, and channels starve in
 * front of the reserve.
 */
#include "pool-under-test.h"

enum { CHANNELS = 4, LARGE = 6, SMALL = 3, RESERVE = 2, MOST = 2 * LARGE_SIZE };
enum { TRICKLE }; /* this channel's peer is slower than its reader, so that bytes always arrive; the others fill all buffers */

static struct shared_memory {
  struct zlr_channel record[CHANNELS];
  struct zlr_flow flow[CHANNELS]; /* what the child had noted when it was killed */
  uint64_t sent[CHANNELS];        /* by the peer, in all */
  uint32_t stop;
  uint64_t moves, chains, starvings, full;
} * all;
static struct shared_pool memory;
static struct connection connections[CHANNELS];
static uint64_t kills, seed;

static _Noreturn void be_peer(uint64_t channel) {
  uint64_t random = mix(seed) + channel, sent = 0;
  const int fd = connections[channel].peer;
  unsigned char bytes[20000];
  while (!__atomic_load_n(&all->stop, __ATOMIC_ACQUIRE)) {
    const size_t length = 1 + chance(&random, channel == TRICKLE ? 40 : sizeof bytes);
    fill(bytes, channel, sent, length);
    for (size_t at = 0; at < length;) at += (size_t)MUST(send(fd, bytes + at, length - at, MSG_NOSIGNAL));
    sent += length;
  }
  all->sent[channel] = sent;
  MUST(shutdown(fd, SHUT_WR));
  _exit(0);
}

static uint64_t held(int c) { return all->flow[c].read - all->record[c].consumed; }

/* [consumed, to) in the chain, byte for byte: the first position that is wrong, or `to`. */
static uint64_t differs_in_chain(const struct zlr_pool *pool, int c, uint64_t to) {
  const struct zlr_channel *record = &all->record[c];
  uint64_t at = record->consumed;
  for (uint32_t each = record->hold_head; at < to; each = pool->extents[each - 1].next) {
    if (each == 0) die("channel %d: [%lu, %lu) is held nowhere", c, at, to);
    const struct zlr_extent *entry = &pool->extents[each - 1];
    const uint64_t end = entry->base + zlr_size_of(pool, each - 1);
    if (entry->base > at) die("channel %d: an extent starts at %lu, after %lu", c, entry->base, at);
    if (end <= at) continue; /* consumed, but not given back yet */
    const uint64_t length = (to < end ? to : end) - at;
    const size_t same = differs_at(zlr_memory_of(pool, each - 1) + (at - entry->base), (uint64_t)c, at, length);
    if (same != length) return at + same;
    at += length;
  }
  return to;
}

/* Processing: looks at what `consumed` will pass. */
static void check_next(const struct zlr_pool *pool, int c, uint64_t length) {
  const uint64_t to = all->record[c].consumed + length, wrong = differs_in_chain(pool, c, to);
  if (wrong != to) die("channel %d: consumed a wrong byte at position %lu", c, wrong);
}

static _Noreturn void serve(uint64_t random, bool until_end) {
  struct stacks stacks = {.large = {0}};
  struct zlr_pool pool = pool_of(&memory, &stacks, RESERVE);
  bool ended[CHANNELS] = {false};
  struct zlr_held streams[CHANNELS];
  for (int c = 0; c < CHANNELS; c++) {
    const struct zlr_books books = read_books(connections[c].service);
    all->flow[c] = (struct zlr_flow){.fd = connections[c].service, .read = books.read, .written = books.written};
    streams[c] = (struct zlr_held){&pool, &all->record[c], &all->flow[c], (uint32_t)c + 1, MOST};
    mark_chain(&pool, &stacks, all->record[c].hold_head, (uint32_t)c + 1, "the hold");
  }
  free_the_rest(&pool, &stacks);
  for (int c = 0; c < CHANNELS; c++) zlr_hold_resume(streams[c]);
  int quiet = 0; /* turns in a row that found nothing to do */
  for (;;) {
    const int c = (int)chance(&random, CHANNELS);
    struct zlr_channel *record = &all->record[c];
    const uint64_t length = held(c) == 0 ? 0 : chance(&random, 3) == 0 ? held(c) : 1 + chance(&random, held(c));
    const uint64_t kind = chance(&random, 3);
    if (kind == 0) { /* the two steps as the reactor and TypeScript take them */
      check_next(&pool, c, length);
      __atomic_store_n(&record->consumed, record->consumed + length, __ATOMIC_RELEASE);
      zlr_hold_settle(streams[c]);
      quiet = length > 0 ? 0 : quiet + 1;
    } else {
      const size_t most = 1 + chance(&random, chance(&random, 2) ? 2 * LARGE_SIZE : 200);
      const uint32_t head = record->hold_head;
      const uint64_t base = head != 0 ? memory.extents[head - 1].base : 0;
      const bool holds = held(c) > 0;
      ssize_t n = -1;
      if (kind == 1) {
        check_next(&pool, c, length);
        errno = 0;
        n = zlr_hread(streams[c], most, length);
        if (n < 0 && errno == ENOBUFS) errno = EAGAIN;
      } else {
        const ssize_t room = zlr_hold_room(streams[c], chance(&random, 2) ? 1 : LARGE_SIZE);
        if (room > 0) n = zlr_hold_recv(streams[c], most);
        else errno = EAGAIN;
        if (room == -ENOBUFS) all->starvings++;
        if (room == 0) all->full++;
      }
      if (holds && record->hold_head != 0 && kind == 2 && (record->hold_head != head || memory.extents[head - 1].base != base)) all->moves++;
      if (record->hold_head != 0 && memory.extents[record->hold_head - 1].next != 0) all->chains++;
      if (n < 0 && errno != EAGAIN) die("channel %d: recv: %s", c, strerror(errno));
      if (n == 0) ended[c] = true;
      zlr_hold_settle(streams[c]);
      quiet = n > 0 || length > 0 ? 0 : quiet + 1;
    }
    if (stacks.large[0] < RESERVE) die("input took an extent of the reserve");
    if (quiet < 16 * CHANNELS) continue;
    struct pollfd wait[CHANNELS];
    int waiting = 0;
    for (int i = 0; i < CHANNELS; i++)
      if (!ended[i] && held(i) == 0) wait[waiting++] = (struct pollfd){connections[i].service, POLLIN, 0};
    bool done = until_end;
    for (int i = 0; i < CHANNELS; i++) done = done && ended[i] && held(i) == 0;
    if (done) _exit(0);
    if (waiting == CHANNELS) MUST(poll(wait, (nfds_t)waiting, -1));
    quiet = 0;
  }
}

static void torture(void) {
  all = shared(sizeof *all);
  memory = make_shared_pool(LARGE, SMALL);
  pid_t peers[CHANNELS];
  for (int c = 0; c < CHANNELS; c++) {
    connections[c] = make_connection(0);
    all->record[c].cookie = read_books(connections[c].service).cookie;
    peers[c] = fork_child();
    if (peers[c] == 0) be_peer((uint64_t)c);
    close(connections[c].peer);
  }
  uint64_t random = mix(~seed), unnoted = 0;
  struct readings readings = {.count = 0};
  for (uint64_t kill = 0; kill < kills; kill++) {
    const pid_t child = fork_child();
    if (child == 0) serve(mix(seed + (kill << 32)), false);
    kill_somewhen(child, &random);
    struct stacks stacks = {.large = {0}};
    const struct zlr_pool pool = pool_of(&memory, &stacks, RESERVE);
    for (int c = 0; c < CHANNELS; c++) {
      const int fd = connections[c].service;
      const bool arrives = kill % 8 == 0 && c == TRICKLE;
      const struct zlr_books books = read_settled_books(fd, arrives, &readings);
      if (books.written != 0) die("kill %lu, channel %d: %lu bytes written, but none was", kill, c, books.written);
      if (books.cookie != all->record[c].cookie) die("kill %lu, channel %d: another cookie", kill, c);
      if (books.read != all->flow[c].read) unnoted++;
      const struct zlr_channel *record = &all->record[c];
      if (books.read < record->consumed) die("channel %d: read %lu, but %lu are consumed", c, books.read, record->consumed);
      mark_chain(&pool, &stacks, record->hold_head, (uint32_t)c + 1, "the hold");
      const uint64_t wrong = differs_in_chain(&pool, c, books.read);
      if (wrong != books.read) die("channel %d: a wrong byte is held at position %lu of [%lu, %lu)", c, wrong, record->consumed, books.read);
    }
    free_the_rest(&pool, &stacks);
    if (stacks.large[0] < RESERVE) die("kill %lu: %d large extents are left", kill, stacks.large[0]);
  }
  __atomic_store_n(&all->stop, 1, __ATOMIC_RELEASE);
  const pid_t last = fork_child();
  if (last == 0) serve(mix(seed - 1), true);
  uint64_t bytes = 0;
  expect_success(last, "the last child");
  for (int c = 0; c < CHANNELS; c++) expect_success(peers[c], "a peer");
  for (int c = 0; c < CHANNELS; c++) {
    const struct zlr_books books = read_books(connections[c].service);
    if (all->record[c].consumed != all->sent[c] || books.read != all->sent[c])
      die("channel %d: sent %lu, read %lu, consumed %lu", c, all->sent[c], books.read, all->record[c].consumed);
    bytes += all->sent[c];
  }
  printf("{\"kills\":%lu,\"bytes\":%lu,\"readings\":%lu,\"naiveWrong\":%lu,\"alive\":%lu,\"unnoted\":%lu,\"moves\":%lu,\"chains\":%lu,\"starvings\":%lu,\"full\":%lu}\n",
         kills, bytes, readings.count, readings.naive_wrong, readings.alive, unnoted, all->moves, all->chains, all->starvings, all->full);
}

int main(int count, char **arguments) {
  if (count != 3) {
    fprintf(stderr, "usage: read-loop KILLS SEED\n");
    return 2;
  }
  kills = strtoull(arguments[1], NULL, 10);
  seed = strtoull(arguments[2], NULL, 10);
  return run_reported(torture);
}
