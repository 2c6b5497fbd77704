// SPDX-License-Identifier: GPL-2.0-only
/* I/O channel keeping (thesis, section 3.2.1). */
#define _GNU_SOURCE
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int listener(bool marked, struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	socklen_t length = sizeof(*address);

	*address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	CHECK(bind(fd, (struct sockaddr *)address, sizeof(*address)) == 0 && listen(fd, 128) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)address, &length) == 0);
	if (marked)
		CHECK(setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) == 0);
	return fd;
}

static int connect_to(struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(connect(fd, (struct sockaddr *)address, sizeof(*address)) == 0);
	return fd;
}

/* Lays descriptors under the numbers that the agent shall have them at. */
struct laid {
	int from, to;
};

static void lay(void *context)
{
	for (const struct laid *each = context; each->to; each++)
		CHECK(dup2(each->from, each->to) == each->to);
}

static void numbers_stay(void)
{
	int ends[2];
	struct agent agent;

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	agent = agent_start_with(lay, (struct laid[]){ { ends[0], 3 }, { ends[0], 64 }, { ends[0], 777 }, { ends[0], 1023 }, { 0, 0 } },
				 true);
	CHECK(!strcmp(ask(&agent, "descriptors"), "0 1 2 3 51 64 777 1023 ") ||
	      !strcmp(ask(&agent, "descriptors"), "0 1 2 3 5 64 777 1023 "));
	next_generation(&agent, SIGKILL, 2);
	CHECK(strstr(ask(&agent, "descriptors"), "0 1 2 3 "));
	CHECK(strstr(ask(&agent, "descriptors"), " 64 777 1023 "));
	/* 0, 1, 2, 3, 50, 64, 777, 1023 */
	CHECK(strstr(ask(&agent, "info"), "channels=8"));
	/* The smallest free number is found as ever. */
	CHECK(!strcmp(ask(&agent, "close 3"), "0"));
	agent_end(&agent);
}

static void a_stream_goes_on_where_it_was(void)
{
	struct sockaddr_in address;
	int listening = listener(true, &address), peer;
	struct agent agent = agent_start_with(lay, (struct laid[]){ { listening, 60 }, { 0, 0 } }, true);
	char sent[4096], expected[4200];
	unsigned int generation = 1;

	peer = connect_to(&address);
	CHECK(!strcmp(ask(&agent, "accept 60 70"), "70"));
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = 'a' + i % 26;
	CHECK(write(peer, sent, sizeof(sent)) == sizeof(sent));
	for (size_t at = 0; at < 1600; at += 100) {
		snprintf(expected, sizeof(expected), "100 %.100s", sent + at);
		CHECK(!strcmp(ask(&agent, "read 70 100"), expected));
		next_generation(&agent, SIGSEGV, ++generation);
		CHECK(!strncmp(ask(&agent, "register 0"), "0 ", 2));
		/* And outwards, written by many lives. */
		CHECK(!strcmp(ask(&agent, "write 70 %c", (char)('A' + generation)), "1"));
	}
	for (unsigned int i = 2; i <= generation; i++) {
		char byte;

		CHECK(read(peer, &byte, 1) == 1 && byte == (char)('A' + i));
	}
	/* A close is a close: nobody else has the connection. */
	CHECK(!strcmp(ask(&agent, "close 70"), "0"));
	/* Unread input makes it a reset; either way it is over. */
	CHECK(read(peer, sent, 1) <= 0);
	agent_end(&agent);
}

static void who_comes_while_nobody_lives_is_served(void)
{
	struct sockaddr_in address;
	int listening = listener(true, &address), peer;
	struct agent agent = agent_start_with(lay, (struct laid[]){ { listening, 60 }, { 0, 0 } }, true);
	char byte;

	close(listening);
	for (unsigned int generation = 2; generation < 8; generation++) {
		tell(&agent, "die 9");
		peer = connect_to(&address);
		CHECK(same(answer(&agent), "generation 2") || generation > 2);
		CHECK(!strncmp(ask(&agent, "register 0"), "0 ", 2));
		CHECK(!strcmp(ask(&agent, "accept 60 70"), "70"));
		CHECK(!strcmp(ask(&agent, "write 70 !"), "1"));
		CHECK(read(peer, &byte, 1) == 1);
		close(peer);
	}
	agent_end(&agent);
}

static void what_is_not_marked_is_closed(void)
{
	struct sockaddr_in marked_address, address;
	int marked = listener(true, &marked_address), unmarked = listener(false, &address), kept, lost;
	struct agent agent = agent_start_with(lay, (struct laid[]){ { marked, 60 }, { unmarked, 61 }, { 0, 0 } }, true);
	char byte;

	kept = connect_to(&marked_address);
	lost = connect_to(&address);
	/* Both are close-on-exec; the mark is inherited from the listening socket. */
	CHECK(!strcmp(ask(&agent, "accept 60 70"), "70"));
	CHECK(!strcmp(ask(&agent, "accept 61 71"), "71"));
	CHECK(!strcmp(ask(&agent, "open 72 /dev/null"), "72"));
	next_generation(&agent, SIGKILL, 2);
	CHECK(strstr(ask(&agent, "descriptors"), " 60 61 70 \0"));
	CHECK(!strstr(ask(&agent, "descriptors"), " 71") && !strstr(ask(&agent, "descriptors"), " 72"));
	CHECK(read(lost, &byte, 1) == 0);
	CHECK(!strcmp(ask(&agent, "write 70 k"), "1") && read(kept, &byte, 1) == 1 && byte == 'k');
	agent_end(&agent);
}

