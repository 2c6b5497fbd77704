// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random calls from many threads and processes, of which many die registered, for 60 seconds. Nothing is expected of
 * any single call; at the end nothing may be held, and the kernel must have nothing to complain of (init).
 * The seed is printed; ZLR_SEED repeats it as far as the scheduler does.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 60
#define PROCESSES 6
#define THREADS 3
#define FDS 64

/* What all processes share: services to stand by, pids to forget, and how much was done. */
static struct {
	uint64_t services[16];
	pid_t pids[16];
	uint64_t calls, deaths;
	int stop;
} *shared;

static __thread unsigned int seed;

/* Where bytes are read to, by all threads; what is behind it cannot be written. */
#define BUFFER 65536
static char *buffer;

static unsigned int pick(unsigned int below)
{
	return rand_r(&seed) % below;
}

static int some_fd(void)
{
	return pick(20) ? (int)(3 + pick(FDS)) : (int)pick(1 << 20) - 100;
}

/* Mostly sensible, else an extreme. */
static uint64_t some_length(void)
{
	static const uint64_t extremes[] = { 0, 1, 4095, 4096, 4097, 1 << 20, 1ull << 31, 1ull << 32, 1ull << 63, ~0ull };

	return pick(4) ? pick(9000) : extremes[pick(10)];
}

static uint64_t some_address(void *good)
{
	static const uint64_t bad[] = { 0, 8, 0x7ffffffff000, 0x800000000000, 0xffff888000000000, ~0ull };

	return pick(8) ? (uintptr_t)good : bad[pick(6)];
}

static void call_hread(void)
{
	struct zlr_hread call = {
		.fd = some_fd(), .reserved = pick(50) ? 0 : pick(9), .buf = some_address(buffer),
		.rlen = pick(10) ? pick(BUFFER) : some_length(), .dlen = some_length(),
	};

	ioctl(zlr_device, ZLR_HREAD, &call);
}

static void call_reregist(void)
{
	static const char *const programs[] = { PROGRAM, PROGRAM, PROGRAM, "/no/such", "/tmp", "relative" };
	const char *program = programs[pick(6)];
	char argv[] = PROGRAM "\0fuzzed\0x", envp[] = "A=B\0C=D";
	struct zlr_reregist call = {
		.abi = pick(30) ? ZLR_ABI : pick(5), .child_id = pick(9), .path = some_address((void *)program),
		.path_len = pick(15) ? strlen(program) + 1 : some_length(), .argv = some_address(argv),
		.argv_len = pick(15) ? sizeof(argv) : some_length(), .envp = some_address(envp),
		.envp_len = pick(15) ? sizeof(envp) : some_length(), .threshold_ms = pick(3) ? 0 : pick(50),
	};

	if (ioctl(zlr_device, ZLR_REREGIST, &call) == 0) {
		shared->services[pick(16)] = call.service;
		shared->pids[pick(16)] = getpid();
	}
}

static void call_standby(void)
{
	struct zlr_standby call = { .abi = ZLR_ABI, .service = shared->services[pick(16)] };
	int fd = open(ZLR_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	for (int i = 0; i < 3; i++) {
		ioctl(fd, ZLR_STANDBY, &call);
		usleep(pick(500)); /* deaths come at any instant of the wait */
	}
	close(fd);
}

static void open_tcp(int ends[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* Any of it may fail, of descriptors that others close. */
	listen(listening, 1);
	getsockname(listening, (struct sockaddr *)&address, &length);
	ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	connect(ends[1], (struct sockaddr *)&address, length);
	fcntl(listening, F_SETFL, O_NONBLOCK);
	ends[0] = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
	close(listening);
}

static void open_something(void)
{
	int ends[2] = { -1, -1 }, at = 3 + pick(FDS);

	switch (pick(5)) {
	case 3:
		open_tcp(ends);
		break;
	case 0:
		pipe2(ends, O_NONBLOCK);
		break;
	case 1:
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends);
		break;
	case 2:
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends);
		break;
	default:
		ends[0] = open("/dev/zero", O_RDWR | O_NONBLOCK);
		break;
	}
	if (at != zlr_device && at + 1 != zlr_device) {
		dup2(ends[0], at);
		dup2(ends[1], at + 1);
	}
	close(ends[0]);
	close(ends[1]);
}

