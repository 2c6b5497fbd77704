// SPDX-License-Identifier: GPL-2.0-only
/* What is held is bounded: of one file, for one user, for all. */
#define _GNU_SOURCE
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char data[1 << 16];

/* Reads and deletes nothing, until it is refused. How much was held. */
static size_t fill(int ends[2])
{
	size_t held = 0;

	for (;;) {
		ssize_t put = write(ends[1], data, 5000), part;

		CHECK(put > 0 || errno == EAGAIN);
		part = hread(ends[0], data, sizeof(data), 0);
		if (part < 0 && errno == ENOBUFS)
			return held;
		/* What goes by TCP may be under way. */
		CHECK(part > 0 || errno == EAGAIN);
		held += part > 0 ? part : 0;
	}
}

static void open_pair(int ends[2])
{
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
}

static void of_one_file(void)
{
	int ends[2];

	set_parameter("hold_file_max", "65536");
	open_pair(ends);
	CHECK(fill(ends) == 65536 && totals().hold_bytes == 65536);
	/* What was deleted makes room, in whole buffers. */
	CHECK(hread(ends[0], NULL, 0, 10000) == 0);
	CHECK(fill(ends) == 8192);
	/* Nothing was lost at the bound: what is there and unread comes when there is room. */
	CHECK(hread(ends[0], NULL, 0, 65536 - 10000 + 8192) == 0);
	CHECK(hread(ends[0], data, 100, 0) == 100);
	set_parameter("hold_file_max", "1048576");
}

static void of_tcp(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ends[2];
	size_t held;

	set_parameter("hold_file_max", "262144");
	CHECK(bind(listening, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(listening, 1) == 0);
	CHECK(getsockname(listening, (struct sockaddr *)&address, &length) == 0);
	ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK(connect(ends[1], (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EINPROGRESS);
	ends[0] = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	/* What is held without a copy is in buffers that are not full; the memory counts, not the bytes. */
	held = fill(ends);
	CHECK(totals().hold_bytes <= 262144 && held >= 262144 / 3);
	CHECK(hread(ends[0], NULL, 0, held) == 0);
	CHECK(fill(ends) >= 262144 / 3);
	set_parameter("hold_file_max", "1048576");
	close(listening);
}

static void of_one_user(void)
{
	int ends[4][2];
	size_t held = 0;

	set_parameter("hold_user_max", "131072");
	for (int i = 0; i < 4; i++) {
		open_pair(ends[i]);
		held += i < 3 ? 40960 : 0;
	}
	/* Others of the same user have what is left. */
	held = fill(ends[0]);
	CHECK(held == 131072);
	CHECK(write(ends[1][1], "x", 1) == 1 && hread(ends[1][0], data, 1, 0) < 0 && errno == ENOBUFS);
	close(ends[0][0]);
	close(ends[0][1]);
	CHECK(hread(ends[1][0], data, 1, 0) == 1);
	set_parameter("hold_user_max", "16777216");
}

static void of_all(void)
{
	int ends[2], other[2], status;
	pid_t pid;

	set_parameter("hold_max", "131072");
	open_pair(ends);
	open_pair(other);
	CHECK(fill(ends) == 131072);
	/* Another user, with an allowance of his own. */
	pid = fork();
	if (!pid) {
		CHECK(setresuid(1000, 1000, 1000) == 0);
		CHECK(write(other[1], "x", 1) == 1);
		_exit(hread(other[0], data, 1, 0) < 0 && errno == ENOBUFS ? 0 : 1);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	set_parameter("hold_max", "67108864");
}

/* Children that register and wait to be told to end. How many could. */
static int register_many(int count, uid_t uid, int *refused)
{
	int ready[2], end[2], registered = 0;
	char byte;

	CHECK(pipe2(ready, O_CLOEXEC) == 0 && pipe2(end, O_CLOEXEC) == 0);
	*refused = 0;
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();

		if (!pid) {
			char *argv[] = { PROGRAM, NULL }, *envp[] = { NULL };

			close(end[1]);
			CHECK(setresuid(uid, uid, uid) == 0);
			byte = reregist(PROGRAM, argv, envp, i, 0, NULL) == 0 ? 'y' : errno == EDQUOT ? 'n' : '?';
			CHECK(write(ready[1], &byte, 1) == 1);
			_exit(read(end[0], &byte, 1));
		}
		CHECK(read(ready[0], &byte, 1) == 1);
		CHECK(byte != '?');
		registered += byte == 'y';
		*refused += byte == 'n';
	}
	close(end[0]);
	close(end[1]);
	while (wait(NULL) > 0)
		;
	close(ready[0]);
	close(ready[1]);
	return registered;
}

static void services(void)
{
	int refused;

	set_parameter("services_user_max", "5");
	CHECK(register_many(8, 1000, &refused) == 5 && refused == 3);
	await_totals_zero();
	/* Nothing of it stays. */
	CHECK(register_many(5, 1000, &refused) == 5 && refused == 0);
	await_totals_zero();
	set_parameter("services_user_max", "64");
	set_parameter("services_max", "3");
	CHECK(register_many(5, 1000, &refused) == 3 && refused == 2);
	await_totals_zero();
	set_parameter("services_max", "1024");
}

const struct test bound_tests[] = {
	{ "held bytes of one file", of_one_file },
	{ "of a TCP connection, in memory", of_tcp },
	{ "held bytes of one user", of_one_user },
	{ "held bytes of all", of_all },
	{ "registered processes of one user and of all", services },
	{ 0 },
};
