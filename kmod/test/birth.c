// SPDX-License-Identifier: GPL-2.0-only
/* What the next generation inherits (thesis, section 3.3), and that it is no more than the dead one had. */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Asks each question in this life and in the next; the answers must be the same. */
static void same_in_the_next_life(struct agent *agent, const char *const questions[], unsigned int generation)
{
	char before[16][4096];

	for (int i = 0; questions[i]; i++)
		snprintf(before[i], sizeof(before[i]), "%s", ask(agent, "%s", questions[i]));
	next_generation(agent, SIGSEGV, generation);
	for (int i = 0; questions[i]; i++) {
		const char *now = ask(agent, "%s", questions[i]);

		if (strcmp(before[i], now)) {
			printf("# %s: \"%s\" became \"%s\"\n", questions[i], before[i], now);
			fail(__FILE__, __LINE__, questions[i]);
		}
	}
}

static void become_somebody(void *unused)
{
	(void)unused;
	CHECK(chmod(ZLR_DEVICE, 0666) == 0);
	CHECK(setgroups(2, (gid_t[]){ 100, 200 }) == 0 && setresgid(10, 11, 12) == 0 && setresuid(1000, 1000, 1000) == 0);
}

static void credentials(void)
{
	struct agent agent = agent_start_with(become_somebody, NULL, true);

	/* Executing made the saved group the effective one. */
	CHECK(same(ask(&agent, "identity"), "1000 1000 1000 / 10 11 11 / 100 200"));
	same_in_the_next_life(&agent,
			      (const char *[]){ "identity", "status CapInh", "status CapPrm", "status CapEff", "status CapBnd",
						"status CapAmb", "link /proc/self/ns/user", NULL },
			      2);
	CHECK(strstr(ask(&agent, "status CapEff"), "0000000000000000"));
	CHECK(chmod(ZLR_DEVICE, 0660) == 0);
	agent_end(&agent);
}

static void drop_most(void *unused)
{
	(void)unused;
	for (int capability = 0; capability < 64; capability++)
		if (capability != 7)
			prctl(PR_CAPBSET_DROP, capability);
}

static void a_bounding_set(void)
{
	struct agent agent = agent_start_with(drop_most, NULL, true);

	CHECK(strstr(ask(&agent, "status CapBnd"), "0000000000000080"));
	same_in_the_next_life(&agent, (const char *[]){ "status CapBnd", "status CapPrm", "status CapEff", NULL }, 2);
	agent_end(&agent);
}

static void privileges_given_up_after_registering(void)
{
	/* What counts is who it was when it died. */
	struct agent agent = agent_start(true);

	CHECK(chmod(ZLR_DEVICE, 0666) == 0);
	CHECK(!strcmp(ask(&agent, "become 1000"), "0"));
	next_generation(&agent, SIGSEGV, 2);
	CHECK(!strncmp(ask(&agent, "identity"), "1000 1000 1000 / 1000 1000 1000 /", 33));
	CHECK(chmod(ZLR_DEVICE, 0660) == 0);
	agent_end(&agent);
}

static void surroundings(void *unused)
{
	struct rlimit core = { 12345, 54321 }, files = { 2000, 3000 };
	cpu_set_t one;

	(void)unused;
	CHECK(mkdir("/tmp/there", 0700) == 0 || errno == EEXIST);
	CHECK(chdir("/tmp/there") == 0);
	umask(027);
	CHECK(setrlimit(RLIMIT_CORE, &core) == 0 && setrlimit(RLIMIT_NOFILE, &files) == 0);
	CHECK(setpriority(PRIO_PROCESS, 0, 7) == 0);
	CPU_ZERO(&one);
	CPU_SET(1, &one);
	CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
	setenv("WORD", "with spaces", 1);
}

