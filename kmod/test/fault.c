// SPDX-License-Identifier: GPL-2.0-only
/* Fault detection (thesis, section 3.1). */
#define _GNU_SOURCE
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void every_signal_that_kills(void)
{
	static const int signals[] = { SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1,
				       SIGSEGV, SIGALRM, SIGSTKFLT, SIGXCPU, SIGXFSZ, SIGSYS, 40 };
	struct agent agent = agent_start(true);
	unsigned int generation = 1;
	char expected[64];

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		long long before = time(NULL) - 1, at;
		const char *info;

		next_generation(&agent, signals[i], ++generation);
		info = ask(&agent, "info");
		snprintf(expected, sizeof(expected), "1 flags=1 child=7 generation=%u signal=%d code=0", generation, signals[i]);
		CHECK(!strncmp(info, expected, strlen(expected)));
		CHECK(sscanf(strstr(info, "time="), "time=%lld", &at) == 1);
		CHECK(at / 1000000000 >= before && at / 1000000000 <= time(NULL) + 1);
		/* Carried over already; declared anew it is its own. */
		CHECK(!strncmp(ask(&agent, "register 7 0"), "0 ", 2));
		CHECK(strstr(ask(&agent, "info"), "flags=3"));
	}
	agent_end(&agent);
}

static void who_was_asked_to_end_ends(void)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };

	for (int i = 0; i < 3; i++) {
		struct agent agent = agent_start(true);

		tell(&agent, "die %d", signals[i]);
		CHECK(answer(&agent) == NULL);
		await_totals_zero();
	}
}

static void a_real_segmentation_fault(void)
{
	struct agent agent = agent_start(true);

	tell(&agent, "segfault");
	CHECK(same(answer(&agent), "generation 2"));
	CHECK(strstr(ask(&agent, "info"), "signal=11"));
	agent_end(&agent);
}

static void an_exit_status_that_says_failure(void)
{
	struct agent agent = agent_start(true);

	tell(&agent, "exit 1");
	CHECK(same(answer(&agent), "generation 2"));
	CHECK(strstr(ask(&agent, "info"), "signal=0 code=1"));
	/* EX_CONFIG: another generation would end likewise. */
	tell(&agent, "exit 78");
	CHECK(answer(&agent) == NULL);
}

static void a_thread_that_ends_is_no_fault(void)
{
	struct agent agent = agent_start(true);
	struct zlr_totals before = totals();

	for (int i = 0; i < 20; i++)
		CHECK(!strcmp(ask(&agent, "thread"), "joined"));
	CHECK(totals().restarts == before.restarts);
	CHECK(strstr(ask(&agent, "info"), "generation=1"));
	agent_end(&agent);
}

static void many_threads_are_one_death(void)
{
	struct agent agent = agent_start(true);
	struct zlr_totals before = totals();

	for (unsigned int generation = 2; generation < 22; generation++) {
		CHECK(!strcmp(ask(&agent, "threads 16"), "started"));
		next_generation(&agent, SIGSEGV, generation);
		CHECK(!strncmp(ask(&agent, "register 7 0"), "0 ", 2));
	}
	CHECK(totals().restarts == before.restarts + 20);
	agent_end(&agent);
}

static void the_main_thread_may_end_first(void)
{
	struct agent agent = agent_start(true);

	tell(&agent, "main-ends 11");
	CHECK(same(answer(&agent), "generation 2"));
	CHECK(strstr(ask(&agent, "info"), "signal=11"));
	agent_end(&agent);
}

static void too_soon_is_a_software_bug(void)
{
	struct zlr_totals before = totals(), after;
	struct agent agent;

	set_parameter("threshold_ms", "60000");
	agent = agent_start(true);
	/* The first generation has not been restarted, so its death is never too soon. */
	next_generation(&agent, SIGSEGV, 2);
	tell(&agent, "die 11");
	CHECK(answer(&agent) == NULL);
	after = totals();
	CHECK(after.given_up == before.given_up + 1 && after.restarts == before.restarts + 1);
	await_totals_zero();
}

static void the_threshold_is_of_the_service(void)
{
	struct agent patient, strict;

	patient = agent_start(true);
	strict = agent_start(true);
	/* The parameter is 0 here: only who asked for a threshold has one. */
	CHECK(!strncmp(ask(&strict, "register 1 60000"), "0 ", 2));
	next_generation(&patient, SIGSEGV, 2);
	next_generation(&strict, SIGSEGV, 2);
	next_generation(&patient, SIGSEGV, 3);
	tell(&strict, "die 11");
	CHECK(answer(&strict) == NULL);
	next_generation(&patient, SIGSEGV, 4);
	agent_end(&patient);
}

static void some_fast_faults_may_be_allowed(void)
{
	struct agent agent;

	set_parameter("fast_faults_max", "3");
	agent = agent_start(true);
	CHECK(!strncmp(ask(&agent, "register 1 60000"), "0 ", 2));
	for (unsigned int generation = 2; generation <= 4; generation++)
		next_generation(&agent, SIGSEGV, generation);
	tell(&agent, "die 11");
	CHECK(answer(&agent) == NULL);
	set_parameter("fast_faults_max", "1");
}

static void who_never_registers_again_is_not_started_for_ever(void)
{
	struct agent agent = agent_start(true);

	for (unsigned int generation = 2; generation <= ZLR_STILLBORN_MAX; generation++)
		next_generation(&agent, SIGSEGV, generation);
	/* The 20th in a row that had not registered itself: the first one had. */
	next_generation(&agent, SIGSEGV, ZLR_STILLBORN_MAX + 1);
	tell(&agent, "die 11");
	CHECK(answer(&agent) == NULL);
}

const struct test fault_tests[] = {
	{ "every signal that kills is a fault", every_signal_that_kills },
	{ "but SIGTERM, SIGINT and SIGHUP: who was asked to end ends", who_was_asked_to_end_ends },
	{ "a real segmentation fault", a_real_segmentation_fault },
	{ "an exit status other than 0 is a fault, EX_CONFIG is none", an_exit_status_that_says_failure },
	{ "a thread that ends is no fault", a_thread_that_ends_is_no_fault },
	{ "a death of many threads is one fault", many_threads_are_one_death },
	{ "the main thread may end first", the_main_thread_may_end_first },
	{ "a fault too soon after a restart is a software bug: no restart, all released", too_soon_is_a_software_bug },
	{ "the threshold is each service's own", the_threshold_is_of_the_service },
	{ "fast_faults_max allows some in a row", some_fast_faults_may_be_allowed },
	{ "generations that never register come to an end", who_never_registers_again_is_not_started_for_ever },
	{ 0 },
};
