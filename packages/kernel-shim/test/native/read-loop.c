/*
 * Kills a process at random instants while it receives into held memory, and compares every byte.
 *
 *   read-loop KILLS SEED
 *
 * Peers write streams whose every byte is known, all the while. A child receives them into the slots of a shared pool
 * (hold.c) and consumes random amounts. After each kill the parent asks the kernel (books.c) how far reading came and
 * expects [consumed, read) in the slot, byte for byte; the next child goes on from there. Bytes are compared again
 * when they are consumed, at the position that `consumed` names, so a lost or doubled byte anywhere fails.
 * There are fewer slots than channels want, and they are short: rests are moved to the slot's start all the time, and
 * channels starve in front of the reserve.
 */
#include "harness.h"

enum { CHANNELS = 4, SLOTS = 5, RESERVE = 2, SLOT_SIZE = 8192 };
enum { TRICKLE }; /* this channel's peer is slower than its reader, so that bytes always arrive; the others fill all buffers */

static struct shared_memory {
  struct zlr_channel record[CHANNELS];
  struct zlr_flow flow[CHANNELS]; /* what the child had noted when it was killed */
  uint64_t sent[CHANNELS];        /* by the peer, in all */
  uint32_t stop;
  uint64_t moves, starvings, full;
} * all;
static unsigned char *pool_memory;
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

/* The stack of free slots is each generation's own: it follows from the records. */
static struct zlr_pool make_pool(int32_t *stack) {
  bool used[SLOTS] = {false};
  for (int c = 0; c < CHANNELS; c++)
    if (all->record[c].hold_slot != 0) used[all->record[c].hold_slot - 1] = true;
  stack[0] = 0;
  for (int slot = SLOTS - 1; slot >= 0; slot--)
    if (!used[slot]) stack[++stack[0]] = slot;
  return (struct zlr_pool){pool_memory, SLOT_SIZE, SLOTS, RESERVE, stack};
}

static uint64_t held(int c) { return all->flow[c].read - all->record[c].consumed; }

/* Processing: looks at what `consumed` will pass. */
static void check_next(int c, uint64_t length) {
  if (length == 0) return;
  const struct zlr_channel *record = &all->record[c];
  const unsigned char *from = pool_memory + (size_t)(record->hold_slot - 1) * SLOT_SIZE + (record->consumed - record->hold_base);
  const size_t same = differs_at(from, (uint64_t)c, record->consumed, length);
  if (same != length) die("channel %d: consumed a wrong byte at position %lu", c, record->consumed + same);
}

