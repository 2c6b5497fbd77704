// SPDX-License-Identifier: GPL-2.0-only
/*
 * The holds: which open file has one, and its end.
 *
 * A hold must go exactly when its open file does, and must not keep it open: a spare reference would hide the end of
 * a connection from its peer. The kernel tells of closes by fsnotify, so each held inode has a mark of ours; the
 * notice comes while the file still exists, so its address cannot yet be that of another one.
 */
#include <linux/fsnotify_backend.h>
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/slab.h>
#include "hold.h"

static DEFINE_HASHTABLE(by_file, 12); /* read under RCU */
static DEFINE_SPINLOCK(by_file_lock);
static atomic_t holds;
static struct fsnotify_group *closes;

/* Who is in the list has the reference that the list holds. */
struct mark {
	struct fsnotify_mark fsn;
	struct list_head list;
};

static LIST_HEAD(marks);
static DEFINE_SPINLOCK(marks_lock);

u64 zlr_holds_total(void)
{
	return atomic_read(&holds);
}

/* The caller holds the file, and so its hold. */
struct zlr_dhr *zlr_dhr_find(struct file *file)
{
	struct zlr_dhr *dhr;

	rcu_read_lock();
	hash_for_each_possible_rcu(by_file, dhr, node, (unsigned long)file)
		if (dhr->file == file)
			break;
	rcu_read_unlock();
	return dhr;
}

static void dispose(struct zlr_dhr *dhr)
{
	zlr_chain_free(dhr);
	zlr_user_put(dhr->user);
	put_cred(dhr->admitted);
	mutex_destroy(&dhr->reading);
	mutex_destroy(&dhr->lock);
	atomic_dec(&holds);
	kfree_rcu(dhr, rcu);
}

static void unhash(struct zlr_dhr *dhr)
{
	spin_lock(&by_file_lock);
	hash_del_rcu(&dhr->node);
	spin_unlock(&by_file_lock);
}

/* An open file of a marked inode is being closed for good. */
static int on_close(struct fsnotify_group *group, u32 mask, const void *data, int data_type, struct inode *dir,
		    const struct qstr *name, u32 cookie, struct fsnotify_iter_info *iter)
{
	struct zlr_dhr *dhr;

	/* The notice of a close carries the path inside the file itself. */
	if (data_type != FSNOTIFY_EVENT_PATH)
		return 0;
	dhr = zlr_dhr_find(container_of((const struct path *)data, struct file, f_path));
	if (dhr) {
		unhash(dhr);
		dispose(dhr);
	}
	return 0;
}

/* The inode goes, or the module. */
static void freeing_mark(struct fsnotify_mark *fsn, struct fsnotify_group *group)
{
	struct mark *mark = container_of(fsn, struct mark, fsn);
	bool listed;

	spin_lock(&marks_lock);
	listed = !list_empty(&mark->list);
	list_del_init(&mark->list);
	spin_unlock(&marks_lock);
	if (listed)
		fsnotify_put_mark(fsn);
}

static void free_mark(struct fsnotify_mark *fsn)
{
	kfree(container_of(fsn, struct mark, fsn));
}

static const struct fsnotify_ops close_operations = {
	.handle_event = on_close,
	.freeing_mark = freeing_mark,
	.free_mark = free_mark,
};

static void destroy_marks(void)
{
	struct mark *mark;

	for (;;) {
		spin_lock(&marks_lock);
		mark = list_first_entry_or_null(&marks, struct mark, list);
		if (mark)
			list_del_init(&mark->list);
		spin_unlock(&marks_lock);
		if (!mark)
			return;
		fsnotify_destroy_mark(&mark->fsn, closes);
		fsnotify_put_mark(&mark->fsn);
	}
}

/* From here on on_close() learns of the file's end. */
static int watch(struct file *file)
{
	struct mark *mark = kzalloc(sizeof(*mark), GFP_KERNEL_ACCOUNT);
	int error;

	if (!mark)
		return -ENOMEM;
	fsnotify_init_mark(&mark->fsn, closes);
	mark->fsn.mask = FS_CLOSE_WRITE | FS_CLOSE_NOWRITE;
	/* The mark lives as long as the inode and does not keep it. */
	mark->fsn.flags |= FSNOTIFY_MARK_FLAG_NO_IREF;
	spin_lock(&marks_lock);
	list_add(&mark->list, &marks);
	spin_unlock(&marks_lock);
	error = fsnotify_add_inode_mark(&mark->fsn, file_inode(file), 0);
	if (error)
		freeing_mark(&mark->fsn, closes);
	/* Another open file of the same pipe or terminal has it marked already. */
	if (error == -EEXIST)
		error = 0;
	if (error)
		return error;
	/* Newer kernels silence sockets and pipes. Only we have a mark on this one. */
	spin_lock(&file->f_lock);
	file->f_mode &= ~FMODE_NONOTIFY;
	spin_unlock(&file->f_lock);
	return 0;
}

/* The hold of an open file, made if there is none yet. The caller holds the file. */
struct zlr_dhr *zlr_dhr_get(struct file *file)
{
	struct zlr_dhr *dhr = zlr_dhr_find(file);
	struct zlr_dhr *other;
	int error;

	if (dhr)
		return dhr;
	dhr = kzalloc(sizeof(*dhr), GFP_KERNEL_ACCOUNT);
	if (!dhr)
		return ERR_PTR(-ENOMEM);
	dhr->user = zlr_user_get(current_uid());
	error = dhr->user ? watch(file) : -ENOMEM;
	if (error)
		goto free_dhr;
	dhr->file = file;
	mutex_init(&dhr->reading);
	mutex_init(&dhr->lock);
	INIT_LIST_HEAD(&dhr->pieces);
	INIT_LIST_HEAD(&dhr->spares);

	spin_lock(&by_file_lock);
	other = zlr_dhr_find(file);
	if (!other) {
		hash_add_rcu(by_file, &dhr->node, (unsigned long)file);
		atomic_inc(&holds);
	}
	spin_unlock(&by_file_lock);
	if (!other)
		return dhr;
	error = 0;
free_dhr:
	if (dhr->user)
		zlr_user_put(dhr->user);
	kfree(dhr);
	return error ? ERR_PTR(error) : other;
}

void zlr_hold_rewind(struct file *file)
{
	struct zlr_dhr *dhr = zlr_dhr_find(file);

	if (!dhr)
		return;
	mutex_lock(&dhr->lock);
	dhr->read_pt = dhr->destroy_pt;
	mutex_unlock(&dhr->lock);
}

int zlr_hold_init(void)
{
	int error = zlr_chain_init();

	if (error)
		return error;
	closes = fsnotify_alloc_group(&close_operations, 0);
	if (IS_ERR(closes)) {
		zlr_chain_exit();
		return PTR_ERR(closes);
	}
	return 0;
}

/* What is held for files that are still open goes here. Nobody reads any more. */
void zlr_hold_exit(void)
{
	struct hlist_node *next;
	struct zlr_dhr *dhr;
	int slot;

	/* First the marks, so that no close comes in between. */
	destroy_marks();
	fsnotify_put_group(closes);
	fsnotify_wait_marks_destroyed();
	hash_for_each_safe(by_file, slot, next, dhr, node) {
		unhash(dhr);
		dispose(dhr);
	}
	zlr_chain_exit();
}
