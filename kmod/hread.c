// SPDX-License-Identifier: GPL-2.0-only
/*
 * The data-holding read (thesis, section 3.2.2, figure 3.7). The bytes are read into the hold and copied from there
 * to the user; the thesis read them into the user's buffer and copied them back, which was most of its cost. What TCP
 * has received is not even copied into the hold (tcp.c).
 *
 *    1   more would be deleted than read:     EINVAL
 *    2   nothing is to be read:               delete, 0
 *    3a  enough is held that was not read:    copy it
 *    3b  else:                                read the rest from the file into the hold ...
 *    4                                        ... and raise write_pt
 *    5a  what is there does not suffice for the deletion:  ENODATA; what was read stays held and unread
 *    5b  else:                                copy, raise read_pt, delete
 *    6                                        the number of bytes
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/net.h>
#include <linux/poll.h>
#include <linux/uaccess.h>
#include "hold.h"

#ifndef fd_file
#define fd_file(fd) ((fd).file)
#endif

static bool is_stream(struct file *file)
{
	umode_t mode = file_inode(file)->i_mode;
	struct socket *socket = sock_from_file(file);

	if (!(file->f_mode & FMODE_READ) || !(file->f_mode & FMODE_CAN_READ) || !file->f_op->read_iter)
		return false;
	return socket ? socket->type == SOCK_STREAM : S_ISFIFO(mode) || S_ISCHR(mode);
}

static bool readable(struct file *file)
{
	return vfs_poll(file, NULL) & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
}

/* Whoever the file lets read with these credentials need not be asked again (tcp.c). The caller holds `lock`. */
static void admit(struct zlr_dhr *dhr)
{
	if (dhr->admitted == current_cred())
		return;
	put_cred(dhr->admitted);
	dhr->admitted = get_current_cred();
}

/*
 * Reads once, up to `length` bytes, into the hold. The caller holds both locks and finds them held; `lock` is let go
 * while the file is read.
 */
static ssize_t fill(struct zlr_dhr *dhr, u64 length)
{
	struct zlr_room room;
	struct iov_iter iter;
	loff_t position = 0;
	ssize_t got;

	zlr_room_make(dhr, &room, length);
	if (!room.count)
		return -ENOBUFS;
	dhr->filling = true;
	mutex_unlock(&dhr->lock);

	iov_iter_kvec(&iter, ITER_DEST, room.parts, room.count, room.bytes);
	got = vfs_iter_read(dhr->file, &iter, &position, 0);
	mutex_lock(&dhr->lock);
	dhr->filling = false;
	zlr_room_use(dhr, &room, max_t(ssize_t, got, 0));
	if (got > 0)
		admit(dhr);
	return got;
}

/*
 * Sees that `wanted` unread bytes are held, or as many as the file gives. It waits, if the file may be waited for, only
 * while there is none. An error counts only then, too: else it will come again. The caller holds both locks.
 */
static ssize_t fetch(struct zlr_dhr *dhr, u64 wanted)
{
	u64 length, most = zlr_dhr_buffer();
	ssize_t got;

	/* Most reads want more than comes, so the room grows with what does come. */
	for (;; most = min_t(u64, 2 * most, (ZLR_ROOM_PARTS - 1) * zlr_dhr_buffer())) {
		if (zlr_dhr_unread(dhr) >= wanted || (zlr_dhr_unread(dhr) && !readable(dhr->file)))
			return 0;
		length = min(wanted - zlr_dhr_unread(dhr), most);
		got = fill(dhr, length);
		if (got <= 0)
			return zlr_dhr_unread(dhr) ? 0 : got;
		if (got < length)
			return 0;
	}
}

/* Steps 3a and 5: gives what is there, and deletes. The caller holds `lock`. */
static ssize_t give(struct zlr_dhr *dhr, const struct zlr_hread *call)
{
	u64 length = min(call->rlen, zlr_dhr_unread(dhr));
	int error;

	/* The thesis cleared the user's buffer here; ours has not been touched. */
	if (call->dlen > dhr->read_pt + length - dhr->destroy_pt)
		return -ENODATA;
	error = zlr_chain_copy(dhr, dhr->read_pt, u64_to_user_ptr(call->buf), length);
	if (error)
		return error;
	dhr->read_pt += length;
	zlr_chain_delete(dhr, call->dlen);
	return length;
}

static ssize_t read_held(struct zlr_dhr *dhr, const struct zlr_hread *call)
{
	ssize_t result;

	if (mutex_lock_interruptible(&dhr->lock))
		return -ERESTARTSYS;
	if (call->dlen > dhr->read_pt - dhr->destroy_pt + call->rlen) {
		result = -EINVAL;
		goto unlock;
	}
	/* Steps 3b and 4 for what TCP has received: that is all there is, and need not be waited for. */
	if (call->rlen <= zlr_dhr_unread(dhr) || zlr_tcp_take(dhr, call->rlen - zlr_dhr_unread(dhr))) {
		result = give(dhr, call);
		goto unlock;
	}

	/* One at a time takes from the file; a caller that may not wait does not wait for the other either. */
	if (!mutex_trylock(&dhr->reading)) {
		mutex_unlock(&dhr->lock);
		if (dhr->file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		if (mutex_lock_interruptible(&dhr->reading))
			return -ERESTARTSYS;
		mutex_lock(&dhr->lock);
	}
	result = fetch(dhr, call->rlen);
	if (result >= 0)
		result = give(dhr, call);
	mutex_unlock(&dhr->reading);
unlock:
	mutex_unlock(&dhr->lock);
	return result;
}

long zlr_hread(struct zlr_hread *call)
{
	struct fd fd = fdget(call->fd);
	struct zlr_dhr *dhr;
	long result = -EBADF;

	if (!fd_file(fd))
		return result;
	result = -EINVAL;
	/* A read tells at most so much; and sums of both lengths must not wrap. */
	call->rlen = min_t(u64, call->rlen, MAX_RW_COUNT);
	if (call->dlen > S64_MAX)
		goto put;
	dhr = zlr_dhr_find(fd_file(fd));
	if (!dhr && !is_stream(fd_file(fd)))
		goto put;
	if (!dhr)
		dhr = zlr_dhr_get(fd_file(fd));
	result = IS_ERR(dhr) ? PTR_ERR(dhr) : read_held(dhr, call);
put:
	fdput(fd);
	return result;
}

/* A file of which nothing was ever held has all positions at 0. */
long zlr_books(struct zlr_books *books)
{
	struct fd fd = fdget(books->fd);
	struct zlr_dhr *dhr;

	if (!fd_file(fd))
		return -EBADF;
	books->read_pt = books->destroy_pt = books->write_pt = 0;
	dhr = zlr_dhr_find(fd_file(fd));
	if (dhr) {
		mutex_lock(&dhr->lock);
		books->read_pt = dhr->read_pt;
		books->destroy_pt = dhr->destroy_pt;
		books->write_pt = dhr->write_pt;
		mutex_unlock(&dhr->lock);
	}
	fdput(fd);
	return 0;
}
