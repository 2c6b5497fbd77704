// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel exports no way to give up a table of files or a set of namespaces; every thread does it when it exits.
 * So what is to be given up is laid into the hands of a kernel thread that does nothing but exit.
 */
#include <linux/err.h>
#include <linux/fdtable.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/refcount.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include "zlr.h"

struct burden {
	struct list_head list;
	struct files_struct *table;
	struct nsproxy *nsproxy;
};

static DEFINE_SPINLOCK(lock);
static LIST_HEAD(waiting);
static void bury_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(burial, bury_work);

/* Gives up a reference that is known not to be the last. */
void zlr_nsproxy_put_shared(struct nsproxy *nsproxy)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	refcount_dec(&nsproxy->count);
#else
	atomic_dec(&nsproxy->count);
#endif
}

static int bearer(void *data)
{
	struct burden *burden = data;
	struct files_struct *files = NULL;
	struct nsproxy *nsproxy = NULL;

	task_lock(current);
	if (burden->table) {
		files = current->files;
		current->files = burden->table;
	}
	if (burden->nsproxy) {
		nsproxy = current->nsproxy;
		current->nsproxy = burden->nsproxy;
	}
	task_unlock(current);
	/* What a kernel thread starts with is shared by all of them: these are never the last references. */
	if (files)
		atomic_dec(&files->count);
	if (nsproxy)
		zlr_nsproxy_put_shared(nsproxy);
	kfree(burden);
	module_put_and_kthread_exit(0);
}

static void bury_work(struct work_struct *work)
{
	struct burden *burden;
	struct task_struct *thread;

	for (;;) {
		spin_lock(&lock);
		burden = list_first_entry_or_null(&waiting, struct burden, list);
		if (burden)
			list_del(&burden->list);
		spin_unlock(&lock);
		if (!burden)
			return;
		__module_get(THIS_MODULE);
		thread = kthread_run(bearer, burden, "zlr_bearer");
		if (!IS_ERR(thread))
			continue;
		module_put(THIS_MODULE);
		spin_lock(&lock);
		list_add(&burden->list, &waiting);
		spin_unlock(&lock);
		/* Short of memory or of process numbers: that passes, and until then it is only held. */
		queue_delayed_work(zlr_wq, &burial, HZ);
		return;
	}
}

/* May sleep. Either may be NULL. */
void zlr_bury(struct files_struct *table, struct nsproxy *nsproxy)
{
	struct burden *burden;

	if (!table && !nsproxy)
		return;
	burden = kmalloc(sizeof(*burden), GFP_KERNEL | __GFP_NOFAIL);
	burden->table = table;
	burden->nsproxy = nsproxy;
	spin_lock(&lock);
	list_add_tail(&burden->list, &waiting);
	spin_unlock(&lock);
	mod_delayed_work(zlr_wq, &burial, 0);
}

/* Nobody comes with anything new any more. */
void zlr_bury_exit(void)
{
	bool some;

	do {
		mod_delayed_work(zlr_wq, &burial, 0);
		flush_delayed_work(&burial);
		spin_lock(&lock);
		some = !list_empty(&waiting);
		spin_unlock(&lock);
	} while (some);
}
