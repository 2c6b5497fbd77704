// SPDX-License-Identifier: GPL-2.0-only
/*
 * The data-holding read (thesis, section 3.2.2): each step of its flowchart (figure 3.7), the kinds of files, and
 * what a naive model says about long random sequences of calls.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int ends[2]; /* reading, writing */
static char got[1 << 20];

static void open_pipe(void)
{
	CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
}

static void put(const char *text)
{
	CHECK(write(ends[1], text, strlen(text)) == (ssize_t)strlen(text));
}

static void expect(ssize_t result, const char *text)
{
	CHECK(result == (ssize_t)strlen(text) && !memcmp(got, text, result));
}

static void expect_books(uint64_t destroy_pt, uint64_t read_pt, uint64_t write_pt)
{
	struct zlr_books now = books(ends[0]);

	if (now.destroy_pt != destroy_pt || now.read_pt != read_pt || now.write_pt != write_pt)
		printf("# books: destroy %llu, read %llu, write %llu\n", (unsigned long long)now.destroy_pt,
		       (unsigned long long)now.read_pt, (unsigned long long)now.write_pt);
	CHECK(now.destroy_pt == destroy_pt && now.read_pt == read_pt && now.write_pt == write_pt);
}

static void step_1(void)
{
	open_pipe();
	put("abcdef");
	/* dlen + destroy_pt > rlen + read_pt */
	CHECK(hread(ends[0], got, 3, 4) < 0 && errno == EINVAL);
	CHECK(hread(ends[0], got, 0, 1) < 0 && errno == EINVAL);
	CHECK(hread(ends[0], got, 0, ~(size_t)0) < 0 && errno == EINVAL);
	expect(hread(ends[0], got, 3, 0), "abc");
	CHECK(hread(ends[0], got, 1, 5) < 0 && errno == EINVAL);
	expect_books(0, 3, 3);
}

static void step_2(void)
{
	open_pipe();
	put("abcdef");
	expect(hread(ends[0], got, 6, 0), "abcdef");
	CHECK(hread(ends[0], NULL, 0, 4) == 0);
	expect_books(4, 6, 6);
	CHECK(hread(ends[0], NULL, 0, 0) == 0);
	CHECK(hread(ends[0], NULL, 0, 2) == 0);
	expect_books(6, 6, 6);
}

/* Leaves bytes that are held and unread, as a restart does: by step 5a. */
static void hold_unread(const char *text)
{
	put(text);
	CHECK(hread(ends[0], got, strlen(text) + 1, strlen(text) + 1) < 0 && errno == ENODATA);
}

static void step_3a(void)
{
	open_pipe();
	hold_unread("abcdef");
	put("ghi");
	expect(hread(ends[0], got, 4, 0), "abcd");
	expect_books(0, 4, 6);
	expect(hread(ends[0], got, 2, 5), "ef");
	/* Nothing was taken from the file for it. */
	expect_books(5, 6, 6);
}

static void step_3b_and_4(void)
{
	open_pipe();
	hold_unread("abc");
	put("defghi");
	/* What is held first, the rest from the file. */
	expect(hread(ends[0], got, 7, 0), "abcdefg");
	expect_books(0, 7, 7);
	/* Less than was asked for, if there is no more. */
	expect(hread(ends[0], got, 100, 0), "hi");
	expect_books(0, 9, 9);
	CHECK(hread(ends[0], got, 100, 0) < 0 && errno == EAGAIN);
	expect_books(0, 9, 9);
}

static void step_5a(void)
{
	open_pipe();
	put("abc");
	memset(got, '?', 16);
	/* All or none: the deletion asks for more than could be read. */
	CHECK(hread(ends[0], got, 10, 5) < 0 && errno == ENODATA);
	CHECK(got[0] == '?');
	/* The thesis: "in this case, the read_pt and write_pt will become different". */
	expect_books(0, 0, 3);
	expect(hread(ends[0], got, 3, 0), "abc");
}

