/*
 * Kills a process at random instants while it sends answers, and compares every byte that its peers receive.
 *
 *   write-loop KILLS SEED
 *
 * Each answer is some bytes of memory, a piece of a file (sendfile), or one after the other; several wait in a queue. A
 * child records an answer, then sends with zlr_outflow; after a kill the parent asks the kernel (books.c) how far writing
 * came, expects it inside what is recorded, and the next child goes on there. Peers know what each answer must be; one
 * reads as fast as it can, one is slow and keeps its connection's send buffer full.
 */
#include "pool-under-test.h"

enum { CHANNELS = 2, LARGE = 12, SMALL = 12, QUEUE = 4, FILE_SIZE = 4 << 20 };
enum { FAST, SLOW };
static const uint64_t file_stream = 99;

static struct shared_memory {
  struct zlr_channel record[CHANNELS];
  struct zlr_flow flow[CHANNELS]; /* what the child had noted when it was killed */
  uint64_t total[CHANNELS], received[CHANNELS];
  uint64_t blocked, answers, queued;
} * all;
static struct shared_pool memory;
static struct connection connections[CHANNELS];
static int file;
static int hold_open[2]; /* a pipe: the peers keep their end of the connection until the parent closes it */
static uint64_t kills, seed;

struct answer {
  uint32_t length_in_memory;
  uint64_t file_offset, file_length;
};

/* Follows from the answer's number alone: both ends know it. */
static struct answer answer_of(int channel, uint64_t number) {
  uint64_t random = mix(seed ^ (number << 8) ^ (uint64_t)channel);
  const uint64_t offset = chance(&random, FILE_SIZE / 4);
  switch (chance(&random, 8)) {
    case 0:
    case 1: return (struct answer){(uint32_t)(1 + chance(&random, LARGE_SIZE)), 0, 0};
    case 2: return (struct answer){(uint32_t)(1 + chance(&random, 64)), 0, 0};
    case 3:
    case 4: return (struct answer){(uint32_t)(1 + chance(&random, 600)), offset, 1 + chance(&random, 65536)};
    case 5: return (struct answer){0, offset, 1 + chance(&random, 200000)};
    case 6: return (struct answer){LARGE_SIZE, offset, 1 + chance(&random, 5)};
    default: /* more than zlr_outflow sends in one turn */
      return (struct answer){200, offset, (1 << 20) + chance(&random, FILE_SIZE / 2)};
  }
}

static uint64_t length_of(int c, uint64_t number) {
  const struct answer answer = answer_of(c, number);
  return answer.length_in_memory + answer.file_length;
}

/* What a child keeps of its queue beside the records. */
struct queue {
  uint64_t next;   /* the number of the answer that is recorded next */
  uint32_t tail;   /* the last extent's number + 1 */
};

/* Everything is in place before out_end, which is what makes it part of the output, turns. (The store would write
 * record and link in a transaction, and take them back; here the next child looks no further than out_end.) */
static void record_answer(const struct zlr_pool *pool, struct queue *queue, int c) {
  struct zlr_channel *record = &all->record[c];
  const struct answer answer = answer_of(c, queue->next++);
  int32_t *stack = answer.length_in_memory > SMALL_SIZE ? pool->large : pool->small;
  const uint32_t extent = (uint32_t)stack[stack[0]--];
  fill(zlr_memory_of(pool, extent), (uint64_t)c, record->out_end, answer.length_in_memory);
  pool->extents[extent] = (struct zlr_extent){.base = record->out_end, .owner = (uint32_t)c + 1, .length = answer.length_in_memory,
                                              .file_fd = answer.file_length ? dup(file) : -1,
                                              .file_offset = answer.file_offset, .file_length = answer.file_length};
  all->flow[c].waiting += zlr_size_of(pool, extent);
  if (record->out_head != 0) {
    zlr_publish32(&pool->extents[queue->tail - 1].next, extent + 1);
    all->queued++;
  } else {
    zlr_publish32(&record->out_head, extent + 1);
  }
  queue->tail = extent + 1;
  zlr_publish64(&record->out_end, record->out_end + answer.length_in_memory + answer.file_length);
}

