/*
 * Kills a process at random instants while it sends answers, and compares every byte that its peers receive.
 *
 *   write-loop KILLS SEED
 *
 * Each answer is some bytes of a slot, a piece of a file (sendfile), or one after the other. A child records an answer,
 * then sends it with zlr_outflow; after a kill the parent asks the kernel (books.c) how far writing came, expects it
 * inside the recorded answer, and the next child goes on there. Peers know what each answer must be; one reads as
 * fast as it can, one is slow and keeps its connection's send buffer full.
 */
#include "harness.h"

enum { CHANNELS = 2, SLOTS = 2 * CHANNELS, SLOT_SIZE = 8192, FILE_SIZE = 4 << 20 };
enum { FAST, SLOW };
static const uint64_t file_stream = 99;

static struct shared_memory {
  /* The store would write a record in one transaction; here the whole of it is written aside, then `current` turns. */
  struct zlr_channel record[CHANNELS][2];
  uint64_t number[CHANNELS][2]; /* which answer that is */
  uint32_t current[CHANNELS];
  struct zlr_flow flow[CHANNELS]; /* what the child had noted when it was killed */
  uint64_t total[CHANNELS], received[CHANNELS];
  uint64_t blocked, answers;
} * all;
static unsigned char *pool_memory;
static struct connection connections[CHANNELS];
static int file;
static int hold_open[2]; /* a pipe: the peers keep their end of the connection until the parent closes it */
static uint64_t kills, seed;

struct answer {
  uint32_t slot_length;
  uint64_t file_offset, file_length;
};

/* Follows from the answer's number alone: both ends know it. */
static struct answer answer_of(int channel, uint64_t number) {
  uint64_t random = mix(seed ^ (number << 8) ^ (uint64_t)channel);
  const uint64_t offset = chance(&random, FILE_SIZE / 4);
  switch (chance(&random, 8)) {
    case 0:
    case 1: return (struct answer){(uint32_t)(1 + chance(&random, SLOT_SIZE)), 0, 0};
    case 2: return (struct answer){(uint32_t)(1 + chance(&random, 64)), 0, 0};
    case 3:
    case 4: return (struct answer){(uint32_t)(1 + chance(&random, 600)), offset, 1 + chance(&random, 65536)};
    case 5: return (struct answer){0, offset, 1 + chance(&random, 200000)};
    case 6: return (struct answer){SLOT_SIZE, offset, 1 + chance(&random, 5)};
    default: /* more than zlr_outflow sends in one turn */
      return (struct answer){200, offset, (1 << 20) + chance(&random, FILE_SIZE / 2)};
  }
}

static void record_answer(int c, uint64_t number, uint64_t base) {
  const uint32_t side = 1 - all->current[c];
  const uint32_t slot = (uint32_t)(2 * c) + side;
  const struct answer answer = answer_of(c, number);
  fill(pool_memory + slot * SLOT_SIZE, (uint64_t)c, base, answer.slot_length);
  all->record[c][side] = (struct zlr_channel){.out_base = base, .out_slot = answer.slot_length ? slot + 1 : 0,
                                              .out_length = answer.slot_length, .file_fd = answer.file_length ? file : -1,
                                              .file_offset = answer.file_offset, .file_length = answer.file_length};
  all->number[c][side] = number;
  __atomic_store_n(&all->current[c], side, __ATOMIC_RELEASE);
}

static const struct zlr_channel *recorded(int c) { return &all->record[c][all->current[c]]; }

static uint64_t end_of(const struct zlr_channel *record) { return record->out_base + record->out_length + record->file_length; }

static _Noreturn void be_peer(int c) {
  uint64_t random = mix(seed) + (uint64_t)c, number = 0, base = 0, received = 0;
  struct answer answer = answer_of(c, 0);
  unsigned char bytes[65536];
  for (;;) {
    if (c == SLOW && chance(&random, 4) == 0) { /* slowness is what this peer is */
      const struct timespec while_ = {.tv_nsec = (long)chance(&random, 2000000)};
      nanosleep(&while_, NULL);
    }
    const size_t n = (size_t)MUST(recv(connections[c].peer, bytes, 1 + chance(&random, c == SLOW ? 16384 : sizeof bytes), 0));
    if (n == 0) break;
    for (size_t at = 0; at < n;) {
      uint64_t in_answer = received - base;
      if (in_answer == answer.slot_length + answer.file_length) {
        base = received;
        answer = answer_of(c, ++number);
        continue;
      }
      const bool in_slot = in_answer < answer.slot_length;
      const uint64_t part = in_slot ? answer.slot_length - in_answer : answer.slot_length + answer.file_length - in_answer;
      const size_t length = part < n - at ? part : n - at;
      const size_t same = in_slot ? differs_at(bytes + at, (uint64_t)c, received, length)
                                  : differs_at(bytes + at, file_stream, answer.file_offset + in_answer - answer.slot_length, length);
      if (same != length) die("channel %d: a wrong byte arrived at position %lu, byte %lu of answer %lu", c, received + same, in_answer + same, number);
      at += length;
      received += length;
    }
  }
  if (received - base != answer.slot_length + answer.file_length) die("channel %d: answer %lu ends after %lu bytes", c, number, received - base);
  all->received[c] = received;
  close(hold_open[1]);
  char none;
  if (read(hold_open[0], &none, 1) != 0) die("nothing is ever written there");
  _exit(0);
}

