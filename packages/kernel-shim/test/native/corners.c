/* The corners of holding and sending, one by one and without chance: hold.c and outflow.c on a real connection. */
#include "harness.h"

enum { SLOT_SIZE = 64, SLOTS = 4, RESERVE = 2 };

static unsigned char *pool_memory;
static int32_t stack[SLOTS + 1];
static struct zlr_pool pool;
static struct connection connection;
static struct zlr_channel record;
static struct zlr_flow flow;
static uint64_t sent;

static void begin(void) {
  if (!pool_memory) pool_memory = shared(SLOTS * SLOT_SIZE);
  for (int i = 0; i < SLOTS; i++) stack[i + 1] = SLOTS - 1 - i;
  stack[0] = SLOTS;
  pool = (struct zlr_pool){pool_memory, SLOT_SIZE, SLOTS, RESERVE, stack};
  connection = make_connection(0);
  record = (struct zlr_channel){.file_fd = -1};
  flow = (struct zlr_flow){.fd = connection.service};
  sent = 0;
}

static void end(void) {
  close(connection.service);
  close(connection.peer);
}

static void peer_sends(size_t length) {
  unsigned char bytes[4096];
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
  const unsigned char *at = zlr_slot(&pool, record.hold_slot) + (from - record.hold_base);
  EXPECT(differs_at(at, 0, from, to - from) == to - from);
}

/* `consumed` and the read position both move by one call; what is deleted makes room for what is read. */
static void hread_deletes_then_reads(void) {
  begin();
  peer_sends(100);
  EXPECT(zlr_hread(&pool, &record, &flow, 10, 0) == 10);
  expect_held(0, 10);
  EXPECT(zlr_hread(&pool, &record, &flow, 5, 4) == 5);
  expect_held(4, 15);
  EXPECT(zlr_hread(&pool, &record, &flow, 1000, 11) == SLOT_SIZE); /* all deleted: the whole slot is free again */
  expect_held(15, 15 + SLOT_SIZE);
  end();
}

static void hread_refuses_to_delete_more_than_is_held(void) {
  begin();
  peer_sends(20);
  EXPECT(zlr_hread(&pool, &record, &flow, 10, 0) == 10);
  errno = 0;
  EXPECT(zlr_hread(&pool, &record, &flow, 10, 11) == -1 && errno == EINVAL);
  expect_held(0, 10);
  end();
}

static void hread_that_only_deletes_gives_the_slot_back(void) {
  begin();
  peer_sends(10);
  EXPECT(zlr_hread(&pool, &record, &flow, 10, 0) == 10);
  EXPECT(stack[0] == SLOTS - 1);
  EXPECT(zlr_hread(&pool, &record, &flow, 0, 4) == 0);
  EXPECT(record.hold_slot != 0 && stack[0] == SLOTS - 1);
  EXPECT(zlr_hread(&pool, &record, &flow, 0, 6) == 0);
  EXPECT(record.hold_slot == 0 && stack[0] == SLOTS);
  end();
}

static void hread_with_nothing_to_read_says_so(void) {
  begin();
  errno = 0;
  EXPECT(zlr_hread(&pool, &record, &flow, 10, 0) == -1 && errno == EAGAIN);
  MUST(shutdown(connection.peer, SHUT_WR));
  EXPECT(zlr_hread(&pool, &record, &flow, 10, 0) == 0);
  end();
}

/* At half the slot the rest moves to its start; one byte before, it would overwrite its own source, so it stays. */
static void a_full_slot_makes_room_from_its_half_on(void) {
  begin();
  peer_sends(3 * SLOT_SIZE);
  EXPECT(zlr_hread(&pool, &record, &flow, SLOT_SIZE, 0) == SLOT_SIZE);
  errno = 0;
  EXPECT(zlr_hread(&pool, &record, &flow, 10, SLOT_SIZE / 2 - 1) == -1 && errno == ENOBUFS);
  expect_held(SLOT_SIZE / 2 - 1, SLOT_SIZE);
  EXPECT(zlr_hread(&pool, &record, &flow, SLOT_SIZE, 1) == SLOT_SIZE / 2);
  EXPECT(record.hold_base == SLOT_SIZE / 2);
  expect_held(SLOT_SIZE / 2, SLOT_SIZE + SLOT_SIZE / 2);
  end();
}