/* What a former child left: the chain as far as out_end, without what is sent; files are opened anew. */
static struct queue find_queue(const struct zlr_pool *pool, struct stacks *stacks, int c) {
  struct zlr_channel *record = &all->record[c];
  struct zlr_flow *flow = &all->flow[c];
  struct queue queue = {.next = 0};
  for (uint64_t end = 0; end < record->out_end; queue.next++) end += length_of(c, queue.next);
  if (flow->written == record->out_end) record->out_head = 0;
  for (uint32_t each = record->out_head; each != 0;) {
    struct zlr_extent *entry = &pool->extents[each - 1];
    if (stacks->used[each - 1] || entry->owner != (uint32_t)c + 1) die("channel %d: extent %u is not its own", c, each);
    stacks->used[each - 1] = true;
    flow->waiting += zlr_size_of(pool, each - 1);
    if (entry->file_fd >= 0) entry->file_fd = dup(file);
    queue.tail = each;
    each = entry->base + entry->length + entry->file_length < record->out_end ? entry->next : 0;
  }
  return queue;
}

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
      if (in_answer == answer.length_in_memory + answer.file_length) {
        base = received;
        answer = answer_of(c, ++number);
        continue;
      }
      const bool in_slot = in_answer < answer.length_in_memory;
      const uint64_t part = in_slot ? answer.length_in_memory - in_answer : answer.length_in_memory + answer.file_length - in_answer;
      const size_t length = part < n - at ? part : n - at;
      const size_t same = in_slot ? differs_at(bytes + at, (uint64_t)c, received, length)
                                  : differs_at(bytes + at, file_stream, answer.file_offset + in_answer - answer.length_in_memory, length);
      if (same != length) die("channel %d: a wrong byte arrived at position %lu, byte %lu of answer %lu", c, received + same, in_answer + same, number);
      at += length;
      received += length;
    }
  }
  if (received - base != answer.length_in_memory + answer.file_length) die("channel %d: answer %lu ends after %lu bytes", c, number, received - base);
  all->received[c] = received;
  close(hold_open[1]);
  char none;
  if (read(hold_open[0], &none, 1) != 0) die("nothing is ever written there");
  _exit(0);
}

static _Noreturn void serve(uint64_t random, bool finish) {
  struct stacks stacks = {.large = {0}};
  const struct zlr_pool pool = pool_of(&memory, &stacks, 0);
  bool finished[CHANNELS] = {false};
  struct queue queues[CHANNELS];
  for (int c = 0; c < CHANNELS; c++) {
    const struct zlr_books books = read_books(connections[c].service);
    all->flow[c] = (struct zlr_flow){.fd = connections[c].service, .read = books.read, .written = books.written};
    queues[c] = find_queue(&pool, &stacks, c);
  }
  free_the_rest(&pool, &stacks);
  for (;;) {
    struct pollfd wait[CHANNELS];
    int open = 0, full = 0;
    for (int c = 0; c < CHANNELS; c++) {
      if (finished[c]) continue;
      open++;
      struct zlr_flow *flow = &all->flow[c];
      for (uint64_t more = (flow->waiting == 0) + chance(&random, QUEUE); !finish && more > 0 && stacks.large[0] > 0 && stacks.small[0] > 0; more--)
        record_answer(&pool, &queues[c], c);
      const uint64_t before = flow->written;
      const int result = zlr_outflow(&pool, &all->record[c], flow);
      if (result < 0) die("channel %d: zlr_outflow: %s", c, strerror(-result));
      if (result == 0) {
        if (flow->written == before) all->blocked++;
        wait[full++] = (struct pollfd){connections[c].service, POLLOUT, 0};
        continue;
      }
      if (flow->written != all->record[c].out_end || flow->waiting != 0) die("channel %d: zlr_outflow is done before the output is", c);
      all->answers++;
      if (!finish) continue;
      all->total[c] = flow->written;
      MUST(shutdown(connections[c].service, SHUT_WR));
      finished[c] = true;
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
  memory = make_shared_pool(LARGE, SMALL);
  make_file();
  MUST(pipe(hold_open));
  pid_t peers[CHANNELS];
  for (int c = 0; c < CHANNELS; c++) {
    connections[c] = make_connection(c == SLOW ? 32768 : 0);
    peers[c] = fork_child();
    if (peers[c] == 0) be_peer(c);
    close(connections[c].peer);
  }
  uint64_t random = mix(~seed), unnoted = 0;
  struct readings readings = {.count = 0};
  for (uint64_t kill = 0; kill < kills; kill++) {
    const pid_t child = fork_child();
    if (child == 0) serve(mix(seed + (kill << 32)), false);
    kill_somewhen(child, &random);
    for (int c = 0; c < CHANNELS; c++) {
      const int fd = connections[c].service;
      const struct zlr_books books = read_settled_books(fd, false, &readings);
      if (books.read != 0) die("kill %lu, channel %d: %lu bytes read, but none was", kill, c, books.read);
      const struct zlr_channel *record = &all->record[c];
      const uint64_t first = record->out_head != 0 ? memory.extents[record->out_head - 1].base : record->out_end;
      if (books.written < first || books.written > record->out_end)
        die("kill %lu, channel %d: written %lu lies outside the output [%lu, %lu)", kill, c, books.written, first, record->out_end);
      if (books.written != all->flow[c].written) unnoted++;
    }
  }
  const pid_t last = fork_child();
  if (last == 0) serve(0, true);
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
  printf("{\"kills\":%lu,\"bytes\":%lu,\"readings\":%lu,\"naiveWrong\":%lu,\"alive\":%lu,\"unnoted\":%lu,\"answers\":%lu,\"queued\":%lu,\"blocked\":%lu}\n", kills, bytes,
         readings.count, readings.naive_wrong, readings.alive, unnoted, all->answers, all->queued, all->blocked);
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
