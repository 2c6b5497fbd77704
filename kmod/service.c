// SPDX-License-Identifier: GPL-2.0-only
/* Services and the processes that live them: registration, asking for it, and its end. */
#include <linux/hash.h>
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "service.h"

DEFINE_SPINLOCK(zlr_services_lock);
static DEFINE_HASHTABLE(by_pid, 8); /* read under RCU */
static LIST_HEAD(all);
static atomic64_t restarts, given_up;

/* The service that this thread group lives, with a reference; NULL. Any context. */
struct zlr_service *zlr_service_of(struct pid *pid)
{
	struct zlr_service *service;

	rcu_read_lock();
	hash_for_each_possible_rcu(by_pid, service, node, (unsigned long)pid)
		if (READ_ONCE(service->pid) == pid && kref_get_unless_zero(&service->ref))
			goto found;
	service = NULL;
found:
	rcu_read_unlock();
	return service;
}

/* With a reference. The caller holds zlr_services_lock. */
struct zlr_service *zlr_service_by_id(u64 id)
{
	struct zlr_service *service;

	list_for_each_entry(service, &all, all)
		if (service->id == id && kref_get_unless_zero(&service->ref))
			return service;
	return NULL;
}

static void release_work(struct work_struct *work)
{
	struct zlr_service *service = container_of(work, struct zlr_service, release);

	zlr_text_put(service->text);
	zlr_user_drop_service(service->user);
	zlr_user_put(service->user);
	kfree_rcu(service, rcu);
	/* The module cannot go before this work has returned: it waits for its workqueue. */
	module_put(THIS_MODULE);
}

static void release(struct kref *ref)
{
	struct zlr_service *service = container_of(ref, struct zlr_service, ref);

	queue_work(zlr_wq, &service->release);
}

/* Any context. */
void zlr_service_put(struct zlr_service *service)
{
	kref_put(&service->ref, release);
}

/* The caller holds zlr_services_lock. */
static void leave_pid(struct zlr_service *service)
{
	if (!service->pid)
		return;
	hash_del_rcu(&service->node);
	put_pid(service->pid);
	WRITE_ONCE(service->pid, NULL);
}

/* Its process is dead. The caller holds zlr_services_lock. */
void zlr_service_leave(struct zlr_service *service, enum zlr_state state)
{
	leave_pid(service);
	service->state = state;
}

/* This thread group lives the service from now on. The caller owns the estate, so the state is his to change. */
void zlr_service_live(struct zlr_service *service, struct pid *pid, enum zlr_state state)
{
	spin_lock(&zlr_services_lock);
	service->pid = get_pid(pid);
	service->state = state;
	service->generation++;
	service->registered = false;
	service->restarted = ktime_get_boottime();
	hash_add_rcu(by_pid, &service->node, (unsigned long)pid);
	spin_unlock(&zlr_services_lock);
}

/* Ends a service unless it has left the state `from`; whether it did. Any context. */
bool zlr_service_end(struct zlr_service *service, enum zlr_state from)
{
	bool ended;

	spin_lock(&zlr_services_lock);
	ended = service->state == from;
	if (ended) {
		leave_pid(service);
		service->state = ZLR_GONE;
		list_del_init(&service->all);
		zlr_standby_dismiss(service, -ESRCH);
	}
	spin_unlock(&zlr_services_lock);
	if (ended)
		zlr_service_put(service);
	return ended;
}

static struct zlr_service *create(u32 child_id)
{
	struct zlr_service *service = kzalloc(sizeof(*service), GFP_KERNEL_ACCOUNT);
	int error = -ENOMEM;

	if (!service)
		return ERR_PTR(error);
	service->user = zlr_user_get(current_uid());
	if (!service->user)
		goto free_service;
	error = zlr_user_add_service(service->user);
	if (error)
		goto put_user;

	kref_init(&service->ref);
	INIT_WORK(&service->release, release_work);
	INIT_WORK(&service->restart, zlr_restart_work);
	INIT_DELAYED_WORK(&service->late, zlr_restart_late);
	INIT_LIST_HEAD(&service->all);
	service->id = get_random_u64();
	service->owner = current_uid();
	service->state = ZLR_LIVE;
	service->generation = 1;
	service->child_id = child_id;
	/* The caller has the device open, so the module is here to stay meanwhile. */
	__module_get(THIS_MODULE);
	return service;

put_user:
	zlr_user_put(service->user);
free_service:
	kfree(service);
	return ERR_PTR(error);
}

