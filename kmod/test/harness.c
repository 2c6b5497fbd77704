// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int zlr_device = -1;

static uint32_t pack(char *to, char *const strings[])
{
	char *at = to;

	for (; *strings; strings++)
		at = stpcpy(at, *strings) + 1;
	return at - to;
}

int reregist(const char *path, char *const argv[], char *const envp[], uint32_t child_id, uint32_t threshold_ms,
	     uint64_t *service)
{
	static char arguments[65536], environment[65536];
	struct zlr_reregist call = {
		.abi = ZLR_ABI,
		.child_id = child_id,
		.path = (uintptr_t)path,
		.path_len = strlen(path) + 1,
		.argv = (uintptr_t)arguments,
		.argv_len = pack(arguments, argv),
		.envp = (uintptr_t)environment,
		.envp_len = pack(environment, envp),
		.threshold_ms = threshold_ms,
	};
	int result = ioctl(zlr_device, ZLR_REREGIST, &call);

	if (service)
		*service = call.service;
	return result;
}

int getreginfo(struct zlr_reginfo *info)
{
	info->abi = ZLR_ABI;
	return ioctl(zlr_device, ZLR_GETREGINFO, info);
}

ssize_t hread(int fd, void *buf, size_t rlen, size_t dlen)
{
	struct zlr_hread call = { .fd = fd, .buf = (uintptr_t)buf, .rlen = rlen, .dlen = dlen };

	return ioctl(zlr_device, ZLR_HREAD, &call);
}

struct zlr_books books(int fd)
{
	struct zlr_books books = { .fd = fd };

	CHECK(ioctl(zlr_device, ZLR_BOOKS, &books) == 0);
	return books;
}

struct zlr_totals totals(void)
{
	struct zlr_totals totals;

	CHECK(ioctl(zlr_device, ZLR_TOTALS, &totals) == 0);
	return totals;
}

void fail(const char *file, int line, const char *what)
{
	printf("# %s:%d: %s (errno %d, %s)\n", file, line, what, errno, strerror(errno));
	fflush(stdout);
	_exit(1);
}

void set_parameter(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/module/zlr/parameters/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value));
	close(fd);
}

double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

void await(bool (*condition)(void *), void *context, const char *what)
{
	double deadline = seconds() + 120;

	while (!condition(context)) {
		if (seconds() > deadline)
			fail("await", 0, what);
		usleep(1000);
	}
}

static bool main_thread_is(void *context)
{
	char stat[512] = "", *behind_name;
	FILE *file = fopen("/proc/self/stat", "r");

	CHECK(file && fgets(stat, sizeof(stat), file));
	fclose(file);
	behind_name = strrchr(stat, ')');
	return behind_name && behind_name[2] == *(char *)context;
}

void await_main_thread(char state)
{
	await(main_thread_is, &state, "the main thread's state");
}

static bool nothing_held(void *context)
{
	struct zlr_totals now = totals();

	(void)context;
	return !now.services && !now.standbys && !now.holds && !now.hold_bytes;
}

void await_totals_zero(void)
{
	await(nothing_held, NULL, "everything is released");
}

struct agent agent_start_with(void (*before)(void *), void *context, bool registered)
{
	struct agent agent;
	int wires[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wires) == 0);
	fflush(stdout);
	agent.pid = fork();
	CHECK(agent.pid >= 0);
	if (!agent.pid) {
		char *argv[] = { PROGRAM, "agent", registered ? "register" : "", NULL };

		CHECK(dup2(wires[1], AGENT_FD) == AGENT_FD);
		close(wires[1]);
		if (before)
			before(context);
		execv(PROGRAM, argv);
		fail(__FILE__, __LINE__, "execv");
	}
	close(wires[1]);
	agent.wire = wires[0];
	CHECK(same(answer(&agent), "generation 1"));
	return agent;
}

struct agent agent_start(bool registered)
{
	return agent_start_with(NULL, NULL, registered);
}

void tell(struct agent *agent, const char *format, ...)
{
	char line[512];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line, sizeof(line) - 1, format, arguments);
	va_end(arguments);
	line[length++] = '\n';
	CHECK(write(agent->wire, line, length) == length);
}

const char *answer(struct agent *agent)
{
	static char line[65536];
	size_t length = 0;

	for (;;) {
		ssize_t got = read(agent->wire, line + length, 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return NULL;
		if (line[length] == '\n')
			break;
		CHECK(++length < sizeof(line));
	}
	line[length] = 0;
	return line;
}

const char *ask(struct agent *agent, const char *format, ...)
{
	char line[512];
	const char *got;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	tell(agent, "%s", line);
	got = answer(agent);
	CHECK(got);
	return got;
}

void next_generation(struct agent *agent, int signal, unsigned int generation)
{
	char expected[32];
	const char *got;

	snprintf(expected, sizeof(expected), "generation %u", generation);
	tell(agent, "die %d", signal);
	got = answer(agent);
	if (!got || strcmp(got, expected)) {
		printf("# wanted \"%s\", got \"%s\"\n", expected, got ? got : "(end)");
		fail(__FILE__, __LINE__, "next generation");
	}
}

void agent_end(struct agent *agent)
{
	tell(agent, "exit 0");
	CHECK(answer(agent) == NULL);
	close(agent->wire);
	while (waitpid(agent->pid, NULL, 0) < 0 && errno == EINTR)
		;
	await_totals_zero();
}

int send_fd(int wire, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = "f", .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(int));
	return sendmsg(wire, &message, 0);
}
