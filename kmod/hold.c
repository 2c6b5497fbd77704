// SPDX-License-Identifier: GPL-2.0-only
/*
 * The holds: which open file has one, the chain of its buffers, and its end.
 *
 * A hold must go exactly when its open file does, and must not keep it open: a spare reference would hide the end of
 * a connection from its peer. The kernel tells of closes by fsnotify, so each held inode has a mark of ours; the
 * notice comes while the file still exists, so its address cannot yet be that of another one.
 */
#include <linux/fsnotify_backend.h>
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "hold.h"

static uint dhr_buffer = 4096;
module_param(dhr_buffer, uint, 0444);
MODULE_PARM_DESC(dhr_buffer, "bytes of one buffer of a hold, 512 to 65536 (4096, as in the thesis)");

static ulong hold_file_max = 1 << 20;
module_param(hold_file_max, ulong, 0644);
MODULE_PARM_DESC(hold_file_max, "bytes held of one open file (1 MiB)");

static DEFINE_HASHTABLE(by_file, 12); /* read under RCU */
static DEFINE_SPINLOCK(by_file_lock);
static atomic_t holds;
static struct kmem_cache *buffers;
static struct fsnotify_group *closes;

/* Who is in the list has the reference that the list holds. */
struct mark {
	struct fsnotify_mark fsn;
	struct list_head list;
};

static LIST_HEAD(marks);
static DEFINE_SPINLOCK(marks_lock);

unsigned int zlr_dhr_buffer(void)
{
	return dhr_buffer;
}

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

static void free_buffer(struct zlr_dhr *dhr)
{
	struct zlr_dhr_buf *buffer = list_first_entry(&dhr->buffers, struct zlr_dhr_buf, list);

	list_del(&buffer->list);
	kmem_cache_free(buffers, buffer);
	dhr->count--;
	zlr_user_uncharge(dhr->user, dhr_buffer);
}

static void dispose(struct zlr_dhr *dhr)
{
	while (dhr->count)
		free_buffer(dhr);
	zlr_user_put(dhr->user);
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
	INIT_LIST_HEAD(&dhr->buffers);

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

static u64 space_end(struct zlr_dhr *dhr)
{
	return dhr->base + (u64)dhr->count * dhr_buffer;
}

/*
 * Makes room for up to `wanted` bytes behind write_pt and returns for how many there is; 0: none more is allowed, or
 * there is no memory. The caller holds `lock`.
 */
u64 zlr_dhr_reserve(struct zlr_dhr *dhr, u64 wanted)
{
	struct zlr_dhr_buf *buffer;

	while (space_end(dhr) - dhr->write_pt < wanted) {
		if ((u64)(dhr->count + 1) * dhr_buffer > hold_file_max || zlr_user_charge(dhr->user, dhr_buffer))
			break;
		buffer = kmem_cache_alloc(buffers, GFP_KERNEL_ACCOUNT);
		if (!buffer) {
			zlr_user_uncharge(dhr->user, dhr_buffer);
			break;
		}
		list_add_tail(&buffer->list, &dhr->buffers);
		dhr->count++;
	}
	return min(space_end(dhr) - dhr->write_pt, wanted);
}

/* The buffer in which position `at` lies, and where in it. */
static struct zlr_dhr_buf *buffer_at(struct zlr_dhr *dhr, u64 at, u32 *offset)
{
	struct zlr_dhr_buf *buffer = list_first_entry(&dhr->buffers, struct zlr_dhr_buf, list);
	u64 distance = at - dhr->base;

	for (; distance >= dhr_buffer; distance -= dhr_buffer)
		buffer = list_next_entry(buffer, list);
	*offset = distance;
	return buffer;
}

/* The reserved room behind write_pt, in at most parts_max parts. The caller holds `lock`. */
unsigned int zlr_dhr_room(struct zlr_dhr *dhr, u64 length, struct kvec *parts, unsigned int parts_max, u64 *covered)
{
	unsigned int count = 0;
	struct zlr_dhr_buf *buffer;
	u32 offset;

	*covered = 0;
	buffer = buffer_at(dhr, dhr->write_pt, &offset);
	for (; length && count < parts_max; buffer = list_next_entry(buffer, list)) {
		parts[count].iov_base = buffer->bytes + offset;
		parts[count].iov_len = min_t(u64, length, dhr_buffer - offset);
		length -= parts[count].iov_len;
		*covered += parts[count].iov_len;
		count++;
		offset = 0;
	}
	return count;
}

/* Copies held bytes to the user. The caller holds `lock`. */
int zlr_dhr_copy(struct zlr_dhr *dhr, u64 from, void __user *to, u64 length)
{
	struct zlr_dhr_buf *buffer;
	u32 offset, part;

	if (!length)
		return 0;
	buffer = buffer_at(dhr, from, &offset);
	for (;; buffer = list_next_entry(buffer, list)) {
		part = min_t(u64, length, dhr_buffer - offset);
		if (copy_to_user(to, buffer->bytes + offset, part))
			return -EFAULT;
		length -= part;
		if (!length)
			return 0;
		to += part;
		offset = 0;
	}
}

/* Deletes held bytes and frees the buffers they filled. The caller holds `lock`, and `length` are there. */
void zlr_dhr_delete(struct zlr_dhr *dhr, u64 length)
{
	dhr->destroy_pt += length;
	while (dhr->count > 1 && dhr->destroy_pt - dhr->base >= dhr_buffer) {
		free_buffer(dhr);
		dhr->base += dhr_buffer;
	}
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
	int error;

	if (dhr_buffer < 512 || dhr_buffer > 65536 || dhr_buffer % 8) {
		pr_err("dhr_buffer is %u; it must be a multiple of 8 from 512 to 65536\n", dhr_buffer);
		return -EINVAL;
	}
	buffers = kmem_cache_create_usercopy("zlr_dhr_buf", struct_size_t(struct zlr_dhr_buf, bytes, dhr_buffer), 0, 0,
					     offsetof(struct zlr_dhr_buf, bytes), dhr_buffer, NULL);
	if (!buffers)
		return -ENOMEM;
	closes = fsnotify_alloc_group(&close_operations, 0);
	if (IS_ERR(closes)) {
		error = PTR_ERR(closes);
		kmem_cache_destroy(buffers);
		return error;
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
	kmem_cache_destroy(buffers);
}