static _Noreturn void serve(bool finish) {
  int32_t stack[SLOTS + 1] = {0};
  const struct zlr_pool pool = {pool_memory, SLOT_SIZE, SLOTS, 0, stack};
  bool finished[CHANNELS] = {false};
  for (int c = 0; c < CHANNELS; c++) {
    const struct zlr_books books = read_books(connections[c].service);
    all->flow[c] = (struct zlr_flow){connections[c].service, books.read, books.written};
  }
  for (;;) {
    struct pollfd wait[CHANNELS];
    int open = 0, full = 0;
    for (int c = 0; c < CHANNELS; c++) {
      if (finished[c]) continue;
      open++;
      const uint64_t before = all->flow[c].written;
      const int result = zlr_outflow(&pool, recorded(c), &all->flow[c]);
      if (result < 0) die("channel %d: zlr_outflow: %s", c, strerror(-result));
      if (result == 0) {
        if (all->flow[c].written == before) all->blocked++;
        wait[full++] = (struct pollfd){connections[c].service, POLLOUT, 0};
        continue;
      }
      if (all->flow[c].written != end_of(recorded(c))) die("channel %d: zlr_outflow is done before the answer is", c);
      all->answers++;
      if (finish) {
        all->total[c] = all->flow[c].written;
        MUST(shutdown(connections[c].service, SHUT_WR));
        finished[c] = true;
      } else {
        record_answer(c, all->number[c][all->current[c]] + 1, all->flow[c].written);
      }
    }
    if (open == 0) _exit(0);
    if (full == open) MUST(poll(wait, (nfds_t)full, -1));
  }
}

static void make_file(void) {
  file = (int)MUST(memfd_create("answers", 0));
  MUST(ftruncate(file, FILE_SIZE));
  unsigned char *bytes = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  EXPECT(bytes != MAP_FAILED);
  fill(bytes, file_stream, 0, FILE_SIZE);
  munmap(bytes, FILE_SIZE);
}

static void torture(void) {
  all = shared(sizeof *all);
  pool_memory = shared(SLOTS * SLOT_SIZE);
  make_file();
  MUST(pipe(hold_open));
  pid_t peers[CHANNELS];
  for (int c = 0; c < CHANNELS; c++) {
    connections[c] = make_connection(c == SLOW ? 32768 : 0);
    record_answer(c, 0, 0);
    peers[c] = fork_child();
    if (peers[c] == 0) be_peer(c);
    close(connections[c].peer);
  }
  uint64_t random = mix(~seed), unnoted = 0;
  struct readings readings = {.count = 0};
  for (uint64_t kill = 0; kill < kills; kill++) {
    const pid_t child = fork_child();
    if (child == 0) serve(false);
    kill_somewhen(child, &random);
    for (int c = 0; c < CHANNELS; c++) {
      const int fd = connections[c].service;
      const struct zlr_books books = read_settled_books(fd, false, &readings);
      if (books.read != 0) die("kill %lu, channel %d: %lu bytes read, but none was", kill, c, books.read);
      if (books.written < recorded(c)->out_base || books.written > end_of(recorded(c)))
        die("kill %lu, channel %d: written %lu lies outside the answer [%lu, %lu)", kill, c, books.written, recorded(c)->out_base, end_of(recorded(c)));
      if (books.written != all->flow[c].written) unnoted++;
    }
  }
  const pid_t last = fork_child();
  if (last == 0) serve(true);
  expect_success(last, "the last child");
  uint64_t bytes = 0;
  for (int c = 0; c < CHANNELS; c++) {
    const struct zlr_books books = read_books(connections[c].service);
    if (books.written != all->total[c]) die("channel %d: sent %lu, the books say %lu", c, all->total[c], books.written);
  }
  close(hold_open[1]);
  for (int c = 0; c < CHANNELS; c++) {
    expect_success(peers[c], "a peer");
    if (all->received[c] != all->total[c]) die("channel %d: sent %lu, received %lu", c, all->total[c], all->received[c]);
    bytes += all->total[c];
  }
  printf("{\"kills\":%lu,\"bytes\":%lu,\"readings\":%lu,\"naiveWrong\":%lu,\"alive\":%lu,\"unnoted\":%lu,\"answers\":%lu,\"blocked\":%lu}\n", kills, bytes,
         readings.count, readings.naive_wrong, readings.alive, unnoted, all->answers, all->blocked);
}

int main(int count, char **arguments) {
  if (count != 3) {
    fprintf(stderr, "usage: write-loop KILLS SEED\n");
    return 2;
  }
  kills = strtoull(arguments[1], NULL, 10);
  seed = strtoull(arguments[2], NULL, 10);
  return run_reported(torture);
}
