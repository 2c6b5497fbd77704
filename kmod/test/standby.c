// SPDX-License-Identifier: GPL-2.0-only
/* A standby that waits in an ioctl is handed the channels at once. */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t service_of(struct agent *agent)
{
	unsigned long long service = 0;

	CHECK(sscanf(ask(agent, "register 7"), "0 %llu", &service) == 1);
	return service;
}

static int stand_by(int device, uint64_t service)
{
	struct zlr_standby call = { .abi = ZLR_ABI, .service = service };

	return ioctl(device, ZLR_STANDBY, &call) ? -errno : 0;
}

static bool somebody_stands_by(void *unused)
{
	(void)unused;
	return totals().standbys > 0;
}

static void own_device(void)
{
	close(zlr_device);
	zlr_device = open(ZLR_DEVICE, O_RDWR | O_CLOEXEC);
	CHECK(zlr_device >= 0);
}

/* A process that waits and then is the agent. `occupied` is a number that it keeps for itself; 0: none. */
static pid_t start_standby(uint64_t service, int occupied)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		char *argv[] = { PROGRAM, "agent", NULL };

		/* Standing by goes with the open device, so each opens his own. */
		for (int fd = 3; fd < 200; fd++)
			close(fd);
		own_device();
		if (occupied)
			CHECK(dup2(0, occupied) == occupied);
		if (stand_by(zlr_device, service))
			_exit(3);
		_exit(agent_main(2, argv));
	}
	await(somebody_stands_by, NULL, "it stands by");
	return pid;
}

static void it_takes_over(void)
{
	struct agent agent = agent_start(true);
	pid_t standby = start_standby(service_of(&agent), 0);
	char expected[16];

	next_generation(&agent, SIGSEGV, 2);
	snprintf(expected, sizeof(expected), "%d", standby);
	CHECK(same(ask(&agent, "pid"), expected));
	CHECK(strstr(ask(&agent, "info"), "flags=1 child=7 generation=2 signal=11"));
	/* Its own standard descriptors; the agent's. */
	CHECK(strstr(ask(&agent, "info"), "channels=1"));
	/* Without another standby the kernel starts the next. */
	next_generation(&agent, SIGSEGV, 3);
	CHECK(waitpid(standby, NULL, 0) == standby);
	agent_end(&agent);
}

static void many_in_a_row(void)
{
	struct agent agent = agent_start(true);

	for (unsigned int generation = 2; generation < 12; generation++) {
		char expected[16];

		snprintf(expected, sizeof(expected), "%d", start_standby(service_of(&agent), 0));
		next_generation(&agent, SIGKILL, generation);
		CHECK(same(ask(&agent, "pid"), expected));
	}
	agent_end(&agent);
}

static void a_number_that_is_taken(void)
{
	struct agent agent = agent_start(true);
	pid_t standby = start_standby(service_of(&agent), AGENT_FD);
	int status;

	/* It would lose a file of its own: it is refused, and the kernel starts the next generation. */
	next_generation(&agent, SIGSEGV, 2);
	CHECK(waitpid(standby, &status, 0) == standby && WEXITSTATUS(status) == 3);
	agent_end(&agent);
}

static void one_that_was_stopped(void)
{
	struct agent agent = agent_start(true);
	pid_t standby = start_standby(service_of(&agent), 0);
	int status;

	CHECK(kill(standby, SIGSTOP) == 0 && waitpid(standby, &status, WUNTRACED) == standby);
	next_generation(&agent, SIGSEGV, 2);
	CHECK(kill(standby, SIGCONT) == 0);
	CHECK(waitpid(standby, &status, 0) == standby && WEXITSTATUS(status) == 3);
	agent_end(&agent);
}

static void one_that_died(void)
{
	struct agent agent = agent_start(true);
	pid_t standby = start_standby(service_of(&agent), 0);

	CHECK(kill(standby, SIGKILL) == 0 && waitpid(standby, NULL, 0) == standby);
	next_generation(&agent, SIGSEGV, 2);
	agent_end(&agent);
}

static void one_that_dies_when_it_should_come(void)
{
	/* Both at once, again and again: whoever wins, the channels are not lost. */
	struct agent agent = agent_start(true);

	for (unsigned int generation = 2; generation < 22; generation++) {
		pid_t standby = start_standby(service_of(&agent), 0);

		CHECK(kill(standby, SIGSTOP) == 0 && waitpid(standby, NULL, WUNTRACED) == standby);
		tell(&agent, "die 9");
		CHECK(kill(standby, SIGKILL) == 0 && waitpid(standby, NULL, 0) == standby);
		CHECK(answer(&agent));
	}
	agent_end(&agent);
}

