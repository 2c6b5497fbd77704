// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a generation inherits from the one that died: taken in the exit path, entered by the thread that becomes the
 * next one, before it executes anything. It is never more than the dead one had.
 */
#include <linux/audit.h>
#include <linux/cgroup.h>
#include <linux/cpumask.h>
#include <linux/fdtable.h>
#include <linux/fs_struct.h>
#include <linux/nsproxy.h>
#include <linux/personality.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/user.h>
#include <linux/seccomp.h>
#include <linux/user_namespace.h>
#include "zlr.h"

static bool is_confined(struct task_struct *task)
{
#ifdef CONFIG_SECCOMP
	if (task->seccomp.mode)
		return true;
#endif
	return task_active_pid_ns(task) != &init_pid_ns;
}

/* In the exit path of the dying thread group, in atomic context: references and copies only. */
void zlr_estate_take(struct zlr_estate *estate)
{
	struct task_struct *task = current;

	estate->dead = get_task_struct(task);
	estate->table = task->files;
	atomic_inc(&task->files->count);
	estate->nsproxy = task->nsproxy;
	get_nsproxy(task->nsproxy);
	get_fs_root(task->fs, &estate->root);
	get_fs_pwd(task->fs, &estate->pwd);
	estate->umask = task->fs->umask;
	estate->nice = task_nice(task);
	estate->oom_score_adj = task->signal->oom_score_adj;
	estate->oom_score_adj_min = task->signal->oom_score_adj_min;
	estate->personality = task->personality;
	estate->no_new_privs = task_no_new_privs(task);
	estate->confined = is_confined(task);
	memcpy(estate->limits, task->signal->rlim, sizeof(estate->limits));
}

/*
 * The dead one's credentials take the place of the helper's. A copy of them is made by the kernel, the label of the
 * security module included, and the contents are exchanged: each then owns what the other had, and is freed with it.
 */
static int enter_credentials(struct task_struct *dead, struct cred *new)
{
	struct cred *copy = prepare_kernel_cred(dead);

	if (!copy)
		return -ENOMEM;
	swap(new->uid, copy->uid);
	swap(new->gid, copy->gid);
	swap(new->suid, copy->suid);
	swap(new->sgid, copy->sgid);
	swap(new->euid, copy->euid);
	swap(new->egid, copy->egid);
	swap(new->fsuid, copy->fsuid);
	swap(new->fsgid, copy->fsgid);
	swap(new->securebits, copy->securebits);
	swap(new->cap_inheritable, copy->cap_inheritable);
	swap(new->cap_permitted, copy->cap_permitted);
	swap(new->cap_effective, copy->cap_effective);
	swap(new->cap_bset, copy->cap_bset);
	swap(new->cap_ambient, copy->cap_ambient);
#ifdef CONFIG_SECURITY
	swap(new->security, copy->security);
#endif
	swap(new->user, copy->user);
	swap(new->user_ns, copy->user_ns);
	swap(new->ucounts, copy->ucounts);
	swap(new->group_info, copy->group_info);
	abort_creds(copy);
	return 0;
}

static int enter_cgroup(struct task_struct *dead)
{
#ifdef CONFIG_CGROUPS
	/* Moving costs the kernel milliseconds; a service of the root cgroup need not pay them. */
	if (rcu_access_pointer(dead->cgroups) != rcu_access_pointer(current->cgroups))
		return cgroup_attach_task_all(dead, current);
#endif
	return 0;
}

static void enter_directories(struct zlr_estate *estate)
{
	struct fs_struct *fs = current->fs;

	spin_lock(&fs->lock);
	write_seqcount_begin(&fs->seq);
	swap(fs->root, estate->root);
	swap(fs->pwd, estate->pwd);
	write_seqcount_end(&fs->seq);
	fs->umask = estate->umask;
	spin_unlock(&fs->lock);
	/* What the helper had, the initial root, goes with the estate. */
}

static void enter_namespaces(struct zlr_estate *estate)
{
	task_lock(current);
	swap(current->nsproxy, estate->nsproxy);
	task_unlock(current);
	/* What the helper had goes with the estate as well. */
}

static void enter_limits(struct zlr_estate *estate)
{
	struct rlimit *limits = current->signal->rlim;
	unsigned long files = zlr_table_highest(estate->table) + 1;

	task_lock(current->group_leader);
	memcpy(limits, estate->limits, sizeof(estate->limits));
	/* It may have opened more than it is allowed to now; what it has it keeps. */
	limits[RLIMIT_NOFILE].rlim_cur = max(limits[RLIMIT_NOFILE].rlim_cur, files);
	task_unlock(current->group_leader);
	current->signal->oom_score_adj = estate->oom_score_adj;
	current->signal->oom_score_adj_min = estate->oom_score_adj_min;
}

static void lower_file_limit(struct zlr_estate *estate)
{
	task_lock(current->group_leader);
	current->signal->rlim[RLIMIT_NOFILE] = estate->limits[RLIMIT_NOFILE];
	task_unlock(current->group_leader);
}

/* In the thread that becomes the next generation. `new` are the credentials that it will have. */
int zlr_estate_enter(struct zlr_estate *estate, struct cred *new, unsigned int *channels)
{
	int error = enter_credentials(estate->dead, new);
	ktime_t began;

	if (error)
		return error;
	error = enter_cgroup(estate->dead);
	if (error)
		return error;
	enter_directories(estate);
	enter_namespaces(estate);
	enter_limits(estate);
	set_user_nice(current, estate->nice);
	/* Processors may have gone meanwhile; then it runs on those that are left. */
	set_cpus_allowed_ptr(current, &estate->dead->cpus_mask);
	current->personality = estate->personality;
	if (estate->no_new_privs)
		task_set_no_new_privs(current);
#ifdef CONFIG_AUDIT
	current->loginuid = estate->dead->loginuid;
	current->sessionid = estate->dead->sessionid;
#endif
	began = ktime_get();
	error = zlr_table_hand_over(estate->table, channels);
	estate->restore_ns = ktime_to_ns(ktime_sub(ktime_get(), began));
	lower_file_limit(estate);
	return error;
}

/* Lets go of what is left of it. May sleep. */
void zlr_estate_drop(struct zlr_estate *estate)
{
	zlr_table_put(estate->table);
	/* The initial namespaces never go, so this is never their last reference. */
	if (estate->nsproxy == init_task.nsproxy)
		zlr_nsproxy_put_shared(estate->nsproxy);
	else
		zlr_bury(NULL, estate->nsproxy);
	path_put(&estate->root);
	path_put(&estate->pwd);
	put_task_struct(estate->dead);
	memset(estate, 0, sizeof(*estate));
}
