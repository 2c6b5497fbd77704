// SPDX-License-Identifier: GPL-2.0-only
/* The guest's test program. Each test runs in a process of its own and must leave nothing in the module. */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static bool nothing_left(void)
{
	pid_t pid;
	int status;

	/* await() ends the process that it fails in. */
	fflush(stdout);
	pid = fork();
	if (!pid) {
		await_totals_zero();
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static void run(const char *suite, const struct test *test)
{
	int status;
	pid_t pid;

	/* Tests kill as fast as they can; those of the threshold set their own. */
	set_parameter("threshold_ms", "0");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		/* Only what hangs takes so long, however slow the machine. */
		alarm(600);
		test->run();
		fflush(stdout);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!status && !nothing_left())
		status = 1;
	printf("%s %s: %s\n", status ? "not ok" : "ok", suite, test->name);
	if (WIFSIGNALED(status))
		printf("# signal %d\n", WTERMSIG(status));
	fflush(stdout);
	/* A test that failed may have left an agent; the next one shall not suffer for it. */
	if (status && !nothing_left())
		printf("# services %llu, standbys %llu, holds %llu of %llu bytes are left\n", (unsigned long long)totals().services,
		       (unsigned long long)totals().standbys, (unsigned long long)totals().holds,
		       (unsigned long long)totals().hold_bytes);
}

static const struct {
	const char *name;
	const struct test *tests;
} suites[] = {
	{ "registration", registration_tests }, { "fault", fault_tests },   { "channels", channel_tests },
	{ "birth", birth_tests },               { "standby", standby_tests }, { "hread", hread_tests },
	{ "bounds", bound_tests },              { "safety", safety_tests },
};

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "all";
	bool some = false;

	zlr_device = open(ZLR_DEVICE, O_RDWR | O_CLOEXEC);
	if (!strcmp(what, "agent"))
		return agent_main(argc, argv);
	CHECK(zlr_device >= 0);
	/* A reader that is gone shows as an error, not as a death. */
	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(what, "fuzzed"))
		return fuzzed_main();
	if (!strcmp(what, "fuzz"))
		return fuzz_main();
	if (!strcmp(what, "bench"))
		return bench_main();
	for (size_t i = 0; i < sizeof(suites) / sizeof(*suites); i++) {
		if (strcmp(what, "all") && strcmp(what, suites[i].name))
			continue;
		some = true;
		for (const struct test *test = suites[i].tests; test->name; test++)
			run(suites[i].name, test);
	}
	return some ? 0 : 2;
}
