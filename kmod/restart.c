// SPDX-License-Identifier: GPL-2.0-only
/*
 * The restart manager (thesis, section 3.3, figure 3.8). The next generation is a standby, if one waits; else the
 * kernel starts the registered program.
 */
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/umh.h>
#include "service.h"

static uint standby_ms = 1000;
module_param(standby_ms, uint, 0644);
MODULE_PARM_DESC(standby_ms, "how long a standby may take to come for its channels (1000)");

/* One start of a program by the kernel. */
struct start {
	struct zlr_service *service;
	struct zlr_text *text; /* kept until the program has its copy */
	bool entered;
	ktime_t began; /* when its thread ran */
};

static void fail(struct zlr_service *service, const char *what, int error)
{
	pr_warn_ratelimited("the next generation of process %d could not be started: %s: error %d; its channels are closed\n",
			    service->fault_pid, what, error);
	zlr_service_end(service, ZLR_STARTING);
}

/* Runs in the new thread, which will be the next generation. */
static int enter(struct subprocess_info *info, struct cred *new)
{
	struct start *start = info->data;
	struct zlr_service *service = start->service;
	struct zlr_estate *estate = &service->estate;
	ktime_t began = ktime_get(), died = estate->died;
	unsigned int channels;
	int error;

	error = zlr_estate_enter(estate, new, &channels);
	service->phases.restore = estate->restore_ns;
	zlr_estate_drop(estate);
	if (error)
		return error;
	start->began = began;
	service->phases.thread = ktime_to_ns(ktime_sub(began, died)) - service->phases.keep;
	service->channels = channels;
	start->entered = true;
	zlr_service_live(service, task_tgid(current), ZLR_STARTING);
	zlr_count_restart();
	return 0;
}

/* Runs when the program was executed, or could not be. */
static void finish(struct subprocess_info *info)
{
	struct start *start = info->data;
	struct zlr_service *service = start->service;

	if (info->retval || !start->entered) {
		if (!start->entered && service->estate.dead)
			zlr_estate_drop(&service->estate);
		fail(service, start->text->bytes, info->retval);
	} else {
		service->phases.exec = ktime_to_ns(ktime_sub(ktime_get(), start->began)) - service->phases.restore;
	}
	zlr_text_put(start->text);
	zlr_service_put(service);
	kfree(start);
}

/* The caller has made the state STARTING, so the estate is his. May sleep. */
void zlr_restart_by_kernel(struct zlr_service *service)
{
	struct subprocess_info *info;
	struct start *start;
	int error;

	error = -EPERM;
	if (service->estate.confined)
		goto drop;
	error = -ENOMEM;
	start = kzalloc(sizeof(*start), GFP_KERNEL);
	if (!start)
		goto drop;
	spin_lock(&zlr_services_lock);
	start->text = service->text;
	kref_get(&start->text->ref);
	kref_get(&service->ref);
	spin_unlock(&zlr_services_lock);
	start->service = service;
	info = call_usermodehelper_setup(start->text->bytes, start->text->argv, start->text->envp, GFP_KERNEL, enter,
					 finish, start);
	if (!info)
		goto free_start;
	/* finish() is called in any case. */
	call_usermodehelper_exec(info, UMH_NO_WAIT);
	return;

free_start:
	zlr_text_put(start->text);
	zlr_service_put(service);
	kfree(start);
drop:
	zlr_estate_drop(&service->estate);
	fail(service, error == -EPERM ? "it was in a pid namespace or under a seccomp filter, so only a standby could follow" :
					"no memory", error);
}

static bool take_state(struct zlr_service *service, enum zlr_state from, enum zlr_state to)
{
	bool taken;

	spin_lock(&zlr_services_lock);
	taken = service->state == from;
	if (taken)
		service->state = to;
	spin_unlock(&zlr_services_lock);
	return taken;
}

/* Queued by the dying process. */
void zlr_restart_work(struct work_struct *work)
{
	struct zlr_service *service = container_of(work, struct zlr_service, restart);

	/* The timer runs before the offer stands, so that whoever accepts it can stop the timer. */
	kref_get(&service->ref);
	if (!queue_delayed_work(zlr_wq, &service->late, msecs_to_jiffies(standby_ms)))
		zlr_service_put(service);
	if (zlr_standby_offer(service))
		return;
	zlr_restart_stop_timer(service);
	if (take_state(service, ZLR_FAULTED, ZLR_STARTING))
		zlr_restart_by_kernel(service);
}

void zlr_restart_stop_timer(struct zlr_service *service)
{
	if (cancel_delayed_work(&service->late))
		zlr_service_put(service);
}

/* The standby was offered the channels and has not come for them. */
void zlr_restart_late(struct work_struct *work)
{
	struct zlr_service *service = container_of(to_delayed_work(work), struct zlr_service, late);

	if (take_state(service, ZLR_OFFERED, ZLR_STARTING)) {
		pr_notice("a standby did not come for its channels within %u ms; the kernel starts the next generation\n",
			  standby_ms);
		spin_lock(&zlr_services_lock);
		zlr_standby_dismiss(service, -ETIMEDOUT);
		spin_unlock(&zlr_services_lock);
		zlr_restart_by_kernel(service);
	}
	zlr_service_put(service);
}
