// SPDX-License-Identifier: GPL-2.0-only
/* Who may do what, what is told to whom, and what happens to those who are late. */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void who_may_open_it(void)
{
	struct stat status;
	int code;
	pid_t pid;

	CHECK(stat(ZLR_DEVICE, &status) == 0 && S_ISCHR(status.st_mode));
	CHECK((status.st_mode & 07777) == 0660 && status.st_uid == 0 && status.st_gid == 0);
	pid = fork();
	if (!pid) {
		CHECK(setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0);
		_exit(open(ZLR_DEVICE, O_RDWR) < 0 && errno == EACCES ? 0 : 1);
	}
	CHECK(waitpid(pid, &code, 0) == pid && code == 0);
}

static bool unload(void)
{
	return syscall(SYS_delete_module, "zlr", O_NONBLOCK) == 0;
}

static void unloading_while_in_use(void)
{
	char *argv[] = { PROGRAM, "agent", NULL }, *envp[] = { NULL };
	int ready[2], status;
	char byte;
	pid_t pid;

	/* The device is open here. */
	CHECK(!unload() && errno == EWOULDBLOCK);
	/* Closed everywhere, a registration alone: only visible from a process without it, so this one closes, too. */
	CHECK(pipe2(ready, O_CLOEXEC) == 0);
	pid = fork();
	if (!pid) {
		CHECK(reregist(PROGRAM, argv, envp, 0, 0, NULL) == 0);
		close(zlr_device);
		CHECK(write(ready[1], "r", 1) == 1);
		pause();
	}
	CHECK(read(ready[0], &byte, 1) == 1);
	CHECK(!unload() && errno == EWOULDBLOCK);
	{
		struct zlr_forget call = { .pid = pid };

		CHECK(ioctl(zlr_device, ZLR_FORGET, &call) == 0);
	}
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
}

static void nothing_leaks(void)
{
	/* What the kernel does not say it says as zeros: not what lay on its stack. */
	unsigned char raw[sizeof(struct zlr_reginfo)];
	struct zlr_reginfo *info = (struct zlr_reginfo *)raw;
	struct zlr_books now = { .fd = 0, .read_pt = ~0ull, .destroy_pt = ~0ull, .write_pt = ~0ull };

	memset(raw, 0xff, sizeof(raw));
	info->text = 0;
	info->text_size = 0;
	CHECK(getreginfo(info) == 0);
	CHECK(info->abi == ZLR_ABI && info->generation == 1);
	info->abi = info->generation = 0;
	for (size_t i = 0; i < sizeof(raw); i++)
		CHECK(raw[i] == 0);
	CHECK(ioctl(zlr_device, ZLR_BOOKS, &now) == 0);
	CHECK(!now.read_pt && !now.destroy_pt && !now.write_pt);
}

static void unknown_fields_are_refused(void)
{
	struct zlr_hread read = { .fd = 0, .reserved = 1 };
	struct zlr_books now = { .fd = 0, .reserved = 1 };
	struct zlr_standby standby = { .abi = ZLR_ABI, .reserved = 1 };
	struct zlr_forget forget = { .reserved = 1 };

	CHECK(ioctl(zlr_device, ZLR_HREAD, &read) < 0 && errno == EINVAL);
	CHECK(ioctl(zlr_device, ZLR_BOOKS, &now) < 0 && errno == EINVAL);
	CHECK(ioctl(zlr_device, ZLR_STANDBY, &standby) < 0 && errno == EINVAL);
	CHECK(ioctl(zlr_device, ZLR_FORGET, &forget) < 0 && errno == EINVAL);
}

static void another_users_registration(void)
{
	struct agent agent = agent_start(true);
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct zlr_forget call = { .pid = agent.pid };
		struct zlr_reginfo info = { 0 };

		CHECK(setresuid(1000, 1000, 1000) == 0);
		CHECK(getreginfo(&info) == 0);
		_exit(ioctl(zlr_device, ZLR_FORGET, &call) < 0 && errno == EPERM ? 0 : 1);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	next_generation(&agent, SIGSEGV, 2);
	agent_end(&agent);
}

static int pair[2];

static void *closer(void *unused)
{
	await_main_thread('S'); /* in the file that goes away under it */
	close(pair[0]);
	CHECK(write(pair[1], "late", 4) == 4);
	return unused;
}

static void closed_under_a_reader(void)
{
	char data[16];

	for (int i = 0; i < 20; i++) {
		pthread_t thread;

		CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
		CHECK(pthread_create(&thread, NULL, closer, NULL) == 0);
		CHECK(hread(pair[0], data, sizeof(data), 0) == 4 && !memcmp(data, "late", 4));
		pthread_join(thread, NULL);
		close(pair[1]);
	}
	await_totals_zero();
}

static void *canceller(void *argument)
{
	struct zlr_forget call = { .pid = *(pid_t *)argument };

	for (int i = 0; i < 3000; i++)
		ioctl(zlr_device, ZLR_FORGET, &call);
	return NULL;
}

static void forgotten_while_it_registers_and_dies(void)
{
	for (int i = 0; i < 10; i++) {
		char *argv[] = { "/no/such/program", NULL }, *envp[] = { NULL };
		pthread_t thread;
		pid_t pid;

		fflush(stdout);
		pid = fork();
		if (!pid) {
			for (int j = 0; j < 500; j++)
				reregist("/no/such/program", argv, envp, j, 0, NULL);
			kill(getpid(), SIGSEGV);
		}
		CHECK(pthread_create(&thread, NULL, canceller, &pid) == 0);
		waitpid(pid, NULL, 0);
		pthread_join(thread, NULL);
	}
	await_totals_zero();
}

static void deaths_all_at_once(void)
{
	struct agent agents[24];

	for (size_t i = 0; i < 24; i++)
		agents[i] = agent_start(true);
	for (unsigned int generation = 2; generation < 5; generation++) {
		for (size_t i = 0; i < 24; i++)
			tell(&agents[i], "die 11");
		for (size_t i = 0; i < 24; i++)
			CHECK(answer(&agents[i]));
	}
	for (size_t i = 0; i < 24; i++) {
		tell(&agents[i], "exit 0");
		CHECK(answer(&agents[i]) == NULL);
	}
	await_totals_zero();
}

const struct test safety_tests[] = {
	{ "only root may open the device until its owner says else", who_may_open_it },
	{ "it cannot be unloaded while it is in use", unloading_while_in_use },
	{ "nothing of the kernel's leaks", nothing_leaks },
	{ "fields that are not known are refused", unknown_fields_are_refused },
	{ "another user's registration is out of reach", another_users_registration },
	{ "a file that is closed under a reader", closed_under_a_reader },
	{ "forgotten while it registers and dies", forgotten_while_it_registers_and_dies },
	{ "24 services die at once", deaths_all_at_once },
	{ 0 },
};