static void one_call(void)
{
	static __thread char blob[16384];
	struct zlr_forget forget = { .pid = pick(3) ? shared->pids[pick(16)] : 0 };
	struct zlr_reginfo info = { .abi = ZLR_ABI, /* not what fits, but behind it is the wall */
				   .text = some_address(buffer), .text_size = some_length() };
	struct zlr_books now = { .fd = some_fd() };

	__atomic_add_fetch(&shared->calls, 1, __ATOMIC_RELAXED);
	switch (pick(16)) {
	case 0:
		call_reregist();
		break;
	case 1:
		ioctl(zlr_device, ZLR_GETREGINFO, some_address(&info));
		break;
	case 2:
		ioctl(zlr_device, ZLR_FORGET, &forget);
		break;
	case 3:
		ioctl(zlr_device, ZLR_BOOKS, &now);
		break;
	case 4:
		call_standby();
		break;
	case 5:
		ioctl(zlr_device, ZLR_SEGMENTS);
		break;
	case 6:
		for (size_t i = 0; i < 1024; i++)
			blob[i] = rand_r(&seed);
		ioctl(zlr_device, pick(2) ? _IOC(pick(4), 0xD7, pick(12), pick(1024)) : (unsigned int)rand_r(&seed), blob);
		break;
	case 7:
	case 8:
		open_something();
		break;
	case 9:
		if (pick(4) == 0)
			close(3 + pick(FDS) == (unsigned int)zlr_device ? -1 : (int)(3 + pick(FDS)));
		break;
	case 10:
	case 11:
		/* Small and large ones: TCP's are held with copies and without. */
		if (write(3 + pick(FDS), blob, pick(2) ? pick(512) : pick(sizeof(blob))) < 0)
			errno = 0;
		break;
	default:
		call_hread();
	}
}

static void *hammer(void *argument)
{
	seed = (uintptr_t)argument;
	/* A random close may hit the device; then this life is useless and ends. */
	while (!shared->stop && pick(400) && fcntl(zlr_device, F_GETFD) >= 0)
		one_call();
	return NULL;
}

/* One process: its threads call, then it ends in some way. */
static void life(unsigned int from)
{
	static const int signals[] = { SIGKILL, SIGSEGV, SIGABRT, SIGTERM };
	pthread_t threads[THREADS];

	seed = from;
	buffer = mmap(NULL, 2 * BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(buffer != MAP_FAILED && mprotect(buffer + BUFFER, BUFFER, PROT_NONE) == 0);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, hammer, (void *)(uintptr_t)rand_r(&seed));
	if (pick(2)) {
		usleep(pick(20000)); /* it dies in the midst of its calls, or after them */
	} else {
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
	}
	if (pick(3) && !shared->stop) {
		__atomic_add_fetch(&shared->deaths, 1, __ATOMIC_RELAXED);
		kill(getpid(), signals[pick(4)]);
	}
	_exit(pick(2));
}

static void use_shared(const char *how)
{
	int fd = open("/tmp/fuzz", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && ftruncate(fd, sizeof(*shared)) == 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(shared != MAP_FAILED && how);
	close(fd);
}

/* A generation that the kernel started. */
int fuzzed_main(void)
{
	use_shared("again");
	if (shared->stop)
		return 0;
	life(getpid() * 2654435761u);
	return 0;
}

int fuzz_main(void)
{
	const char *given = getenv("ZLR_SEED");
	unsigned int first = given ? strtoul(given, NULL, 0) : (unsigned int)(seconds() * 1e6);
	double end = seconds() + SECONDS;

	set_parameter("threshold_ms", "0");
	set_parameter("standby_ms", "50");
	/* So that the bounds are met. */
	set_parameter("hold_user_max", "2000000");
	use_shared("first");
	printf("# seed %u\n", first);
	fflush(stdout);
	for (int i = 0; i < PROCESSES || seconds() < end; i++) {
		if (i >= PROCESSES)
			wait(NULL);
		if (!fork())
			life(first + i);
	}
	shared->stop = 1;
	while (wait(NULL) > 0)
		;
	printf("# %llu calls, %llu deaths, %llu restarts, %llu given up\n", (unsigned long long)shared->calls,
	       (unsigned long long)shared->deaths, (unsigned long long)totals().restarts, (unsigned long long)totals().given_up);
	await_totals_zero();
	printf("ok fuzz: random calls and deaths for %d s leave nothing behind\n", SECONDS);
	return 0;
}
