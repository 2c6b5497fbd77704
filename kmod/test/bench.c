// SPDX-License-Identifier: GPL-2.0-only
/*
 * The thesis' figures 3.9, 3.10 and 3.11 and its table 3.1, measured in the guest. What is compared is measured in
 * turns, and the median of the rounds' ratios is told: times in an emulated machine mean nothing by themselves.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 41
#define FILL 65536

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static double median(double *values, int count)
{
	qsort(values, count, sizeof(*values), ascending);
	return values[count / 2];
}

static void open_tcp(int ends[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), size = 1 << 20;

	CHECK(bind(listening, (struct sockaddr *)&address, sizeof(address)) == 0);
	/* So that what is read in one round arrives before it begins. */
	CHECK(setsockopt(listening, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0 && listen(listening, 1) == 0);
	CHECK(getsockname(listening, (struct sockaddr *)&address, &length) == 0);
	ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(connect(ends[1], (struct sockaddr *)&address, sizeof(address)) == 0);
	ends[0] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	close(listening);
}

static void open_unix(int ends[2])
{
	int size = 1 << 20;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	CHECK(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
}

static void open_pipe(int ends[2])
{
	CHECK(pipe2(ends, O_CLOEXEC) == 0 && fcntl(ends[0], F_SETPIPE_SZ, 2 * FILL) >= FILL);
}

static void put_and_await(int ends[2], size_t size)
{
	static char data[FILL];
	int have = 0;

	CHECK(write(ends[1], data, size) == (ssize_t)size);
	while (have < (int)size)
		CHECK(ioctl(ends[0], FIONREAD, &have) == 0);
}

#define CONNECTIONS 64

/* Reads `size` bytes; the holding kind deletes as many as before, as a program does that has processed them. */
static ssize_t read_from(int fd, size_t room, size_t size, bool holding)
{
	static char into[FILL];

	return holding ? hread(fd, into, room, size) : read(fd, into, room);
}

/* FILL bytes came at once and are read in parts. ns a read. */
static double read_parts(int ends[][2], size_t size, bool holding)
{
	double begin;

	put_and_await(ends[0], FILL);
	begin = now_ns();
	for (size_t at = 0; at < FILL; at += size)
		CHECK(read_from(ends[0][0], size, size, holding) == (ssize_t)size);
	return (now_ns() - begin) / (FILL / size);
}

/* A request came on each connection and is read with room for more. ns a read. */
static double read_requests(int ends[][2], size_t size, bool holding)
{
	double begin;

	for (int i = 0; i < CONNECTIONS; i++)
		put_and_await(ends[i], size);
	begin = now_ns();
	for (int i = 0; i < CONNECTIONS; i++)
		CHECK(read_from(ends[i][0], FILL, size, holding) == (ssize_t)size);
	return (now_ns() - begin) / CONNECTIONS;
}

static void open_all(int ends[][2], void (*open)(int ends[2]), size_t size, bool holding)
{
	static char into[FILL];

	for (int i = 0; i < CONNECTIONS; i++) {
		open(ends[i]);
		/* Something is held from the beginning, so that every call has as much to delete as it reads. */
		put_and_await(ends[i], size);
		CHECK((holding ? hread(ends[i][0], into, size, 0) : read(ends[i][0], into, size)) == (ssize_t)size);
	}
}

/* What is between two ioctls that do the same but for the holding: the device's way into the kernel. */
static double hread_over_read(double (*measure)(int[][2], size_t, bool), void (*open)(int ends[2]), size_t size, double *read_ns)
{
	int ends[2][CONNECTIONS][2];
	double ratios[ROUNDS], reads[ROUNDS], ns[2];

	for (int holding = 0; holding < 2; holding++)
		open_all(ends[holding], open, size, holding);
	for (int i = 0; i < ROUNDS; i++) {
		ns[i % 2] = measure(ends[i % 2], size, i % 2);
		ns[!(i % 2)] = measure(ends[!(i % 2)], size, !(i % 2));
		ratios[i] = ns[1] / ns[0];
		reads[i] = ns[0];
	}
	for (int i = 0; i < CONNECTIONS; i++)
		for (int end = 0; end < 2; end++) {
			close(ends[0][i][end]);
			close(ends[1][i][end]);
		}
	*read_ns = median(reads, ROUNDS);
	return median(ratios, ROUNDS);
}

static void reload(unsigned int dhr_buffer)
{
	char arguments[64];
	int fd = open("/zlr.ko", O_RDONLY | O_CLOEXEC);

	snprintf(arguments, sizeof(arguments), "dhr_buffer=%u", dhr_buffer);
	await_totals_zero();
	close(zlr_device);
	while (syscall(SYS_delete_module, "zlr", O_NONBLOCK) < 0)
		CHECK(errno == EWOULDBLOCK);
	CHECK(syscall(SYS_finit_module, fd, arguments, 0) == 0);
	close(fd);
	zlr_device = open(ZLR_DEVICE, O_RDWR | O_CLOEXEC);
	CHECK(zlr_device >= 0);
}

static void figure_3_9(void)
{
	printf("# figure 3.9: hread / read of 512 bytes of a unix socket, by the size of a buffer\n");
	for (unsigned int size = 512; size <= 16384; size *= 2) {
		double read_ns, ratio;

		reload(size);
		ratio = hread_over_read(read_parts, open_unix, 512, &read_ns);
		printf("# %u %.2f\n", size, ratio);
		fflush(stdout);
	}
	reload(4096);
}

static const struct {
	const char *name;
	void (*open)(int ends[2]);
} kinds[] = { { "tcp", open_tcp }, { "unix", open_unix }, { "pipe", open_pipe } };

static void figure_3_10(void)
{
	printf("# figure 3.10: hread / read, by the size of the user's buffer; a read in ns\n");
	for (size_t size = 64; size <= 32768; size *= 2) {
		printf("# %zu", size);
		for (size_t kind = 0; kind < sizeof(kinds) / sizeof(*kinds); kind++) {
			double read_ns, ratio = hread_over_read(read_parts, kinds[kind].open, size, &read_ns);

			printf(" %s %.3f %.0f", kinds[kind].name, ratio, read_ns);
		}
		for (size_t kind = 0; kind < sizeof(kinds) / sizeof(*kinds); kind++) {
			double read_ns, ratio = hread_over_read(read_requests, kinds[kind].open, size, &read_ns);

			printf(" requests %s %.3f %.0f", kinds[kind].name, ratio, read_ns);
		}
		printf("\n");
		fflush(stdout);
	}
}

#define CALLS 2000

static double time_calls(int which)
{
	static char *argv[] = { PROGRAM, "--port", "80", NULL }, *envp[] = { "PATH=/bin", "HOME=/", NULL };
	struct zlr_reginfo info = { 0 };
	double begin = now_ns();

	for (int i = 0; i < CALLS; i++) {
		if (which == 0)
			syscall(SYS_getppid);
		else if (which == 1)
			CHECK(reregist(PROGRAM, argv, envp, 0, 0, NULL) == 0);
		else
			CHECK(getreginfo(&info) == 1);
	}
	return (now_ns() - begin) / CALLS;
}

static void figure_3_11(void)
{
	double times[3][ROUNDS];
	struct zlr_forget call = { .pid = 0 };

	for (int i = 0; i < ROUNDS; i++)
		for (int which = 0; which < 3; which++)
			times[which][i] = time_calls(which);
	printf("# figure 3.11: ns of getppid, reregist, getreginfo: %.0f %.0f %.0f\n", median(times[0], ROUNDS),
	       median(times[1], ROUNDS), median(times[2], ROUNDS));
	CHECK(ioctl(zlr_device, ZLR_FORGET, &call) == 0);
}

static void open_many(void *context)
{
	int count = *(int *)context, fd = open("/dev/null", O_RDONLY);

	for (int i = 0; i < count - 5; i++)
		CHECK(dup2(fd, 100 + i) == 100 + i);
	close(fd);
}

static void table_3_1(int count)
{
	enum { LIVES = 21 };
	double phases[4][LIVES];
	struct agent agent = agent_start_with(open_many, &count, true);

	for (unsigned int i = 0; i < LIVES; i++) {
		unsigned long long at[4];

		next_generation(&agent, SIGSEGV, i + 2);
		CHECK(sscanf(ask(&agent, "phases"), "%llu %llu %llu %llu", &at[0], &at[1], &at[2], &at[3]) == 4);
		for (int phase = 0; phase < 4; phase++)
			phases[phase][i] = at[phase] / 1e3;
		CHECK(ask(&agent, "register 0")[0] == '0');
	}
	printf("# table 3.1 with %d channels: us of keeping %.1f, thread %.1f, restoring %.1f, executing %.1f\n", count,
	       median(phases[0], LIVES), median(phases[1], LIVES), median(phases[2], LIVES), median(phases[3], LIVES));
	agent_end(&agent);
}

static unsigned long long busy_ticks(void)
{
	unsigned long long user, nice, system;
	FILE *stat = fopen("/proc/stat", "re");

	CHECK(stat && fscanf(stat, "cpu %llu %llu %llu", &user, &nice, &system) == 3);
	fclose(stat);
	return user + nice + system;
}

/* A kernel that has just been booted has work of its own for some seconds. */
static void await_quiet(void)
{
	unsigned long long before, now = busy_ticks();

	do {
		before = now;
		usleep(500000);
		now = busy_ticks();
	} while (now - before > 2);
}

int bench_main(void)
{
	struct rlimit limit = { 20000, 20000 };

	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	set_parameter("threshold_ms", "0");
	await_quiet();
	figure_3_11();
	table_3_1(10);
	set_parameter("threshold_ms", "0");
	table_3_1(100);
	table_3_1(1000);
	table_3_1(10000);
	figure_3_10();
	figure_3_9();
	printf("ok bench: all figures\n");
	return 0;
}