static void step_5b_and_6(void)
{
	open_pipe();
	put("abcdef");
	expect(hread(ends[0], got, 6, 2), "abcdef");
	expect_books(2, 6, 6);
	put("gh");
	/* Deletes what it reads in the same call, too. */
	expect(hread(ends[0], got, 2, 6), "gh");
	expect_books(8, 8, 8);
}

static void the_figure_4_1(void)
{
	/* Ten bytes a call until the request is there; deleted when it is processed. */
	char request[64];
	ssize_t count = 0, size;

	open_pipe();
	put("GET / HTTP/1.0\r\nHost: here\r\n\r\n");
	while (!memmem(request, count, "\r\n\r\n", 4)) {
		size = hread(ends[0], request + count, 10, 0);
		CHECK(size > 0);
		count += size;
	}
	CHECK(hread(ends[0], NULL, 0, count) == 0);
	expect_books(count, count, count);
}

static void the_end_of_a_stream(void)
{
	open_pipe();
	put("abc");
	close(ends[1]);
	expect(hread(ends[0], got, 10, 0), "abc");
	CHECK(hread(ends[0], got, 10, 0) == 0);
	/* At the end, too, it deletes; and no more than is there. */
	CHECK(hread(ends[0], got, 10, 4) < 0 && errno == ENODATA);
	CHECK(hread(ends[0], got, 10, 3) == 0);
	expect_books(3, 3, 3);
}

static void a_bad_buffer_loses_nothing(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(munmap(page + 4096, 4096) == 0);
	open_pipe();
	put("abcdef");
	CHECK(hread(ends[0], (char *)8, 3, 0) < 0 && errno == EFAULT);
	CHECK(hread(ends[0], page + 4094, 6, 0) < 0 && errno == EFAULT);
	CHECK(hread(ends[0], (char *)-4096L, 3, 3) < 0 && errno == EFAULT);
	/* The first call took three bytes from the file and the second six; they are held. */
	expect(hread(ends[0], got, 6, 0), "abcdef");
	expect_books(0, 6, 6);
}

static void files_that_hold_no_stream(void)
{
	int file = open("/tmp/some-file", O_RDWR | O_CREAT | O_CLOEXEC, 0600), directory = open("/", O_RDONLY | O_CLOEXEC);
	int datagram = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	open_pipe();
	CHECK(hread(-1, got, 1, 0) < 0 && errno == EBADF);
	CHECK(hread(9999, got, 1, 0) < 0 && errno == EBADF);
	CHECK(hread(ends[1], got, 1, 0) < 0 && errno == EINVAL);
	CHECK(hread(file, got, 1, 0) < 0 && errno == EINVAL);
	CHECK(hread(directory, got, 1, 0) < 0 && errno == EINVAL);
	CHECK(hread(datagram, got, 1, 0) < 0 && errno == EINVAL);
	CHECK(hread(zlr_device, got, 1, 0) < 0 && errno == EINVAL);
	CHECK(totals().holds == 0);
}

