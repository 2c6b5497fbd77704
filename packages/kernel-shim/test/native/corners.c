/* The corners of holding and sending, one by one and without chance: hold.c and outflow.c on a real connection. */
#include "pool-under-test.h"

enum { LARGE = 4, SMALL = 4, RESERVE = 2, MOST = 3 * LARGE_SIZE };

static struct shared_pool memory;
static struct stacks stacks;
static struct zlr_pool pool;
static struct connection connection;
static struct zlr_channel record;
static struct zlr_flow flow;
static struct zlr_held held;
static uint64_t sent;

static void begin(void) {
  if (!memory.memory) memory = make_shared_pool(LARGE, SMALL);
  stacks = (struct stacks){.large = {0}};
  pool = pool_of(&memory, &stacks, RESERVE);
  free_the_rest(&pool, &stacks);
  connection = make_connection(0);
  record = (struct zlr_channel){.version = ZLR_CHANNEL_VERSION};
  flow = (struct zlr_flow){.fd = connection.service};
  held = (struct zlr_held){&pool, &record, &flow, 1, MOST};
  sent = 0;
}

static void end(void) {
  close(connection.service);
  close(connection.peer);
}

static void peer_sends(size_t length) {
  static unsigned char bytes[8 * LARGE_SIZE];
  fill(bytes, 0, sent, length);
  EXPECT(send(connection.peer, bytes, length, 0) == (ssize_t)length);
  sent += length;
  while (read_books(connection.service).unread < sent - flow.read) {
    struct pollfd arrived = {connection.service, POLLIN, 0};
    MUST(poll(&arrived, 1, -1));
  }
}

static void expect_held(uint64_t from, uint64_t to) {
  EXPECT(record.consumed == from && flow.read == to);
  EXPECT(read_books(connection.service).read == to);
  uint64_t at = from;
  for (uint32_t each = record.hold_head; at < to; each = pool.extents[each - 1].next) {
    EXPECT(each != 0);
    const uint64_t start = at - pool.extents[each - 1].base, room = zlr_size_of(&pool, each - 1) - start;
    const uint64_t length = to - at < room ? to - at : room;
    EXPECT(differs_at(zlr_memory_of(&pool, each - 1) + start, 0, at, length) == length);
    at += length;
  }
}

/* `consumed` and the read position both move by one call; what is deleted makes room for what is read. */
static void hread_deletes_then_reads(void) {
  begin();
  peer_sends(1000);
  EXPECT(zlr_hread(held, 10, 0) == 10);
  expect_held(0, 10);
  EXPECT(zlr_hread(held, 5, 4) == 5);
  expect_held(4, 15);
  EXPECT(zlr_hread(held, 2000, 11) == 985); /* all deleted: an extent for as much as is asked for */
  expect_held(15, 1000);
  end();
}

static void hread_refuses_to_delete_more_than_is_held(void) {
  begin();
  peer_sends(20);
  EXPECT(zlr_hread(held, 10, 0) == 10);
  errno = 0;
  EXPECT(zlr_hread(held, 10, 11) == -1 && errno == EINVAL);
  expect_held(0, 10);
  end();
}

static void hread_that_only_deletes_gives_the_extent_back(void) {
  begin();
  peer_sends(10);
  EXPECT(zlr_hread(held, 10, 0) == 10);
  EXPECT(stacks.small[0] == SMALL - 1 && stacks.large[0] == LARGE);
  EXPECT(zlr_hread(held, 0, 4) == 0);
  EXPECT(record.hold_head != 0 && stacks.small[0] == SMALL - 1);
  EXPECT(zlr_hread(held, 0, 6) == 0);
  EXPECT(record.hold_head == 0 && stacks.small[0] == SMALL);
  end();
}

static void hread_with_nothing_to_read_says_so(void) {
  begin();
  errno = 0;
  EXPECT(zlr_hread(held, 10, 0) == -1 && errno == EAGAIN);
  MUST(shutdown(connection.peer, SHUT_WR));
  EXPECT(zlr_hread(held, 10, 0) == 0);
  end();
}

/* What outgrows a small extent lies in one piece in a large one, without what was deleted. */
static void what_outgrows_a_small_extent_moves_to_a_large_one(void) {
  begin();
  peer_sends(SMALL_SIZE + 700);
  EXPECT(zlr_hread(held, SMALL_SIZE, 0) == SMALL_SIZE && zlr_hold_is_outgrown(held));
  EXPECT(zlr_hread(held, 10000, 100) == 700);
  EXPECT(stacks.small[0] == SMALL && stacks.large[0] == LARGE - 1);
  EXPECT(pool.extents[record.hold_head - 1].base == 100 && pool.extents[record.hold_head - 1].next == 0);
  expect_held(100, SMALL_SIZE + 700);
  end();
}

