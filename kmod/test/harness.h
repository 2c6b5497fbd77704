/* SPDX-License-Identifier: GPL-2.0-only */
/* What the guest's tests share: the calls of /dev/zlr, assertions, and the agent that they drive through its lives. */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <zlr/kmod.h>

#define PROGRAM "/zlr-test"

/* The open device; close-on-exec. */
extern int zlr_device;

/* -1 and errno, or what the ioctl returned. */
int reregist(const char *path, char *const argv[], char *const envp[], uint32_t child_id, uint32_t threshold_ms,
	     uint64_t *service);
int getreginfo(struct zlr_reginfo *info);
ssize_t hread(int fd, void *buf, size_t rlen, size_t dlen);
struct zlr_books books(int fd);
struct zlr_totals totals(void);

void fail(const char *file, int line, const char *what);
#define CHECK(condition) ((condition) ? (void)0 : fail(__FILE__, __LINE__, #condition))

void set_parameter(const char *name, const char *value);
/* Asks again and again until it is so: for what the kernel does behind our back. Fails after two minutes. */
void await(bool (*condition)(void *), void *context, const char *what);
void await_totals_zero(void);
/* Until the first thread of this process sleeps ('S'), or has ended before the others ('Z'): proc(5), stat. */
void await_main_thread(char state);
double seconds(void);

/*
 * The agent: a service that does what it is told, line by line, through a socket that it keeps over its lives (agent.c
 * lists the commands). The first answer of every life is "generation N".
 */
#define AGENT_FD 50

struct agent {
	int wire;
	pid_t pid; /* of the first generation */
};

/* False too when there is no answer. */
static inline bool same(const char *got, const char *expected)
{
	return got && !strcmp(got, expected);
}

struct agent agent_start(bool registered);
struct agent agent_start_with(void (*before)(void *), void *context, bool registered);
/* One command, one line of answer, in a buffer that the next call overwrites. */
const char *ask(struct agent *agent, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tell(struct agent *agent, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The next line; NULL: the agent and all its generations are gone. */
const char *answer(struct agent *agent);
/* Kills the living generation and awaits the next. */
void next_generation(struct agent *agent, int signal, unsigned int generation);
/* Ends it in good order. */
void agent_end(struct agent *agent);
int agent_main(int argc, char **argv);
int send_fd(int wire, int fd);

struct test {
	const char *name;
	void (*run)(void);
};

extern const struct test registration_tests[], fault_tests[], channel_tests[], birth_tests[], standby_tests[],
	hread_tests[], bound_tests[], safety_tests[];

int fuzz_main(void);
int fuzzed_main(void);
int bench_main(void);

#endif