static void input_leaves_the_reserve_for_answers(void) {
  begin();
  peer_sends(10);
  stack[0] = RESERVE;
  EXPECT(zlr_hold_room(&pool, &record, &flow) == 0 && record.hold_slot == 0);
  errno = 0;
  EXPECT(zlr_hread(&pool, &record, &flow, 10, 0) == -1 && errno == ENOBUFS && stack[0] == RESERVE);
  stack[0] = RESERVE + 1;
  EXPECT(zlr_hread(&pool, &record, &flow, 10, 0) == 10 && stack[0] == RESERVE);
  expect_held(0, 10);
  end();
}

static int make_file(size_t length) {
  const int file = (int)MUST(memfd_create("answer", 0));
  MUST(ftruncate(file, (off_t)length));
  return file;
}

static void a_file_shorter_than_recorded_is_an_error(void) {
  begin();
  record.file_fd = make_file(1000);
  record.file_length = 1001;
  EXPECT(zlr_outflow(&pool, &record, &flow) == -ENODATA);
  EXPECT(flow.written == 1000 && read_books(connection.service).written == 1000);
  close(record.file_fd);
  end();
}

static void one_turn_of_a_file_ends_before_all_of_it(void) {
  begin();
  const int room = 8 << 20;
  MUST(setsockopt(connection.service, SOL_SOCKET, SO_SNDBUF, &room, sizeof room));
  static char bytes[1 << 16];
  record.file_fd = make_file(3 << 20);
  record.file_length = 3 << 20;
  const int first = zlr_outflow(&pool, &record, &flow);
  EXPECT(first == 0 && flow.written > 0 && flow.written <= 1 << 20);
  int result = 0;
  for (uint64_t received = 0; received < 3 << 20;) {
    if (result == 0) result = zlr_outflow(&pool, &record, &flow);
    EXPECT(result >= 0);
    received += (uint64_t)MUST(recv(connection.peer, bytes, sizeof bytes, 0));
  }
  EXPECT(result == 1 && flow.written == 3 << 20);
  close(record.file_fd);
  end();
}

/* A record whose answer is sent whole sends nothing more, however often it is asked. */
static void a_sent_answer_is_not_sent_again(void) {
  begin();
  record.out_slot = 1;
  record.out_length = 10;
  EXPECT(zlr_outflow(&pool, &record, &flow) == 1);
  EXPECT(zlr_outflow(&pool, &record, &flow) == 1);
  EXPECT(read_books(connection.service).written == 10);
  end();
}

static void a_connection_that_was_reset_is_an_error(void) {
  begin();
  const struct linger now = {.l_onoff = 1};
  MUST(setsockopt(connection.peer, SOL_SOCKET, SO_LINGER, &now, sizeof now));
  close(connection.peer);
  struct pollfd reset = {connection.service, POLLIN, 0};
  MUST(poll(&reset, 1, -1));
  record.out_slot = 1;
  record.out_length = 10;
  const int first = zlr_outflow(&pool, &record, &flow);
  EXPECT(first == -ECONNRESET && zlr_outflow(&pool, &record, &flow) == -EPIPE); /* and no SIGPIPE */
  close(connection.service);
}

static void all_corners(void) {
  hread_deletes_then_reads();
  hread_refuses_to_delete_more_than_is_held();
  hread_that_only_deletes_gives_the_slot_back();
  hread_with_nothing_to_read_says_so();
  a_full_slot_makes_room_from_its_half_on();
  input_leaves_the_reserve_for_answers();
  a_file_shorter_than_recorded_is_an_error();
  one_turn_of_a_file_ends_before_all_of_it();
  a_sent_answer_is_not_sent_again();
  a_connection_that_was_reset_is_an_error();
}

int main(void) { return run_reported(all_corners); }
