// SPDX-License-Identifier: GPL-2.0-only
/*
 * The agent: a service as the thesis wants one (its figure 4.3), that does on command what a service may do. It
 * prints one line for each command.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static FILE *in, *out;
extern char **environ;

static void *thread_that_ends(void *unused)
{
	return unused;
}

static void *thread_that_dies(void *signal)
{
	await_main_thread('Z');
	kill(getpid(), (int)(intptr_t)signal);
	pause();
	return NULL;
}

static void *thread_that_sleeps(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void print_link(const char *path)
{
	char target[4096];
	ssize_t length = readlink(path, target, sizeof(target) - 1);

	fprintf(out, "%.*s\n", (int)(length < 0 ? 0 : length), target);
}

static void print_file(const char *path)
{
	char text[4096] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	close(fd);
	for (ssize_t i = 0; i < length; i++)
		if (text[i] == '\n' || !text[i])
			text[i] = i + 1 == length ? 0 : ' ';
	fprintf(out, "%s\n", text);
}

static void print_identity(void)
{
	uid_t u[3];
	gid_t g[3], groups[32];
	int count = getgroups(32, groups);

	getresuid(&u[0], &u[1], &u[2]);
	getresgid(&g[0], &g[1], &g[2]);
	fprintf(out, "%d %d %d / %d %d %d /", u[0], u[1], u[2], g[0], g[1], g[2]);
	for (int i = 0; i < count; i++)
		fprintf(out, " %d", groups[i]);
	fprintf(out, "\n");
}

static void print_status_line(const char *name)
{
	char line[256];
	FILE *status = fopen("/proc/self/status", "re");

	while (fgets(line, sizeof(line), status))
		if (!strncmp(line, name, strlen(name)))
			fprintf(out, "%s", line);
	fclose(status);
}

static void print_descriptors(void)
{
	for (int fd = 0; fd < 20000; fd++)
		if (fd != AGENT_FD && fd != zlr_device && fcntl(fd, F_GETFD) >= 0)
			fprintf(out, "%d ", fd);
	fprintf(out, "\n");
}

static void print_info(void)
{
	struct zlr_reginfo info = { 0 };
	int result = getreginfo(&info);

	fprintf(out, "%d flags=%u child=%u generation=%u signal=%u code=%u pid=%d channels=%u segments=%u time=%lld\n", result,
		info.flags, info.child_id, info.generation, info.fault_signal, info.fault_code, info.fault_pid, info.channels,
		info.segments, (long long)info.fault_time);
}

static int own_register(unsigned int child_id, unsigned int threshold, uint64_t *service)
{
	char *argv[] = { PROGRAM, "agent", "", NULL };

	return reregist(PROGRAM, argv, environ, child_id, threshold, service);
}

static void sleep_until_killed(int signal)
{
	kill(getpid(), signal);
	for (;;)
		pause();
}

static void obey(char *line)
{
	char word[32] = "", text[4096] = "";
	int a = 0, b = 0, c = 0;
	uint64_t service = 0;
	pthread_t thread;

	sscanf(line, "%31s %4095[^\n]", word, text);
	sscanf(text, "%d %d %d", &a, &b, &c);
	if (!strcmp(word, "register")) {
		int result = own_register(a, b ? (unsigned int)b : ZLR_THRESHOLD_DEFAULT, &service);

		fprintf(out, "%d %llu\n", result < 0 ? -errno : result, (unsigned long long)service);
	} else if (!strcmp(word, "die")) {
		sleep_until_killed(a);
	} else if (!strcmp(word, "segfault")) {
		signal(SIGSEGV, SIG_DFL);
		*(volatile int *)strtoul("8", NULL, 0) = 0;
	} else if (!strcmp(word, "exit")) {
		_exit(a);
	} else if (!strcmp(word, "exec")) {
		char *argv[] = { PROGRAM, "agent", "", NULL };

		execv(PROGRAM, argv);
	} else if (!strcmp(word, "thread")) {
		pthread_create(&thread, NULL, thread_that_ends, NULL);
		pthread_join(thread, NULL);
		fprintf(out, "joined\n");
	} else if (!strcmp(word, "threads")) {
		for (int i = 0; i < a; i++)
			pthread_create(&thread, NULL, thread_that_sleeps, NULL);
		fprintf(out, "started\n");
	} else if (!strcmp(word, "main-ends")) {
		pthread_create(&thread, NULL, thread_that_dies, (void *)(intptr_t)a);
		syscall(SYS_exit, 0);
	} else if (!strcmp(word, "info")) {
		print_info();
	} else if (!strcmp(word, "forget")) {
		struct zlr_forget call = { .pid = a };

		fprintf(out, "%d\n", ioctl(zlr_device, ZLR_FORGET, &call) ? -errno : 0);
	} else if (!strcmp(word, "pid")) {
		fprintf(out, "%d\n", getpid());
	} else if (!strcmp(word, "identity")) {
		print_identity();
	} else if (!strcmp(word, "status")) {
		print_status_line(text);
	} else if (!strcmp(word, "link")) {
		print_link(text);
	} else if (!strcmp(word, "file")) {
		print_file(text);
	} else if (!strcmp(word, "descriptors")) {
		print_descriptors();
	} else if (!strcmp(word, "limit")) {
		struct rlimit limit;

		getrlimit(a, &limit);
		fprintf(out, "%llu %llu\n", (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
	} else if (!strcmp(word, "nice")) {
		fprintf(out, "%d\n", getpriority(PRIO_PROCESS, 0));
	} else if (!strcmp(word, "umask")) {
		mode_t mask = umask(0);

		umask(mask);
		fprintf(out, "%o\n", mask);
	} else if (!strcmp(word, "affinity")) {
		cpu_set_t set;

		sched_getaffinity(0, sizeof(set), &set);
		fprintf(out, "%d\n", CPU_COUNT(&set));
	} else if (!strcmp(word, "hread")) { /* fd rlen dlen */
		char data[4096];
		ssize_t got = hread(a, data, b, c);

		fprintf(out, "%zd ", got < 0 ? -errno : got);
		if (got > 0)
			fwrite(data, 1, got, out);
		fprintf(out, "\n");
	} else if (!strcmp(word, "write")) { /* fd, then text */
		char *rest = strchr(text, ' ');

		fprintf(out, "%zd\n", write(a, rest + 1, strlen(rest + 1)));
	} else if (!strcmp(word, "read")) { /* fd length */
		char data[4096];
		ssize_t got = read(a, data, b);

		fprintf(out, "%zd %.*s\n", got < 0 ? -errno : got, (int)(got < 0 ? 0 : got), data);
	} else if (!strcmp(word, "take")) { /* the descriptor that comes with the next byte */
		char control[CMSG_SPACE(sizeof(int))], byte;
		struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
		struct msghdr message = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control),
		};
		int fd;

		recvmsg(AGENT_FD, &message, MSG_CMSG_CLOEXEC);
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
		fprintf(out, "%d\n", dup2(fd, a));
		close(fd);
	} else if (!strcmp(word, "close")) {
		fprintf(out, "%d\n", close(a));
	} else if (!strcmp(word, "accept")) { /* listening socket, number that the connection shall have */
		int fd = accept4(a, NULL, NULL, SOCK_CLOEXEC);

		fprintf(out, "%d\n", dup3(fd, b, O_CLOEXEC));
		close(fd);
	} else if (!strcmp(word, "epoll")) { /* inherited by exec, unlike those of a runtime */
		int fd = epoll_create1(0);

		fprintf(out, "%d\n", dup2(fd, a));
		close(fd);
	} else if (!strcmp(word, "open")) { /* number, then path: to be closed by exec */
		int fd = open(strchr(text, ' ') + 1, O_RDWR | O_CLOEXEC);

		fprintf(out, "%d\n", dup3(fd, a, O_CLOEXEC));
		close(fd);
	} else if (!strcmp(word, "listen")) { /* port: to be closed by exec, and not marked */
		struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(a) };
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		int error = bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1) ? errno : 0;

		fprintf(out, "%d\n", error);
	} else if (!strcmp(word, "share")) { /* another process has the same table */
		pid_t pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);

		if (!pid)
			for (;;)
				pause();
		fprintf(out, "%d\n", pid);
	} else if (!strcmp(word, "register-path")) {
		char *argv[] = { PROGRAM, "agent", "", NULL };

		fprintf(out, "%d\n", reregist(text, argv, environ, 1, ZLR_THRESHOLD_DEFAULT, NULL) ? -errno : 0);
	} else if (!strcmp(word, "seccomp")) {
		struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
		struct sock_fprog program = { .len = 1, .filter = &allow };

		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		fprintf(out, "%d\n", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	} else if (!strcmp(word, "no-new-privs")) {
		fprintf(out, "%d\n", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	} else if (!strcmp(word, "become")) {
		fprintf(out, "%d\n", setgroups(0, NULL) || setresgid(a, a, a) || setresuid(a, a, a) ? -errno : 0);
	} else if (!strcmp(word, "phases")) {
		struct zlr_reginfo info = { 0 };

		getreginfo(&info);
		fprintf(out, "%llu %llu %llu %llu\n", (unsigned long long)info.phases.keep,
			(unsigned long long)info.phases.thread, (unsigned long long)info.phases.restore,
			(unsigned long long)info.phases.exec);
	} else if (!strcmp(word, "attach")) {
		int id = shmget(IPC_PRIVATE, 4096 * 3, IPC_CREAT | 0600);
		void *at = shmat(id, NULL, 0);

		fprintf(out, "%d %llx noted=%d\n", id, (unsigned long long)(uintptr_t)at, ioctl(zlr_device, ZLR_SEGMENTS));
	} else if (!strcmp(word, "segments")) {
		struct zlr_reginfo info = { 0 };

		getreginfo(&info);
		fprintf(out, "%u: %d %llx %llu\n", info.segments, info.segment[0].shmid,
			(unsigned long long)info.segment[0].address, (unsigned long long)info.segment[0].size);
		shmctl(info.segment[0].shmid, IPC_RMID, NULL);
	} else {
		fprintf(out, "what is %s?\n", word);
	}
}

int agent_main(int argc, char **argv)
{
	char line[4200];
	struct zlr_reginfo info = { 0 };

	in = fdopen(dup(AGENT_FD), "r");
	fcntl(fileno(in), F_SETFD, FD_CLOEXEC);
	out = fdopen(AGENT_FD, "w");
	/* A line at a time: what one life has not read is the next one's. */
	setvbuf(in, NULL, _IONBF, 0);
	setvbuf(out, NULL, _IOLBF, 4096);
	CHECK(getreginfo(&info) >= 0);
	if (argc > 2 && !strcmp(argv[2], "register"))
		CHECK(own_register(7, ZLR_THRESHOLD_DEFAULT, NULL) == 0);
	fprintf(out, "generation %u\n", info.generation);
	while (fgets(line, sizeof(line), in))
		obey(line);
	return 0;
}