/* At half the extent the rest moves to its start; one byte before, it would overwrite its own source: the next is chained. */
static void a_full_extent_makes_room_from_its_half_on(void) {
  for (int early = 0; early < 2; early++) {
    begin();
    peer_sends(2 * LARGE_SIZE);
    EXPECT(zlr_hread(held, LARGE_SIZE, 0) == LARGE_SIZE);
    const uint64_t deleted = LARGE_SIZE / 2 - (uint64_t)early;
    EXPECT(zlr_hread(held, LARGE_SIZE, deleted) == (early ? LARGE_SIZE : LARGE_SIZE / 2));
    EXPECT(pool.extents[record.hold_head - 1].base == (early ? 0 : deleted));
    EXPECT(stacks.large[0] == LARGE - 1 - early);
    expect_held(deleted, early ? 2 * LARGE_SIZE : LARGE_SIZE + LARGE_SIZE / 2);
    end();
  }
}

static void a_chain_is_bounded_and_given_back_from_its_head(void) {
  begin();
  pool.reserve = 0;
  peer_sends(4 * LARGE_SIZE);
  for (int i = 0; i < 3; i++) EXPECT(zlr_hread(held, LARGE_SIZE, 0) == LARGE_SIZE);
  expect_held(0, MOST);
  EXPECT(!zlr_hold_may_grow(held) && zlr_hold_room(held, 1) == 0);
  EXPECT(zlr_hread(held, 0, LARGE_SIZE - 1) == 0 && stacks.large[0] == LARGE - 3);
  EXPECT(zlr_hread(held, 10, 2) == 10 && stacks.large[0] == LARGE - 3); /* one is given back, and one taken */
  expect_held(LARGE_SIZE + 1, MOST + 10);
  EXPECT(zlr_hread(held, 0, MOST + 10 - LARGE_SIZE - 1) == 0 && stacks.large[0] == LARGE && record.hold_head == 0);
  end();
}

static void a_next_generation_finds_the_end_of_the_chain(void) {
  begin();
  peer_sends(LARGE_SIZE + 100);
  EXPECT(zlr_hread(held, LARGE_SIZE, 0) == LARGE_SIZE && zlr_hread(held, 50, 0) == 50);
  flow = (struct zlr_flow){.fd = connection.service, .read = LARGE_SIZE + 50};
  zlr_hold_resume(held);
  EXPECT(zlr_hread(held, 50, 0) == 50);
  expect_held(0, LARGE_SIZE + 100);
  end();
}

static void input_leaves_the_reserve_and_the_promised_for_others(void) {
  for (uint32_t promised = 0; promised < 2; promised++) {
    begin();
    pool.promised = promised;
    peer_sends(10);
    stacks.small[0] = 0;
    stacks.large[0] = (int32_t)(RESERVE + promised);
    EXPECT(zlr_hold_room(held, 1) == -ENOBUFS && record.hold_head == 0);
    errno = 0;
    EXPECT(zlr_hread(held, 10, 0) == -1 && errno == ENOBUFS && stacks.large[0] == (int32_t)(RESERVE + promised));
    stacks.large[0]++;
    EXPECT(zlr_hread(held, 10, 0) == 10 && stacks.large[0] == (int32_t)(RESERVE + promised));
    expect_held(0, 10);
    end();
  }
}

/* Of a connection that was reset behind its FIN the books count one byte too many: it must be none of another stream's. */
static void the_byte_behind_what_was_read_is_nobodys(void) {
  begin();
  memset(memory.memory, 'x', LARGE * LARGE_SIZE + SMALL * SMALL_SIZE);
  peer_sends(10);
  EXPECT(zlr_hread(held, 10, 0) == 10);
  EXPECT(zlr_memory_of(&pool, record.hold_head - 1)[10] == 0);
  end();
}

static int make_file(size_t length) {
  const int file = (int)MUST(memfd_create("answer", 0));
  MUST(ftruncate(file, (off_t)length));
  return file;
}

/* Output as TypeScript records it: an extent behind the others. */
static void put_out(size_t length, int file, uint64_t file_length) {
  const uint32_t extent = (uint32_t)pool.small[pool.small[0]--];
  pool.extents[extent] = (struct zlr_extent){.base = record.out_end, .length = (uint32_t)length, .file_fd = file, .file_length = file_length, .owner = 1};
  fill(zlr_memory_of(&pool, extent), 0, record.out_end, length);
  uint32_t *link = &record.out_head;
  while (*link != 0) link = &pool.extents[*link - 1].next;
  *link = extent + 1;
  record.out_end += length + file_length;
  flow.waiting += SMALL_SIZE;
}