static void directory_limits_and_environment(void)
{
	struct agent agent = agent_start_with(surroundings, NULL, true);

	CHECK(!strcmp(ask(&agent, "link /proc/self/cwd"), "/tmp/there"));
	CHECK(!strcmp(ask(&agent, "umask"), "27") && !strcmp(ask(&agent, "nice"), "7"));
	CHECK(!strcmp(ask(&agent, "affinity"), "1"));
	CHECK(strstr(ask(&agent, "file /proc/self/environ"), "WORD=with spaces"));
	same_in_the_next_life(&agent,
			      (const char *[]){ "link /proc/self/cwd", "link /proc/self/root", "link /proc/self/exe", "umask", "nice",
						"limit 4", "limit 7", "limit 6", "affinity", "file /proc/self/environ",
						"file /proc/self/oom_score_adj", NULL },
			      2);
	CHECK(!strcmp(ask(&agent, "file /proc/self/cmdline"), PROGRAM " agent "));
	agent_end(&agent);
}

static void change_root(void *unused)
{
	(void)unused;
	mkdir("/tmp/root", 0755);
	mkdir("/tmp/root/dev", 0755);
	mkdir("/tmp/root/proc", 0755);
	CHECK(mount("dev", "/tmp/root/dev", "devtmpfs", 0, "") == 0 && mount("proc", "/tmp/root/proc", "proc", 0, "") == 0);
	CHECK(system("/bin/busybox cp " PROGRAM " /tmp/root/") == 0);
	CHECK(chroot("/tmp/root") == 0 && chdir("/") == 0);
}

static void a_root_of_its_own(void)
{
	struct agent agent = agent_start_with(change_root, NULL, true);

	next_generation(&agent, SIGSEGV, 2);
	/* As seen from outside. */
	{
		char path[64], target[64] = "";

		snprintf(path, sizeof(path), "/proc/%s/root", ask(&agent, "pid"));
		CHECK(readlink(path, target, sizeof(target)) > 0 && !strcmp(target, "/tmp/root"));
	}
	agent_end(&agent);
	CHECK(umount2("/tmp/root/dev", MNT_DETACH) == 0 && umount2("/tmp/root/proc", MNT_DETACH) == 0);
}

static void unshare_all(void *unused)
{
	(void)unused;
	CHECK(unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP) == 0);
}

static void namespaces(void)
{
	struct agent agent = agent_start_with(unshare_all, NULL, true);
	char own[64] = "";

	CHECK(readlink("/proc/self/ns/net", own, sizeof(own)) > 0);
	CHECK(strcmp(ask(&agent, "link /proc/self/ns/net"), own));
	same_in_the_next_life(&agent,
			      (const char *[]){ "link /proc/self/ns/net", "link /proc/self/ns/mnt", "link /proc/self/ns/uts",
						"link /proc/self/ns/ipc", "link /proc/self/ns/cgroup", "link /proc/self/ns/pid", NULL },
			      2);
	agent_end(&agent);
}

static void join_cgroup(void *unused)
{
	int fd;

	(void)unused;
	CHECK(mkdir("/sys/fs/cgroup/service", 0755) == 0 || errno == EEXIST);
	fd = open("/sys/fs/cgroup/service/cgroup.procs", O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0 && write(fd, "0", 1) == 1);
	close(fd);
}

static bool cgroup_removed(void *unused)
{
	(void)unused;
	return rmdir("/sys/fs/cgroup/service") == 0;
}

static void control_group(void)
{
	struct agent agent = agent_start_with(join_cgroup, NULL, true);

	CHECK(!strcmp(ask(&agent, "file /proc/self/cgroup"), "0::/service"));
	same_in_the_next_life(&agent, (const char *[]){ "file /proc/self/cgroup", NULL }, 2);
	agent_end(&agent);
	await(cgroup_removed, NULL, "the group can be removed");
}

static void no_new_privileges(void)
{
	struct agent agent = agent_start(true);

	CHECK(!strcmp(ask(&agent, "no-new-privs"), "0"));
	CHECK(strstr(ask(&agent, "status NoNewPrivs"), "1"));
	same_in_the_next_life(&agent, (const char *[]){ "status NoNewPrivs", NULL }, 2);
	agent_end(&agent);
}

