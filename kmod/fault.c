// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault detection (thesis, section 3.1), where every thread passes on its way out: the tracepoint sched_process_exit
 * stands in do_exit() behind the address space and before the open files. The thesis patched do_exit() itself.
 *
 * A probe may not sleep. It decides and takes references; the work item does the rest.
 */
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/tracepoint.h>
#include "service.h"

static uint threshold_ms = 60000;
module_param(threshold_ms, uint, 0644);
MODULE_PARM_DESC(threshold_ms, "a fault sooner than this after a restart is fast (60000)");

static uint fast_faults_max = 1;
module_param(fast_faults_max, uint, 0644);
MODULE_PARM_DESC(fast_faults_max, "this many fast faults in a row are a software bug: no restart (1, as in the thesis)");

/* How the thread group ended, as its parent will be told. */
static u32 exit_code(struct task_struct *task)
{
	/* A group that was told to end has one code for all; else it is that of its last thread. */
	if (task->signal->flags & SIGNAL_GROUP_EXIT)
		return task->signal->group_exit_code;
	return task->exit_code;
}

enum verdict { ORDERLY, RESTART, BUG, STILLBORN };

/*
 * Its user or its administrator asked it to end, and it did: there is no supervisor whom one could ask instead. A
 * request that must not be ignored is SIGKILL, and a fault: the kernel's own, for want of memory, is the same.
 */
static bool was_asked(u32 signal)
{
	return signal == SIGTERM || signal == SIGINT || signal == SIGHUP;
}

/* The caller holds zlr_services_lock. */
static enum verdict judge(struct zlr_service *service, u32 code)
{
	u32 status = (code >> 8) & 0xff;
	u32 threshold = service->threshold_ms;

	if (code & 0x7f ? was_asked(code & 0x7f) : status == 0 || status == ZLR_EX_CONFIG)
		return ORDERLY;

	service->stillborn = service->registered ? 0 : service->stillborn + 1;
	if (threshold == ZLR_THRESHOLD_DEFAULT)
		threshold = threshold_ms;
	if (service->generation > 1 && ktime_ms_delta(ktime_get_boottime(), service->restarted) < threshold)
		service->fast_faults++;
	else
		service->fast_faults = 0;

	if (service->stillborn >= ZLR_STILLBORN_MAX)
		return STILLBORN;
	if (service->fast_faults && service->fast_faults >= fast_faults_max)
		return BUG;
	return RESTART;
}

static void on_exit(void *unused, struct task_struct *task)
{
	struct zlr_service *service;
	ktime_t now = ktime_get();
	enum verdict verdict;
	bool taken = false;
	u32 code;

	/* A thread that goes while others stay is no death. Several may see 0 here; the state lets one of them pass. */
	if (atomic_read(&task->signal->live))
		return;
	service = zlr_service_of(task_tgid(task));
	if (!service)
		return;

	code = exit_code(task);
	spin_lock(&zlr_services_lock);
	if (service->state != ZLR_LIVE && service->state != ZLR_STARTING) {
		spin_unlock(&zlr_services_lock);
		goto put;
	}
	verdict = judge(service, code);
	if (verdict == RESTART && service->state == ZLR_LIVE) {
		taken = true;
		service->fault_signal = code & 0x7f;
		service->fault_code = (code >> 8) & 0xff;
		service->fault_pid = task_tgid_nr(task);
		service->fault_time = ktime_get_real_ns();
		zlr_service_leave(service, ZLR_FAULTED);
	}
	spin_unlock(&zlr_services_lock);

	if (taken) {
		service->estate.died = now;
		zlr_estate_take(&service->estate);
		service->phases.keep = ktime_to_ns(ktime_sub(ktime_get(), now));
		queue_work(zlr_wq, &service->restart);
		goto put;
	}
	if (verdict == BUG || verdict == STILLBORN) {
		zlr_count_given_up();
		pr_warn_ratelimited("service %d (%s), generation %u: %s; it is not restarted and its channels are closed\n",
				    task_tgid_nr(task), task->comm, service->generation,
				    verdict == BUG ? "died soon after a restart, which looks like a software bug" :
						     "many generations died before they registered");
	}
	zlr_service_end(service, ZLR_LIVE);
	/* Killed before its program ran: whoever started it finds the state changed. */
	zlr_service_end(service, ZLR_STARTING);
put:
	zlr_service_put(service);
}

/* Another program does not know of the registration; the program of a next generation is what was registered. */
static void on_exec(void *unused, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct zlr_service *service = zlr_service_of(task_tgid(task));
	bool born = false;

	if (!service)
		return;
	spin_lock(&zlr_services_lock);
	if (service->state == ZLR_STARTING) {
		service->state = ZLR_LIVE;
		born = true;
	}
	spin_unlock(&zlr_services_lock);
	if (!born)
		zlr_service_end(service, ZLR_LIVE);
	zlr_service_put(service);
}

static struct {
	const char *name;
	void *probe;
	struct tracepoint *point;
	bool registered;
} probes[] = {
	{ "sched_process_exit", on_exit },
	{ "sched_process_exec", on_exec },
};

static void find_point(struct tracepoint *point, void *unused)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(probes); i++)
		if (!strcmp(point->name, probes[i].name))
			probes[i].point = point;
}

int zlr_fault_init(void)
{
	int i, error;

	for_each_kernel_tracepoint(find_point, NULL);
	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		error = probes[i].point ? tracepoint_probe_register(probes[i].point, probes[i].probe, NULL) : -ENOENT;
		if (error) {
			pr_err("the tracepoint %s cannot be used: %d\n", probes[i].name, error);
			zlr_fault_exit();
			return error;
		}
		probes[i].registered = true;
	}
	return 0;
}

void zlr_fault_exit(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(probes); i++)
		if (probes[i].registered)
			tracepoint_probe_unregister(probes[i].point, probes[i].probe, NULL);
	tracepoint_synchronize_unregister();
}