static void expect_nothing_waits(void) {
  EXPECT(record.out_head == 0 && flow.waiting == 0 && stacks.small[0] == SMALL && stacks.large[0] == LARGE);
}

static void a_file_shorter_than_recorded_is_an_error(void) {
  begin();
  put_out(0, make_file(1000), 1001);
  EXPECT(zlr_outflow(&pool, &record, &flow) == -ENODATA);
  EXPECT(flow.written == 1000 && read_books(connection.service).written == 1000);
  zlr_outflow_drop(&pool, &record, &flow);
  expect_nothing_waits();
  end();
}

static void one_turn_of_a_file_ends_before_all_of_it(void) {
  begin();
  const int room = 8 << 20;
  MUST(setsockopt(connection.service, SOL_SOCKET, SO_SNDBUF, &room, sizeof room));
  static char bytes[1 << 16];
  const int file = make_file(3 << 20);
  put_out(0, file, 3 << 20);
  const int first = zlr_outflow(&pool, &record, &flow);
  EXPECT(first == 0 && flow.written > 0 && flow.written <= 1 << 20);
  int result = 0;
  for (uint64_t received = 0; received < 3 << 20;) {
    if (result == 0) result = zlr_outflow(&pool, &record, &flow);
    EXPECT(result >= 0);
    received += (uint64_t)MUST(recv(connection.peer, bytes, sizeof bytes, 0));
  }
  EXPECT(result == 1 && flow.written == 3 << 20);
  EXPECT(fcntl(file, F_GETFD) < 0 && errno == EBADF); /* closed with its extent */
  expect_nothing_waits();
  end();
}

/* Output that is sent whole is not sent again, however often it is asked for; extents in a row are one stream. */
static void what_is_sent_is_not_sent_again(void) {
  begin();
  for (int i = 0; i < 3; i++) put_out(100, -1, 0);
  EXPECT(zlr_outflow(&pool, &record, &flow) == 1);
  EXPECT(zlr_outflow(&pool, &record, &flow) == 1);
  EXPECT(read_books(connection.service).written == 300);
  expect_nothing_waits();
  unsigned char bytes[300];
  EXPECT(recv(connection.peer, bytes, sizeof bytes, MSG_WAITALL) == 300 && differs_at(bytes, 0, 0, 300) == 300);
  end();
}

/* What a transaction that did not end has linked behind the last extent is not part of the output. */
static void what_lies_beyond_the_end_is_not_sent(void) {
  begin();
  put_out(100, -1, 0);
  const struct zlr_channel before = record;
  put_out(100, -1, 0);
  const uint32_t undone = pool.extents[before.out_head - 1].next;
  record = before;
  EXPECT(undone != 0 && zlr_outflow(&pool, &record, &flow) == 1);
  EXPECT(flow.written == 100 && record.out_head == 0 && stacks.small[0] == SMALL - 1);
  end();
}

static void a_connection_that_was_reset_is_an_error(void) {
  begin();
  const struct linger now = {.l_onoff = 1};
  MUST(setsockopt(connection.peer, SOL_SOCKET, SO_LINGER, &now, sizeof now));
  close(connection.peer);
  struct pollfd reset = {connection.service, POLLIN, 0};
  MUST(poll(&reset, 1, -1));
  put_out(10, -1, 0);
  const int first = zlr_outflow(&pool, &record, &flow);
  EXPECT(first == -ECONNRESET && zlr_outflow(&pool, &record, &flow) == -EPIPE); /* and no SIGPIPE */
  zlr_outflow_drop(&pool, &record, &flow);
  expect_nothing_waits();
  close(connection.service);
}

static void all_corners(void) {
  hread_deletes_then_reads();
  hread_refuses_to_delete_more_than_is_held();
  hread_that_only_deletes_gives_the_extent_back();
  hread_with_nothing_to_read_says_so();
  what_outgrows_a_small_extent_moves_to_a_large_one();
  a_full_extent_makes_room_from_its_half_on();
  a_chain_is_bounded_and_given_back_from_its_head();
  a_next_generation_finds_the_end_of_the_chain();
  input_leaves_the_reserve_and_the_promised_for_others();
  the_byte_behind_what_was_read_is_nobodys();
  a_file_shorter_than_recorded_is_an_error();
  one_turn_of_a_file_ends_before_all_of_it();
  what_is_sent_is_not_sent_again();
  what_lies_beyond_the_end_is_not_sent();
  a_connection_that_was_reset_is_an_error();
}

int main(void) { return run_reported(all_corners); }