static void a_filter_cannot_be_given_so_nothing_is_started(void)
{
	struct agent agent = agent_start(true);

	CHECK(!strcmp(ask(&agent, "seccomp"), "0"));
	tell(&agent, "die 11");
	CHECK(answer(&agent) == NULL);
}

static void own_pid_namespace(void *unused)
{
	(void)unused;
	CHECK(unshare(CLONE_NEWPID) == 0);
	/* Only children are in it, and the first is its init, which no signal of its own can kill. */
	for (int i = 0; i < 2; i++) {
		if (fork()) {
			wait(NULL);
			_exit(0);
		}
	}
}

static void nor_in_a_pid_namespace(void)
{
	struct agent agent = agent_start_with(own_pid_namespace, NULL, true);

	tell(&agent, "die 11");
	CHECK(answer(&agent) == NULL);
}

static void a_program_that_cannot_be_executed(void)
{
	static const char *const paths[] = { "/no/such/file", "/tmp", "/tmp/script-without-anything", "/proc/version" };
	int fd = open("/tmp/script-without-anything", O_CREAT | O_WRONLY | O_CLOEXEC, 0755);

	close(fd);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		struct agent agent = agent_start(true);

		CHECK(!strcmp(ask(&agent, "register-path %s", paths[i]), "0"));
		tell(&agent, "die 11");
		/* All its channels are closed, this one among them. */
		CHECK(answer(&agent) == NULL);
		await_totals_zero();
	}
}

static void nobody_else_may_execute_it(void)
{
	struct agent agent;

	CHECK(system("/bin/busybox cp " PROGRAM " /tmp/roots-own") == 0 && chmod("/tmp/roots-own", 0700) == 0);
	/* A registrant that lies: the kernel, which starts it, could; he could not. */
	agent = agent_start_with(become_somebody, NULL, true);
	CHECK(!strcmp(ask(&agent, "register-path /tmp/roots-own"), "0"));
	tell(&agent, "die 11");
	CHECK(answer(&agent) == NULL);
	CHECK(chmod(ZLR_DEVICE, 0660) == 0);
}

static void segments(void)
{
	struct agent agent = agent_start(true);
	int id;
	unsigned long long address;
	char expected[64];
	const char *got = ask(&agent, "attach");

	CHECK(sscanf(got, "%d %llx", &id, &address) == 2 && strstr(got, "noted=1"));
	next_generation(&agent, SIGSEGV, 2);
	/* The next life has attached none yet, and is told of those of the former. */
	snprintf(expected, sizeof(expected), "1: %d %llx 12288", id, address);
	CHECK(!strcmp(ask(&agent, "segments"), expected));
	agent_end(&agent);
}

static void phases_are_measured(void)
{
	struct agent agent = agent_start(true);
	unsigned long long keep, thread, restore, exec;

	next_generation(&agent, SIGSEGV, 2);
	CHECK(sscanf(ask(&agent, "phases"), "%llu %llu %llu %llu", &keep, &thread, &restore, &exec) == 4);
	CHECK(keep > 0 && thread > 0 && restore > 0 && exec > 0);
	agent_end(&agent);
}

const struct test birth_tests[] = {
	{ "user, groups and capabilities", credentials },
	{ "a bounding set", a_bounding_set },
	{ "privileges that were given up after registering stay so", privileges_given_up_after_registering },
	{ "directory, umask, nice, limits, processors, environment", directory_limits_and_environment },
	{ "a root of its own", a_root_of_its_own },
	{ "namespaces", namespaces },
	{ "control group", control_group },
	{ "no_new_privs", no_new_privileges },
	{ "under a seccomp filter nothing is started, all is released", a_filter_cannot_be_given_so_nothing_is_started },
	{ "nor in a pid namespace", nor_in_a_pid_namespace },
	{ "a program that cannot be executed: all is released", a_program_that_cannot_be_executed },
	{ "nor may it execute what its user may not", nobody_else_may_execute_it },
	{ "attached segments are listed", segments },
	{ "the phases are measured", phases_are_measured },
	{ 0 },
};
