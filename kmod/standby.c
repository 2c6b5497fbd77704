// SPDX-License-Identifier: GPL-2.0-only
/*
 * A standby: a process that has loaded the program already and waits in ZLR_STANDBY. It is handed the channels of a
 * generation that dies, under their numbers, and lives the service from then on.
 *
 * Who may stand by is who could take the channels from the living process by ptrace: the same user in the same user
 * namespace, with no less capabilities; and he must know the service's secret number.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/pid.h>
#include <linux/sched/task.h>
#include "service.h"

static atomic_t standbys;

static bool may_follow(const struct cred *dead)
{
	const struct cred *own = current_cred();

	return uid_eq(own->uid, dead->uid) && uid_eq(own->euid, dead->euid) && uid_eq(own->suid, dead->suid) &&
	       gid_eq(own->gid, dead->gid) && gid_eq(own->egid, dead->egid) && gid_eq(own->sgid, dead->sgid) &&
	       own->user_ns == dead->user_ns && cap_issubset(dead->cap_permitted, own->cap_permitted);
}

static bool may_follow_task(struct task_struct *task)
{
	const struct cred *cred = get_task_cred(task);
	bool may = may_follow(cred);

	put_cred(cred);
	return may;
}

/* The caller holds zlr_services_lock. */
static void leave(struct zlr_service *service)
{
	struct zlr_client *client = service->standby;

	service->standby = NULL;
	client->service = NULL;
	atomic_dec(&standbys);
	zlr_service_put(service);
}

/* The caller holds zlr_services_lock. */
void zlr_standby_dismiss(struct zlr_service *service, int verdict)
{
	struct zlr_client *client = service->standby;

	if (!client)
		return;
	client->verdict = verdict;
	leave(service);
	wake_up_interruptible(&client->wait);
}

/* FAULTED -> OFFERED, if somebody stands by. */
bool zlr_standby_offer(struct zlr_service *service)
{
	bool offered;

	spin_lock(&zlr_services_lock);
	offered = service->state == ZLR_FAULTED && service->standby;
	if (offered) {
		service->state = ZLR_OFFERED;
		wake_up_interruptible(&service->standby->wait);
	}
	spin_unlock(&zlr_services_lock);
	return offered;
}

bool zlr_standby_ready(struct zlr_client *client)
{
	bool ready;

	spin_lock(&zlr_services_lock);
	ready = client->verdict || (client->service && client->service->state == ZLR_OFFERED);
	spin_unlock(&zlr_services_lock);
	return ready;
}

static long enrol(struct zlr_client *client, u64 id)
{
	struct zlr_service *service, *own = zlr_service_of(task_tgid(current));
	struct task_struct *task = NULL;
	long error = 0;

	/* A process lives one service at a time. */
	if (own) {
		zlr_service_put(own);
		return -EEXIST;
	}

	spin_lock(&zlr_services_lock);
	if (client->service) {
		error = client->service->id == id ? 0 : -EBUSY;
		goto unlock;
	}
	client->verdict = 0;
	error = -ESRCH;
	service = zlr_service_by_id(id);
	if (!service)
		goto unlock;
	rcu_read_lock();
	task = service->pid ? pid_task(service->pid, PIDTYPE_TGID) : NULL;
	error = !task ? -EINPROGRESS : may_follow_task(task) ? 0 : -EPERM;
	rcu_read_unlock();
	if (!error && service->standby)
		error = -EBUSY;
	if (error) {
		zlr_service_put(service);
		goto unlock;
	}
	service->standby = client;
	client->service = service;
	atomic_inc(&standbys);
unlock:
	spin_unlock(&zlr_services_lock);
	return error;
}

/* The service that was offered, whose state is STARTING now; NULL: there is none, and *error says why. */
static struct zlr_service *accept_offer(struct zlr_client *client, long *error)
{
	struct zlr_service *service = NULL;

	spin_lock(&zlr_services_lock);
	if (client->service && client->service->state == ZLR_OFFERED) {
		service = client->service;
		kref_get(&service->ref);
		service->state = ZLR_STARTING;
		leave(service);
	} else {
		*error = client->verdict ? client->verdict : -EAGAIN;
		client->verdict = 0;
	}
	spin_unlock(&zlr_services_lock);
	return service;
}

static long follow(struct zlr_service *service)
{
	struct zlr_estate *estate = &service->estate;
	ktime_t began = ktime_get();
	unsigned int channels;
	long error;

	error = may_follow_task(estate->dead) ? 0 : -EPERM;
	if (!error)
		error = zlr_table_hand_over(estate->table, &channels);
	if (error) {
		pr_notice("a standby could not take the channels: error %ld; the kernel starts the next generation\n", error);
		zlr_restart_by_kernel(service);
		return error;
	}
	service->phases.thread = ktime_to_ns(ktime_sub(began, estate->died)) - service->phases.keep;
	service->phases.restore = ktime_to_ns(ktime_sub(ktime_get(), began));
	service->phases.exec = 0;
	service->channels = channels;
	zlr_estate_drop(estate);
	zlr_service_live(service, task_tgid(current), ZLR_LIVE);
	zlr_count_restart();
	return 0;
}

/*
 * Waits for the death of the service's generation and takes its place. Without blocking: EAGAIN, and the device is
 * readable when it is worth asking again. A signal ends the waiting, not the standing by.
 */
long zlr_standby(struct zlr_client *client, const struct zlr_standby *call, bool nonblock)
{
	struct zlr_service *service;
	long error;

	if (call->abi != ZLR_ABI)
		return -EPROTO;
	/* An answer that is there already is given first. */
	if (!zlr_standby_ready(client)) {
		error = enrol(client, call->service);
		if (error)
			return error;
		if (nonblock && !zlr_standby_ready(client))
			return -EAGAIN;
	}
	error = wait_event_interruptible(client->wait, zlr_standby_ready(client));
	if (error)
		return error;
	service = accept_offer(client, &error);
	if (!service)
		return error;
	zlr_restart_stop_timer(service);
	error = follow(service);
	zlr_service_put(service);
	return error;
}

/* The device is closed: nobody stands by here any more. */
void zlr_standby_leave(struct zlr_client *client)
{
	struct zlr_service *service;
	bool offered = false;

	spin_lock(&zlr_services_lock);
	service = client->service;
	if (service) {
		kref_get(&service->ref);
		offered = service->state == ZLR_OFFERED;
		if (offered)
			service->state = ZLR_STARTING;
		leave(service);
	}
	spin_unlock(&zlr_services_lock);
	if (!service)
		return;
	if (offered) {
		zlr_restart_stop_timer(service);
		zlr_restart_by_kernel(service);
	}
	zlr_service_put(service);
}

u64 zlr_standbys_total(void)
{
	return atomic_read(&standbys);
}
