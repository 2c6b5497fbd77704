// SPDX-License-Identifier: GPL-2.0-only
/* What one user may hold, and what all may hold together. */
#include <linux/hashtable.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include "zlr.h"

static uint services_max = 1024;
module_param(services_max, uint, 0644);
MODULE_PARM_DESC(services_max, "registered processes of all users (1024)");

static uint services_user_max = 64;
module_param(services_user_max, uint, 0644);
MODULE_PARM_DESC(services_user_max, "registered processes of one user (64)");

static ulong hold_max = 64 << 20;
module_param(hold_max, ulong, 0644);
MODULE_PARM_DESC(hold_max, "bytes held for all users (64 MiB)");

static ulong hold_user_max = 16 << 20;
module_param(hold_user_max, ulong, 0644);
MODULE_PARM_DESC(hold_user_max, "bytes held for one user (16 MiB)");

static DEFINE_SPINLOCK(lock);
static DEFINE_HASHTABLE(users, 6);
static unsigned int services;
static atomic64_t held;

static struct zlr_user *find(kuid_t uid)
{
	struct zlr_user *user;

	hash_for_each_possible(users, user, node, __kuid_val(uid))
		if (uid_eq(user->uid, uid))
			return user;
	return NULL;
}

/* NULL: no memory. */
struct zlr_user *zlr_user_get(kuid_t uid)
{
	struct zlr_user *fresh = kzalloc(sizeof(*fresh), GFP_KERNEL);
	struct zlr_user *user;

	spin_lock(&lock);
	user = find(uid);
	if (!user && fresh) {
		user = fresh;
		fresh = NULL;
		user->uid = uid;
		hash_add(users, &user->node, __kuid_val(uid));
	}
	if (user)
		user->refs++;
	spin_unlock(&lock);
	kfree(fresh);
	return user;
}

void zlr_user_put(struct zlr_user *user)
{
	spin_lock(&lock);
	if (--user->refs)
		user = NULL;
	else
		hash_del(&user->node);
	spin_unlock(&lock);
	kfree(user);
}

int zlr_user_add_service(struct zlr_user *user)
{
	int error = 0;

	spin_lock(&lock);
	if (services >= services_max || user->services >= services_user_max) {
		error = -EDQUOT;
	} else {
		services++;
		user->services++;
	}
	spin_unlock(&lock);
	return error;
}

void zlr_user_drop_service(struct zlr_user *user)
{
	spin_lock(&lock);
	services--;
	user->services--;
	spin_unlock(&lock);
}

/* Both counters are raised first and lowered again if that was too much: no order of callers gets past a bound. */
int zlr_user_charge(struct zlr_user *user, size_t bytes)
{
	if (atomic64_add_return(bytes, &held) <= hold_max) {
		if (atomic64_add_return(bytes, &user->held) <= hold_user_max)
			return 0;
		atomic64_sub(bytes, &user->held);
	}
	atomic64_sub(bytes, &held);
	return -ENOBUFS;
}

void zlr_user_uncharge(struct zlr_user *user, size_t bytes)
{
	atomic64_sub(bytes, &user->held);
	atomic64_sub(bytes, &held);
}

u64 zlr_held_total(void)
{
	return atomic64_read(&held);
}

u64 zlr_services_total(void)
{
	return READ_ONCE(services);
}