long zlr_reregist(struct zlr_reregist *call)
{
	struct zlr_service *service, *fresh = NULL;
	struct pid *pid = task_tgid(current);
	struct zlr_text *text;
	long error = 0;

	if (call->abi != ZLR_ABI)
		return -EPROTO;
	text = zlr_text_from_user(call);
	if (IS_ERR(text))
		return PTR_ERR(text);

	service = zlr_service_of(pid);
	if (!service) {
		fresh = create(call->child_id);
		if (IS_ERR(fresh)) {
			zlr_text_put(text);
			return PTR_ERR(fresh);
		}
	}

	spin_lock(&zlr_services_lock);
	if (!service) {
		/* Two threads of one process may come here at once: one of them is the first. */
		service = zlr_service_of(pid);
	}
	if (!service) {
		service = fresh;
		fresh = NULL;
		kref_get(&service->ref);
		service->pid = get_pid(pid);
		hash_add_rcu(by_pid, &service->node, (unsigned long)pid);
		list_add(&service->all, &all);
	}
	/* Only an end asked for by another process can have come between. */
	if (service->state == ZLR_LIVE) {
		swap(service->text, text);
		service->child_id = call->child_id;
		service->threshold_ms = call->threshold_ms;
		service->registered = true;
		service->stillborn = 0;
		call->service = service->id;
	} else {
		error = -ESRCH;
	}
	spin_unlock(&zlr_services_lock);

	zlr_text_put(text);
	if (fresh)
		zlr_service_put(fresh);
	zlr_service_put(service);
	return error;
}

static int copy_text(const struct zlr_text *text, const struct zlr_reginfo *info)
{
	u32 length = text->path_len + text->argv_len + text->envp_len;

	if (!info->text || info->text_size < length)
		return 0;
	return copy_to_user(u64_to_user_ptr(info->text), text->bytes, length) ? -EFAULT : 0;
}

/*
 * 1: the process has a registration, its own or the one that the former generation left; 0: it has none. What the caller
 * gives stands in *info, and zeroes where the answer comes.
 */
long zlr_getreginfo(struct zlr_reginfo *info)
{
	struct zlr_service *service;
	struct zlr_text *text;
	long result;

	if (info->abi != ZLR_ABI)
		return -EPROTO;
	info->generation = 1;
	service = zlr_service_of(task_tgid(current));
	if (!service)
		return 0;

	spin_lock(&zlr_services_lock);
	text = service->text;
	kref_get(&text->ref);
	info->service = service->id;
	info->flags = (service->generation > 1 ? ZLR_RESTARTED : 0) | (service->registered ? ZLR_REGISTERED : 0);
	info->child_id = service->child_id;
	info->generation = service->generation;
	info->fault_signal = service->fault_signal;
	info->fault_code = service->fault_code;
	info->fault_pid = service->fault_pid;
	info->fault_time = service->fault_time;
	info->phases = service->phases;
	info->channels = service->channels;
	info->segments = service->segments;
	memcpy(info->segment, service->segment, sizeof(info->segment));
	spin_unlock(&zlr_services_lock);

	info->path_len = text->path_len;
	info->argv_len = text->argv_len;
	info->envp_len = text->envp_len;
	result = copy_text(text, info);
	zlr_text_put(text);
	zlr_service_put(service);
	return result ? result : 1;
}

/* A process ends its own registration, its owner or who may kill it ends another's. */
long zlr_forget(const struct zlr_forget *call)
{
	struct pid *pid = call->pid ? find_get_pid(call->pid) : get_pid(task_tgid(current));
	struct zlr_service *service;
	long error = -ESRCH;

	if (!pid)
		return error;
	service = zlr_service_of(pid);
	put_pid(pid);
	if (!service)
		return error;
	if (call->pid && !uid_eq(service->owner, current_euid()) && !capable(CAP_KILL)) {
		error = -EPERM;
	} else {
		/* A generation that is just being started can be forgotten in a moment. */
		error = zlr_service_end(service, ZLR_LIVE) ? 0 : -EAGAIN;
	}
	zlr_service_put(service);
	return error;
}

void zlr_count_restart(void)
{
	atomic64_inc(&restarts);
}

void zlr_count_given_up(void)
{
	atomic64_inc(&given_up);
}

u64 zlr_restarts_total(void)
{
	return atomic64_read(&restarts);
}

u64 zlr_given_up_total(void)
{
	return atomic64_read(&given_up);
}