static _Noreturn void serve(uint64_t random, bool until_end) {
  int32_t stack[SLOTS + 1];
  const struct zlr_pool pool = make_pool(stack);
  bool ended[CHANNELS] = {false};
  for (int c = 0; c < CHANNELS; c++) {
    const struct zlr_books books = read_books(connections[c].service);
    all->flow[c] = (struct zlr_flow){connections[c].service, books.read, books.written};
    zlr_hold_settle(&pool, &all->record[c], &all->flow[c]);
  }
  int quiet = 0; /* turns in a row that found nothing to do */
  for (;;) {
    const int c = (int)chance(&random, CHANNELS);
    struct zlr_channel *record = &all->record[c];
    struct zlr_flow *flow = &all->flow[c];
    const uint64_t length = held(c) == 0 ? 0 : chance(&random, 3) == 0 ? held(c) : 1 + chance(&random, held(c));
    const uint64_t kind = chance(&random, 3);
    if (kind == 0) { /* the two steps as the reactor and TypeScript take them */
      check_next(c, length);
      __atomic_store_n(&record->consumed, record->consumed + length, __ATOMIC_RELEASE);
      zlr_hold_settle(&pool, record, flow);
      quiet = length > 0 ? 0 : quiet + 1;
    } else {
      const size_t most = 1 + chance(&random, chance(&random, 2) ? SLOT_SIZE : 200);
      const uint64_t base = record->hold_base;
      const bool holds = held(c) > 0;
      ssize_t n = -1;
      if (kind == 1) {
        check_next(c, length);
        errno = 0;
        n = zlr_hread(&pool, record, flow, most, length);
        if (n < 0 && errno == ENOBUFS) errno = EAGAIN;
      } else if (zlr_hold_room(&pool, record, flow) > 0) {
        n = zlr_hold_recv(&pool, record, flow, most);
      } else {
        if (record->hold_slot == 0) all->starvings++;
        else all->full++;
        errno = EAGAIN;
      }
      if (holds && record->hold_base != base) all->moves++;
      if (n < 0 && errno != EAGAIN) die("channel %d: recv: %s", c, strerror(errno));
      if (n == 0) ended[c] = true;
      zlr_hold_settle(&pool, record, flow);
      quiet = n > 0 || length > 0 ? 0 : quiet + 1;
    }
    if (stack[0] < RESERVE) die("input took a slot of the reserve");
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

static void check_slot(int c, const struct zlr_books *books) {
  const struct zlr_channel *record = &all->record[c];
  if (books->read < record->consumed) die("channel %d: read %lu, but %lu are consumed", c, books->read, record->consumed);
  const uint64_t length = books->read - record->consumed;
  if (length == 0) return;
  if (record->hold_slot == 0 || record->hold_slot > SLOTS) die("channel %d: %lu bytes are held nowhere", c, length);
  if (record->hold_base > record->consumed || books->read - record->hold_base > SLOT_SIZE)
    die("channel %d: [%lu, %lu) lies outside its slot, which starts at %lu", c, record->consumed, books->read, record->hold_base);
  const unsigned char *from = pool_memory + (size_t)(record->hold_slot - 1) * SLOT_SIZE + (record->consumed - record->hold_base);
  const size_t same = differs_at(from, (uint64_t)c, record->consumed, length);
  if (same != length)
    die("channel %d: a wrong byte is held at position %lu of [%lu, %lu)", c, record->consumed + same, record->consumed, books->read);
}

static void torture(void) {
  all = shared(sizeof *all);
  pool_memory = shared(SLOTS * SLOT_SIZE);
  pid_t peers[CHANNELS];
  for (int c = 0; c < CHANNELS; c++) {
    connections[c] = make_connection(0);
    all->record[c].cookie = read_books(connections[c].service).cookie;
    all->record[c].file_fd = -1;
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
    bool used[SLOTS] = {false};
    int in_use = 0;
    for (int c = 0; c < CHANNELS; c++) {
      const int fd = connections[c].service;
      const bool arrives = kill % 8 == 0 && c == TRICKLE;
      const struct zlr_books books = read_settled_books(fd, arrives, &readings);
      if (books.written != 0) die("kill %lu, channel %d: %lu bytes written, but none was", kill, c, books.written);
      if (books.cookie != all->record[c].cookie) die("kill %lu, channel %d: another cookie", kill, c);
      if (books.read != all->flow[c].read) unnoted++;
      check_slot(c, &books);
      const uint32_t slot = all->record[c].hold_slot;
      if (slot == 0) continue;
      if (used[slot - 1]) die("kill %lu, channel %d: slot %u is held twice", kill, c, slot - 1);
      used[slot - 1] = true;
      in_use++;
    }
    if (in_use > SLOTS - RESERVE) die("kill %lu: %d slots hold input", kill, in_use);
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
  printf("{\"kills\":%lu,\"bytes\":%lu,\"readings\":%lu,\"naiveWrong\":%lu,\"alive\":%lu,\"unnoted\":%lu,\"moves\":%lu,\"starvings\":%lu,\"full\":%lu}\n",
         kills, bytes, readings.count, readings.naive_wrong, readings.alive, unnoted, all->moves, all->starvings, all->full);
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
