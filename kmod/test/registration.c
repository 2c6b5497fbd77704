// SPDX-License-Identifier: GPL-2.0-only
/* reregist() and getreginfo() (thesis, figures 3.2, 4.2 and 4.3). */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static char *const arguments[] = { PROGRAM, "agent", "three words here", NULL };
static char *const environment[] = { "A=1", "B=", NULL };

static void forget(void)
{
	struct zlr_forget call = { .pid = 0 };

	CHECK(ioctl(zlr_device, ZLR_FORGET, &call) == 0);
}

static void speaks_its_abi(void)
{
	struct zlr_version version;
	struct zlr_reregist call = { .abi = ZLR_ABI + 1 };
	struct zlr_reginfo info = { .abi = ZLR_ABI + 1 };
	struct zlr_standby standby = { .abi = ZLR_ABI + 1 };

	CHECK(ioctl(zlr_device, ZLR_VERSION, &version) == 0);
	CHECK(version.abi == ZLR_ABI && version.dhr_buffer == 4096);
	CHECK(ioctl(zlr_device, ZLR_REREGIST, &call) < 0 && errno == EPROTO);
	CHECK(ioctl(zlr_device, ZLR_GETREGINFO, &info) < 0 && errno == EPROTO);
	CHECK(ioctl(zlr_device, ZLR_STANDBY, &standby) < 0 && errno == EPROTO);
	CHECK(ioctl(zlr_device, _IO(0xD7, 99)) < 0 && errno == ENOTTY);
}

static void a_process_without_one(void)
{
	struct zlr_reginfo info = { 0 };

	CHECK(getreginfo(&info) == 0);
	CHECK(info.flags == 0 && info.generation == 1 && info.service == 0);
}

static void what_was_declared_is_told(void)
{
	char text[256];
	struct zlr_reginfo info = { .text = (uintptr_t)text, .text_size = sizeof(text) };
	static const char expected[] = PROGRAM "\0" PROGRAM "\0agent\0three words here\0A=1\0B=";
	uint64_t service, again;

	CHECK(reregist(PROGRAM, arguments, environment, 42, 1000, &service) == 0);
	CHECK(getreginfo(&info) == 1);
	CHECK(info.flags == ZLR_REGISTERED && info.child_id == 42 && info.generation == 1 && info.service == service);
	CHECK(info.path_len + info.argv_len + info.envp_len == sizeof(expected));
	CHECK(!memcmp(text, expected, sizeof(expected)));
	CHECK(info.fault_signal == 0 && info.channels == 0);

	/* Anew: other words, the same service. */
	CHECK(reregist(PROGRAM, arguments + 1, environment, 43, 1000, &again) == 0);
	CHECK(again == service && totals().services == 1);
	info.text_size = 3; /* too small: nothing is written */
	text[0] = '?';
	CHECK(getreginfo(&info) == 1 && info.child_id == 43 && text[0] == '?');
	forget();
	CHECK(getreginfo(&info) == 0);
}

static int raw(struct zlr_reregist call)
{
	call.abi = ZLR_ABI;
	return ioctl(zlr_device, ZLR_REREGIST, &call) < 0 ? errno : 0;
}