static void who_may_not(void)
{
	struct agent agent = agent_start(true);
	uint64_t service = service_of(&agent);
	int other = open(ZLR_DEVICE, O_RDWR | O_CLOEXEC), status;
	pid_t pid;

	CHECK(stand_by(zlr_device, service ^ 1) == -ESRCH);
	pid = fork();
	if (!pid) {
		CHECK(setresuid(1000, 1000, 1000) == 0);
		_exit(stand_by(zlr_device, service) == -EPERM ? 0 : 1);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);

	CHECK(fcntl(zlr_device, F_SETFL, O_NONBLOCK) == 0);
	CHECK(stand_by(zlr_device, service) == -EAGAIN);
	/* One stands by, and at one service. */
	CHECK(fcntl(other, F_SETFL, O_NONBLOCK) == 0 && stand_by(other, service) == -EBUSY);
	CHECK(stand_by(zlr_device, service ^ 1) == -EBUSY);
	CHECK(stand_by(zlr_device, service) == -EAGAIN);
	/* The service ends: so does the waiting. */
	tell(&agent, "exit 0");
	CHECK(answer(&agent) == NULL);
	{
		struct pollfd entry = { .fd = zlr_device, .events = POLLIN };

		CHECK(poll(&entry, 1, 120000) == 1 && entry.revents == POLLIN);
	}
	CHECK(stand_by(zlr_device, service) == -ESRCH);
	close(other);
}

static void who_has_a_service_stands_by_none(void)
{
	struct agent agent = agent_start(true);
	uint64_t service = service_of(&agent);
	char *argv[] = { PROGRAM, NULL }, *envp[] = { NULL };
	struct zlr_forget call = { .pid = 0 };

	CHECK(reregist(PROGRAM, argv, envp, 0, 0, NULL) == 0);
	CHECK(stand_by(zlr_device, service) == -EEXIST);
	CHECK(ioctl(zlr_device, ZLR_FORGET, &call) == 0);
	agent_end(&agent);
}

static void by_poll(void)
{
	struct agent agent = agent_start(true);
	uint64_t service = service_of(&agent);
	struct pollfd entry = { .fd = zlr_device, .events = POLLIN };
	char *argv[] = { PROGRAM, "agent", NULL };
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		close(agent.wire);
		own_device();
		CHECK(fcntl(zlr_device, F_SETFL, O_NONBLOCK) == 0);
		CHECK(stand_by(zlr_device, service) == -EAGAIN);
		CHECK(poll(&entry, 1, 120000) == 1 && entry.revents == POLLIN);
		CHECK(stand_by(zlr_device, service) == 0);
		_exit(agent_main(2, argv));
	}
	await(somebody_stands_by, NULL, "it stands by");
	next_generation(&agent, SIGSEGV, 2);
	CHECK(atoi(ask(&agent, "pid")) == pid);
	agent_end(&agent);
}

static void on_signal(int number)
{
	(void)number;
}

static void a_signal_ends_the_waiting(void)
{
	struct agent agent = agent_start(true);
	uint64_t service = service_of(&agent);
	struct sigaction action = { .sa_handler = on_signal }; /* without SA_RESTART */
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		own_device();
		CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
		_exit(stand_by(zlr_device, service) == -EINTR ? 0 : 1);
	}
	await(somebody_stands_by, NULL, "it stands by");
	/* It may not sleep yet: one signal after another until it is gone. */
	while (waitpid(pid, &status, WNOHANG) == 0) {
		kill(pid, SIGUSR1);
		usleep(1000);
	}
	CHECK(status == 0);
	agent_end(&agent);
}

static void confined(void)
{
	/* Where the kernel may not start anything, a standby still can follow. */
	struct agent agent = agent_start(true);
	pid_t standby = start_standby(service_of(&agent), 0);

	CHECK(same(ask(&agent, "seccomp"), "0"));
	next_generation(&agent, SIGSEGV, 2);
	CHECK(atoi(ask(&agent, "pid")) == standby);
	agent_end(&agent);
}

const struct test standby_tests[] = {
	{ "it takes over, as the next generation", it_takes_over },
	{ "many in a row", many_in_a_row },
	{ "whose number is taken is refused, and the kernel starts one", a_number_that_is_taken },
	{ "one that was stopped is not waited for", one_that_was_stopped },
	{ "one that died is not missed", one_that_died },
	{ "one that dies when it should come", one_that_dies_when_it_should_come },
	{ "who may not: the stranger, the second", who_may_not },
	{ "who has a service stands by none", who_has_a_service_stands_by_none },
	{ "without blocking, by poll", by_poll },
	{ "a signal ends the waiting", a_signal_ends_the_waiting },
	{ "under a seccomp filter", confined },
	{ 0 },
};