/* One suite for every kind: a writer's end and a reader's. */
static void open_tcp(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), size = 1 << 20, on = 1;

	CHECK(setsockopt(listening, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0);
	CHECK(bind(listening, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(listening, 1) == 0);
	CHECK(getsockname(listening, (struct sockaddr *)&address, &length) == 0);
	ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(connect(ends[1], (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(setsockopt(ends[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
	ends[0] = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	CHECK(ends[0] >= 0);
	close(listening);
}

static void open_unix(void)
{
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
}

static void open_fifo(void)
{
	unlink("/tmp/fifo");
	CHECK(mkfifo("/tmp/fifo", 0600) == 0);
	ends[0] = open("/tmp/fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ends[1] = open("/tmp/fifo", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	CHECK(ends[0] >= 0 && ends[1] >= 0);
}

static void open_terminal(void)
{
	char name[64];

	ends[1] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(ends[1] >= 0 && grantpt(ends[1]) == 0 && unlockpt(ends[1]) == 0 && ptsname_r(ends[1], name, sizeof(name)) == 0);
	ends[0] = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	CHECK(ends[0] >= 0);
}

static const struct {
	const char *name;
	void (*open)(void);
} kinds[] = {
	{ "tcp", open_tcp }, { "unix", open_unix }, { "pipe", open_pipe }, { "fifo", open_fifo }, { "tty", open_terminal },
};

/* Reads until so many bytes came: they may be under way. */
static void read_all(size_t length)
{
	size_t have = 0;

	while (have < length) {
		ssize_t part = hread(ends[0], got + have, length - have, 0);

		CHECK(part > 0 || errno == EAGAIN);
		have += part > 0 ? part : 0;
	}
}

static bool no_holds(void *unused)
{
	(void)unused;
	return totals().holds == 0;
}

static void every_kind(void)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		int copy;

		printf("# %s\n", kinds[i].name);
		kinds[i].open();
		CHECK(hread(ends[0], got, 10, 0) < 0 && errno == EAGAIN);
		put("one line\n");
		read_all(9);
		CHECK(!memcmp(got, "one line\n", 9));
		expect_books(0, 9, 9);
		CHECK(hread(ends[0], NULL, 0, 4) == 0);
		put("two\n");
		read_all(4);
		CHECK(!memcmp(got, "two\n", 4));
		expect_books(4, 13, 13);
		CHECK(totals().holds == 1 && totals().hold_bytes == 4096);
		/* It goes with the open file, not with one of its descriptors. */
		copy = dup(ends[0]);
		close(ends[0]);
		CHECK(totals().holds == 1);
		ends[0] = copy;
		expect_books(4, 13, 13);
		close(ends[0]);
		close(ends[1]);
		await(no_holds, NULL, "the hold goes with its file");
	}
}

static void a_close_is_seen_by_the_peer(void)
{
	/* The hold keeps no reference of its own: it would hide the end from the peer. */
	char byte;

	open_tcp();
	put("abc");
	read_all(3);
	close(ends[0]);
	CHECK(read(ends[1], &byte, 1) == 0);
}

static void addresses_are_used_again(void)
{
	/* A new open file at the address of an old one must not find the old one's bytes. */
	for (int i = 0; i < 2000; i++) {
		if (i % 2)
			open_unix();
		else
			open_pipe();
		expect_books(0, 0, 0);
		put("x");
		expect(hread(ends[0], got, 10, 0), "x");
		expect_books(0, 1, 1);
		close(ends[0]);
		close(ends[1]);
	}
	await(no_holds, NULL, "nothing is held");
}

static void rewound_on_restart(void)
{
	struct agent agent;
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	agent = agent_start(true);
	/* Its own wire is another stream; give it this one. */
	tell(&agent, "take 60");
	CHECK(send_fd(agent.wire, pair[0]) == 1 && same(answer(&agent), "60"));
	close(pair[0]);
	CHECK(write(pair[1], "abcdefghij", 10) == 10);
	CHECK(same(ask(&agent, "hread 60 6 0"), "6 abcdef"));
	CHECK(same(ask(&agent, "hread 60 0 2"), "0 "));
	next_generation(&agent, SIGSEGV, 2);
	/* Read, but not deleted: the next life reads it again. */
	CHECK(same(ask(&agent, "hread 60 4 0"), "4 cdef"));
	next_generation(&agent, SIGKILL, 3);
	CHECK(same(ask(&agent, "hread 60 8 8"), "8 cdefghij"));
	next_generation(&agent, SIGKILL, 4);
	CHECK(write(pair[1], "k", 1) == 1);
	CHECK(same(ask(&agent, "hread 60 8 0"), "1 k"));
	agent_end(&agent);
	close(pair[1]);
}

static void *deleter(void *unused)
{
	/* The reader waits for input; that must not keep anybody from deleting. */
	while (books(ends[0]).read_pt < 3)
		sched_yield();
	CHECK(hread(ends[0], NULL, 0, 3) == 0);
	put("def");
	return unused;
}

static void waiting_keeps_nobody(void)
{
	pthread_t thread;

	open_pipe();
	CHECK(fcntl(ends[0], F_SETFL, 0) == 0);
	put("abc");
	CHECK(pthread_create(&thread, NULL, deleter, NULL) == 0);
	expect(hread(ends[0], got, 3, 0), "abc");
	expect(hread(ends[0], got, 3, 0), "def");
	pthread_join(thread, NULL);
	expect_books(3, 6, 6);
}

static void on_signal(int number)
{
	(void)number;
}

static void a_signal_interrupts_it(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	int status;
	pid_t pid;

	open_pipe();
	CHECK(fcntl(ends[0], F_SETFL, 0) == 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
		put("!");
		CHECK(hread(ends[0], got, 1, 1) == 1);
		_exit(hread(ends[0], got, 10, 0) < 0 && errno == EINTR ? 0 : 1);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		/* It may not sleep yet: one signal after another until it is gone. */
		if (books(ends[0]).destroy_pt == 1)
			kill(pid, SIGUSR1);
		usleep(1000);
	}
	CHECK(status == 0);
}

#define READERS 6
#define CONCURRENT_BYTES (512 * 1024)
static uint64_t sums[READERS];
static uint64_t total_read;

static void *reader(void *argument)
{
	uint64_t *sum = argument;
	unsigned char data[700];
	unsigned int seed = (uintptr_t)argument;

	for (;;) {
		size_t length = 1 + rand_r(&seed) % sizeof(data);
		/* What one reads another may delete: the sum of lengths stays the same. */
		ssize_t part = hread(ends[0], data, length, 0);

		CHECK(part >= 0);
		if (!part)
			return NULL;
		for (ssize_t i = 0; i < part; i++)
			*sum += data[i];
		__atomic_add_fetch(&total_read, part, __ATOMIC_RELAXED);
		while (hread(ends[0], NULL, 0, part) < 0)
			CHECK(errno == EINVAL);
	}
}

static void concurrent_callers(void)
{
	pthread_t threads[READERS];
	uint64_t sum = 0, expected = 0;
	unsigned char block[1024];

	open_pipe();
	CHECK(fcntl(ends[0], F_SETFL, 0) == 0 && fcntl(ends[1], F_SETFL, 0) == 0);
	for (int i = 0; i < READERS; i++)
		CHECK(pthread_create(&threads[i], NULL, reader, &sums[i]) == 0);
	for (size_t at = 0; at < CONCURRENT_BYTES; at += sizeof(block)) {
		for (size_t i = 0; i < sizeof(block); i++) {
			block[i] = (at + i) * 31 >> 3;
			expected += block[i];
		}
		CHECK(write(ends[1], block, sizeof(block)) == sizeof(block));
	}
	close(ends[1]);
	for (int i = 0; i < READERS; i++) {
		pthread_join(threads[i], NULL);
		sum += sums[i];
	}
	/* Every byte went to exactly one of them. */
	CHECK(total_read == CONCURRENT_BYTES && sum == expected);
	expect_books(CONCURRENT_BYTES, CONCURRENT_BYTES, CONCURRENT_BYTES);
}

/* Until all that was written has arrived; how much was taken already is known. */
static void await_arrival(uint64_t unread)
{
	int have = 0;

	while ((uint64_t)have < unread)
		CHECK(ioctl(ends[0], FIONREAD, &have) == 0);
}

/* `largest`: how much is written at once. */
static void as_a_model_says(void (*open)(void), size_t largest)
{
	static unsigned char stream[1 << 21];
	unsigned int seed = time(NULL) ^ getpid();
	uint64_t written = 0, destroy_pt = 0, read_pt = 0, write_pt = 0;

	printf("# seed %u\n", seed);
	for (size_t i = 0; i < sizeof(stream); i++)
		stream[i] = rand_r(&seed) >> 7;
	open();
	for (int round = 0; round < 4000; round++) {
		size_t put_length = rand_r(&seed) % 3 ? 0 : rand_r(&seed) % largest;
		size_t rlen = rand_r(&seed) % 4 ? rand_r(&seed) % 6000 : 0;
		uint64_t held, dlen, length;
		ssize_t result;

		/* No more than is sure to arrive before it is read, and to be allowed to be held. */
		if (put_length && written + put_length <= sizeof(stream) && written + put_length - write_pt < 100000 &&
		    written + put_length - destroy_pt < 200000) {
			CHECK(write(ends[1], stream + written, put_length) == (ssize_t)put_length);
			written += put_length;
			await_arrival(written - write_pt);
		}
		held = read_pt - destroy_pt;
		dlen = rand_r(&seed) % 8 ? (held + rlen ? rand_r(&seed) % (held + rlen + 1) : 0) : (uint64_t)rand_r(&seed) % 20000;
		result = hread(ends[0], got, rlen, dlen);

		/* The model: the whole stream in one array. */
		if (dlen > held + rlen) {
			CHECK(result < 0 && errno == EINVAL);
			continue;
		}
		length = rlen < written - read_pt ? rlen : written - read_pt;
		if (rlen && !length) {
			CHECK(result < 0 && errno == EAGAIN);
			continue;
		}
		if (read_pt + length > write_pt)
			write_pt = read_pt + length;
		if (dlen > held + length) {
			CHECK(result < 0 && errno == ENODATA);
		} else {
			CHECK(result == (ssize_t)length && !memcmp(got, stream + read_pt, length));
			read_pt += length;
			destroy_pt += dlen;
		}
		expect_books(destroy_pt, read_pt, write_pt);
	}
	CHECK(written > 500000);
}

static void a_unix_socket_as_a_model_says(void)
{
	as_a_model_says(open_unix, 9000);
}

static void tcp_as_a_model_says(void)
{
	as_a_model_says(open_tcp, 9000);
	close(ends[0]);
	close(ends[1]);
	/* And where nearly all is held without a copy. */
	as_a_model_says(open_tcp, 60000);
}

static void put_many(size_t length, char first)
{
	static char many[1 << 16];

	for (size_t i = 0; i < length; i++)
		many[i] = first + i % 23;
	CHECK(write(ends[1], many, length) == (ssize_t)length);
}

static void expect_many(ssize_t result, size_t length, size_t from, char first)
{
	CHECK(result == (ssize_t)length);
	for (size_t i = 0; i < length; i++)
		CHECK(got[i] == (char)(first + (from + i) % 23));
}

static void tcp_of_another_reader(void)
{
	char byte;

	open_tcp();
	put_many(60000, 'A');
	await_arrival(60000);
	expect_many(hread(ends[0], got, 100, 0), 100, 0, 'A');
	expect_many(hread(ends[0], got, 100, 0), 100, 100, 'A');
	/* A plain read takes from the same stream; the hold goes on behind it. */
	CHECK(read(ends[0], &byte, 1) == 1 && byte == 'A' + 200 % 23);
	expect_many(hread(ends[0], got, 50000, 0), 50000, 201, 'A');
	expect_books(0, 50200, 50200);
	expect_many(hread(ends[0], got, 50000, 50200), 60000 - 50201, 50201, 'A');
}

static void tcp_to_its_end(void)
{
	open_tcp();
	put_many(50000, 'a');
	CHECK(shutdown(ends[1], SHUT_WR) == 0);
	await_arrival(50000);
	expect_many(hread(ends[0], got, 10, 0), 10, 0, 'a');
	expect_many(hread(ends[0], got, 100000, 0), 49990, 10, 'a');
	CHECK(hread(ends[0], got, 10, 0) == 0);
	CHECK(hread(ends[0], got, 10, 50000) == 0);
	expect_books(50000, 50000, 50000);
	CHECK(totals().hold_bytes <= 4096);
}

static void tcp_with_urgent_data(void)
{
	int on = 1;

	open_tcp();
	CHECK(setsockopt(ends[0], SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) == 0);
	put("abc");
	read_all(3);
	put("def");
	CHECK(send(ends[1], "!", 1, MSG_OOB) == 1);
	put("ghi");
	read_all(7);
	CHECK(!memcmp(got, "def!ghi", 7));
	expect_books(0, 10, 10);
}

static void what_its_sender_changes_later(void)
{
	int file = open("/tmp/sent", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	off_t at = 0;

	/* Between two sockets of one machine, sendfile() hands over the very pages of the file. */
	open_tcp();
	memset(got, 'x', 40000);
	CHECK(write(file, got, 40000) == 40000);
	put("!");
	read_all(1);
	CHECK(sendfile(ends[1], file, &at, 40000) == 40000);
	await_arrival(40000);
	/* Held, and not given (step 5a). */
	CHECK(hread(ends[0], got, 40001, 40002) < 0 && errno == ENODATA);
	memset(got, 'y', 40000);
	CHECK(pwrite(file, got, 40000, 0) == 40000);
	CHECK(hread(ends[0], got, 40000, 0) == 40000);
	for (int i = 0; i < 40000; i++)
		CHECK(got[i] == 'x');
	close(file);
}

static void tcp_is_rewound_on_restart(void)
{
	struct agent agent = agent_start(true);
	size_t deleted = 0;

	open_tcp();
	tell(&agent, "take 60");
	CHECK(send_fd(agent.wire, ends[0]) == 1 && same(answer(&agent), "60"));
	put_many(60000, 'A');
	await_arrival(60000);
	close(ends[0]);
	for (unsigned int life = 1; life <= 3; life++) {
		for (size_t at = deleted; at + 4000 <= 60000; at += 4000) {
			const char *line = ask(&agent, "hread 60 4000 0");

			CHECK(!strncmp(line, "4000 ", 5));
			memcpy(got, line + 5, 4000);
			expect_many(4000, 4000, at, 'A');
		}
		deleted += 11000;
		CHECK(same(ask(&agent, "hread 60 0 11000"), "0 "));
		next_generation(&agent, SIGKILL, life + 1);
	}
	agent_end(&agent);
}

const struct test hread_tests[] = {
	{ "step 1: deleting more than is read is an error", step_1 },
	{ "step 2: reading nothing only deletes", step_2 },
	{ "step 3a: what is held is given without asking the file", step_3a },
	{ "steps 3b and 4: else the rest comes from the file", step_3b_and_4 },
	{ "step 5a: all or none", step_5a },
	{ "steps 5b and 6: reads and deletes at once", step_5b_and_6 },
	{ "the thesis' example, figure 4.1", the_figure_4_1 },
	{ "rewound on restart", rewound_on_restart },
	{ "the end of a stream", the_end_of_a_stream },
	{ "a bad buffer loses nothing", a_bad_buffer_loses_nothing },
	{ "what holds no stream is refused", files_that_hold_no_stream },
	{ "TCP, unix sockets, pipes, FIFOs, terminals; freed with the file", every_kind },
	{ "a close is seen by the peer", a_close_is_seen_by_the_peer },
	{ "addresses that are used again", addresses_are_used_again },
	{ "who waits for input keeps nobody from deleting", waiting_keeps_nobody },
	{ "a signal interrupts it", a_signal_interrupts_it },
	{ "six readers at once: every byte to one of them", concurrent_callers },
	{ "4,000 random calls, as a naive model says", a_unix_socket_as_a_model_says },
	{ "TCP: as the model says, with copies and without", tcp_as_a_model_says },
	{ "TCP: another reader between", tcp_of_another_reader },
	{ "TCP: the end of a stream", tcp_to_its_end },
	{ "TCP: urgent data stands where it was sent", tcp_with_urgent_data },
	{ "TCP: what its sender changes later is held as it was read", what_its_sender_changes_later },
	{ "TCP: rewound on restart", tcp_is_rewound_on_restart },
	{ 0 },
};