static void hostile_sizes_are_refused(void)
{
	char big[ZLR_PATH_MAX + 1];
	char *words = mmap(NULL, ZLR_TEXT_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct zlr_reregist good = {
		.path = (uintptr_t)PROGRAM, .path_len = sizeof(PROGRAM), .argv = (uintptr_t) "a", .argv_len = 2,
	};
	struct zlr_reregist call;

	memset(big, 'a', sizeof(big));
	big[0] = '/';
	big[ZLR_PATH_MAX] = 0;
	CHECK(raw((struct zlr_reregist){ 0 }) == EINVAL);
	call = good, call.path = 8;
	CHECK(raw(call) == EFAULT);
	call = good, call.path = (uintptr_t)-4096;
	CHECK(raw(call) == EFAULT);
	call = good, call.argv = 0;
	CHECK(raw(call) == EFAULT);
	call = good, call.argv_len = 0;
	CHECK(raw(call) == EINVAL);
	call = good, call.argv_len = 1; /* does not end with a NUL */
	CHECK(raw(call) == EINVAL);
	call = good, call.path_len = sizeof(PROGRAM) - 1;
	CHECK(raw(call) == EINVAL);
	call = good, call.path = (uintptr_t) "/a\0b", call.path_len = 5; /* a NUL within */
	CHECK(raw(call) == EINVAL);
	call = good, call.path = (uintptr_t) "zlr-test", call.path_len = 9; /* not absolute */
	CHECK(raw(call) == EINVAL);
	call = good, call.path = (uintptr_t)big, call.path_len = ZLR_PATH_MAX + 1;
	CHECK(raw(call) == EINVAL);
	call = good, call.argv_len = 0xffffffff, call.envp_len = 0xffffffff;
	CHECK(raw(call) == E2BIG);
	/* Many empty strings: each costs a pointer. */
	call = good, call.argv = (uintptr_t)words, call.argv_len = ZLR_STRINGS_MAX + 1;
	CHECK(raw(call) == E2BIG);
	call = good, call.argv = (uintptr_t)words, call.argv_len = ZLR_STRINGS_MAX;
	CHECK(raw(call) == 0);
	/* A refused one leaves what was there. */
	call = good, call.argv = 0;
	CHECK(raw(call) == EFAULT);
	CHECK(totals().services == 1);
	forget();
}

static void *register_often(void *unused)
{
	for (int i = 0; i < 200; i++)
		CHECK(reregist(PROGRAM, arguments, environment, i, 0, NULL) == 0);
	return unused;
}

static void threads_that_register_at_once(void)
{
	pthread_t threads[8];

	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, register_often, NULL);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	CHECK(totals().services == 1);
	forget();
	await_totals_zero();
}

static void it_ends_with_exec(void)
{
	struct agent agent = agent_start(true);

	CHECK(totals().services == 1);
	tell(&agent, "exec");
	/* The program that was executed is a first generation of nothing. */
	CHECK(same(answer(&agent), "generation 1"));
	CHECK(!strncmp(ask(&agent, "info"), "0 flags=0", 9));
	await_totals_zero();
	tell(&agent, "die 9");
	CHECK(answer(&agent) == NULL);
}

static void it_ends_with_an_orderly_exit(void)
{
	struct agent agent = agent_start(true);

	CHECK(!strncmp(ask(&agent, "info"), "1 flags=2 child=7 generation=1", 30));
	agent_end(&agent);
}

static void children_are_told_apart(void)
{
	/* The thesis' figure 4.2: two processes of one program, each with a child id of its own. */
	struct agent parent = agent_start(true), child = agent_start(true);

	CHECK(!strncmp(ask(&parent, "register 0 60000"), "0 ", 2));
	CHECK(!strncmp(ask(&child, "register 1 60000"), "0 ", 2));
	next_generation(&parent, 11, 2);
	next_generation(&child, 11, 2);
	CHECK(strstr(ask(&parent, "info"), "child=0 "));
	CHECK(strstr(ask(&child, "info"), "child=1 "));
	tell(&child, "exit 0");
	CHECK(answer(&child) == NULL);
	agent_end(&parent);
}

static void another_may_end_it(void)
{
	struct agent agent = agent_start(true);
	struct zlr_forget call = { .pid = agent.pid };

	CHECK(ioctl(zlr_device, ZLR_FORGET, &call) == 0);
	await_totals_zero();
	CHECK(ioctl(zlr_device, ZLR_FORGET, &call) < 0 && errno == ESRCH);
	tell(&agent, "die 9");
	CHECK(answer(&agent) == NULL);
}

const struct test registration_tests[] = {
	{ "the ABI has a version, and another is refused", speaks_its_abi },
	{ "a process that registered nothing is told so", a_process_without_one },
	{ "what was declared is told", what_was_declared_is_told },
	{ "hostile sizes and addresses are refused", hostile_sizes_are_refused },
	{ "threads that register at once make one service", threads_that_register_at_once },
	{ "it ends with exec", it_ends_with_exec },
	{ "it ends with an orderly exit", it_ends_with_an_orderly_exit },
	{ "the processes of one service are told apart", children_are_told_apart },
	{ "its owner may end it from another process", another_may_end_it },
	{ 0 },
};