static void what_is_closed_is_closed_before_the_next_one_starts(void)
{
	struct agent agent = agent_start(true);

	for (unsigned int generation = 2; generation < 10; generation++) {
		CHECK(!strcmp(ask(&agent, "listen 4711"), "0"));
		next_generation(&agent, SIGSEGV, generation);
		CHECK(!strncmp(ask(&agent, "register 0"), "0 ", 2));
	}
	agent_end(&agent);
}

static void the_runtimes_own_files_are_not_kept(void)
{
	struct agent agent = agent_start(true);

	CHECK(!strcmp(ask(&agent, "epoll 80"), "80"));
	CHECK(strstr(ask(&agent, "descriptors"), " 80 "));
	next_generation(&agent, SIGKILL, 2);
	CHECK(!strstr(ask(&agent, "descriptors"), " 80 "));
	agent_end(&agent);
}

static void pipes_files_and_unix_sockets(void)
{
	int ends[2], pair[2], file = open("/tmp/lines", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct agent agent;
	char data[16];

	CHECK(pipe2(ends, O_CLOEXEC) == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	CHECK(write(file, "onetwo", 6) == 6 && lseek(file, 0, SEEK_SET) == 0);
	agent = agent_start_with(lay, (struct laid[]){ { ends[0], 60 }, { pair[0], 61 }, { file, 62 }, { 0, 0 } }, true);
	close(pair[0]);
	CHECK(write(ends[1], "onetwo", 6) == 6 && write(pair[1], "onetwo", 6) == 6);
	CHECK(!strcmp(ask(&agent, "read 60 3"), "3 one") && !strcmp(ask(&agent, "read 61 3"), "3 one"));
	CHECK(!strcmp(ask(&agent, "read 62 3"), "3 one"));
	next_generation(&agent, SIGSEGV, 2);
	CHECK(!strcmp(ask(&agent, "read 60 9"), "3 two") && !strcmp(ask(&agent, "read 61 9"), "3 two"));
	CHECK(!strcmp(ask(&agent, "read 62 9"), "3 two"));
	CHECK(!strcmp(ask(&agent, "write 61 x"), "1") && read(pair[1], data, sizeof(data)) == 1);
	agent_end(&agent);
	CHECK(read(pair[1], data, sizeof(data)) == 0);
}

static void many_channels(void)
{
	struct rlimit limit = { 4096, 4096 };
	struct agent agent;
	struct laid laid[2001];
	char data[8];
	int pair[2];

	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	for (int i = 0; i < 2000; i++)
		laid[i] = (struct laid){ pair[0], 100 + i };
	laid[2000] = (struct laid){ 0, 0 };
	agent = agent_start_with(lay, laid, true);
	close(pair[0]);
	for (unsigned int generation = 2; generation < 6; generation++) {
		next_generation(&agent, SIGKILL, generation);
		CHECK(strstr(ask(&agent, "info"), "channels=2004"));
		CHECK(!strcmp(ask(&agent, "write 2099 x"), "1") && read(pair[1], data, 8) == 1);
	}
	agent_end(&agent);
	CHECK(read(pair[1], data, 8) == 0);
}

static void more_than_it_may_open_now(void)
{
	struct rlimit limit = { 200, 200 };
	int ends[2];
	struct agent agent;

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	agent = agent_start_with(lay, (struct laid[]){ { ends[0], 1000 }, { 0, 0 } }, true);
	CHECK(prlimit(agent.pid, RLIMIT_NOFILE, &limit, NULL) == 0);
	next_generation(&agent, SIGKILL, 2);
	CHECK(strstr(ask(&agent, "descriptors"), " 1000 "));
	CHECK(!strcmp(ask(&agent, "limit %d", RLIMIT_NOFILE), "200 200"));
	agent_end(&agent);
}

static void a_table_that_another_process_shares(void)
{
	struct sockaddr_in address;
	int listening = listener(true, &address), peer;
	struct agent agent = agent_start_with(lay, (struct laid[]){ { listening, 60 }, { 0, 0 } }, true);
	char byte;
	pid_t sharer;

	peer = connect_to(&address);
	CHECK(!strcmp(ask(&agent, "accept 60 70"), "70"));
	sharer = atoi(ask(&agent, "share"));
	next_generation(&agent, SIGKILL, 2);
	CHECK(!strcmp(ask(&agent, "write 70 x"), "1") && read(peer, &byte, 1) == 1);
	/* The other one's table is as it was. */
	{
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/fd/70", sharer);
		CHECK(access(path, F_OK) == 0);
	}
	CHECK(kill(sharer, SIGKILL) == 0);
	CHECK(!strcmp(ask(&agent, "write 70 y"), "1") && read(peer, &byte, 1) == 1);
	agent_end(&agent);
	CHECK(read(peer, &byte, 1) == 0);
}

const struct test channel_tests[] = {
	{ "every channel stands under its old number", numbers_stay },
	{ "a stream goes on where it was, through many lives, and closes when it is closed", a_stream_goes_on_where_it_was },
	{ "who connects while nobody lives is served", who_comes_while_nobody_lives_is_served },
	{ "what is close-on-exec and not marked is closed", what_is_not_marked_is_closed },
	{ "and closed before the next generation starts", what_is_closed_is_closed_before_the_next_one_starts },
	{ "epoll and its like are not kept", the_runtimes_own_files_are_not_kept },
	{ "pipes, unix sockets and files with their positions", pipes_files_and_unix_sockets },
	{ "2,000 channels", many_channels },
	{ "channels beyond the limit of open files of today", more_than_it_may_open_now },
	{ "a table that another process shares stays his", a_table_that_another_process_shares },
	{ 0 },
};
