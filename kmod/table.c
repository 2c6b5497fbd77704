// SPDX-License-Identifier: GPL-2.0-only
/*
 * Channel keeping (thesis, section 3.2.1): the dead process' table of open files is kept by a reference, whatever its
 * size, and handed over file by file to the table of the next generation, each under its old number.
 *
 * Which files are kept is written on themselves, as for the user-space keeper (kernel-shim/native/table.h), so no list
 * can be a step behind:
 *   - what is not close-on-exec: a program of the thesis' days keeps all it has
 *   - 0, 1 and 2: Node and others make them close-on-exec, so that what they start does not inherit them by chance
 *   - a socket with SO_OOBINLINE, which accept() copies from the listening one
 *   - a file open for reading with O_APPEND
 * Never kept: /dev/zlr itself, and files of anon_inodefs (epoll, eventfd, timerfd, signalfd, io_uring, userfaultfd,
 * pidfd): they speak of the process that made them, of its memory and of its descriptors.
 */
#include <linux/dcache.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/net.h>
#include <linux/sched/task.h>
#include <linux/string.h>
#include <net/sock.h>
#include "zlr.h"

static bool kept(struct file *file, unsigned int fd, bool close_on_exec)
{
	struct socket *socket;

	if (zlr_is_device(file) || !strcmp(file_inode(file)->i_sb->s_type->name, "anon_inodefs"))
		return false;
	if (!close_on_exec || fd <= 2)
		return true;
	socket = sock_from_file(file);
	if (socket)
		return socket->sk && sock_flag(socket->sk, SOCK_URGINLINE);
	return (file->f_flags & O_APPEND) && (file->f_mode & FMODE_READ) && S_ISREG(file_inode(file)->i_mode);
}

/* The first kept file from *fd on, with a reference, and its number; NULL: there is none. */
static struct file *next_kept(struct files_struct *table, unsigned int *fd)
{
	struct file *file = NULL;
	struct fdtable *fdt;

	spin_lock(&table->file_lock);
	for (;; ++*fd) {
		/* A table may have a million entries that are not kept. */
		if (*fd % 1024 == 1023) {
			spin_unlock(&table->file_lock);
			cond_resched();
			spin_lock(&table->file_lock);
		}
		fdt = files_fdtable(table);
		*fd = find_next_bit(fdt->open_fds, fdt->max_fds, *fd);
		if (*fd >= fdt->max_fds)
			break;
		file = rcu_dereference_protected(fdt->fd[*fd], lockdep_is_held(&table->file_lock));
		/* NULL: a number that is taken, but whose file was never put there. */
		if (file && kept(file, *fd, test_bit(*fd, fdt->close_on_exec))) {
			get_file(file);
			break;
		}
		file = NULL;
	}
	spin_unlock(&table->file_lock);
	return file;
}

/* The highest number that is open. */
unsigned int zlr_table_highest(struct files_struct *table)
{
	struct fdtable *fdt;
	unsigned int highest;

	spin_lock(&table->file_lock);
	fdt = files_fdtable(table);
	highest = find_last_bit(fdt->open_fds, fdt->max_fds);
	if (highest >= fdt->max_fds)
		highest = 0;
	spin_unlock(&table->file_lock);
	return highest;
}

/*
 * Whether a number is free; if so, the next descriptor is given out there: a search begins at next_fd. (Unless another
 * thread of a standby is faster; that is seen.)
 */
static bool aim(struct files_struct *files, unsigned int fd)
{
	struct fdtable *fdt;
	bool taken;

	spin_lock(&files->file_lock);
	fdt = files_fdtable(files);
	taken = fd < fdt->max_fds && test_bit(fd, fdt->open_fds);
	if (!taken)
		files->next_fd = fd;
	spin_unlock(&files->file_lock);
	return !taken;
}

/* The smallest free number is the next one, as ever. */
static void aim_low(struct files_struct *files)
{
	spin_lock(&files->file_lock);
	files->next_fd = 0;
	spin_unlock(&files->file_lock);
}

static int install(struct file *file, unsigned int fd)
{
	int got;

	if (!aim(current->files, fd))
		return -EBUSY;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	got = receive_fd(file, NULL, 0);
#else
	got = receive_fd(file, 0);
#endif
	if (got < 0 || got == fd)
		return got < 0 ? got : 0;
	close_fd(got);
	return -EBUSY;
}

/*
 * Puts the kept files of `table` into the caller's own, under their old numbers: all, or none but 0, 1 and 2 of a
 * thread that is about to exit. What is held of them is rewound (thesis, section 3.3). EBUSY: a number is taken.
 */
int zlr_table_hand_over(struct files_struct *table, unsigned int *channels)
{
	unsigned int fd, failed;
	struct file *file;
	int error = 0;

	*channels = 0;
	for (fd = 0; (file = next_kept(table, &fd)); fd++) {
		cond_resched();
		/* A standby has a terminal or a log of its own. */
		error = install(file, fd);
		if (error == -EBUSY && fd <= 2) {
			fput(file);
			error = 0;
			continue;
		}
		if (!error) {
			zlr_hold_rewind(file);
			++*channels;
		}
		fput(file);
		if (error)
			goto undo;
	}
	aim_low(current->files);
	return 0;

undo:
	failed = fd;
	for (fd = 3; (file = next_kept(table, &fd)) && fd < failed; fd++) {
		fput(file);
		close_fd(fd);
	}
	if (file)
		fput(file);
	aim_low(current->files);
	return error;
}

/*
 * Gives up a reference to a table. If it was the last, every file in it is closed here and now, so that the program
 * of the next generation finds ports and locks free.
 */
void zlr_table_put(struct files_struct *table)
{
	struct files_struct *own = current->files;
	struct fdtable *fdt;
	unsigned int fd;

	/* A thread that dies with it, or a process that shares it, closes what is left. */
	if (atomic_add_unless(&table->count, -1, 1))
		return;

	task_lock(current);
	current->files = table;
	task_unlock(current);
	/* Nobody else has this table, so it keeps its size. */
	fdt = rcu_dereference_raw(table->fdt);
	for (fd = 0; (fd = find_next_bit(fdt->open_fds, fdt->max_fds, fd)) < fdt->max_fds; fd++) {
		close_fd(fd);
		cond_resched();
	}
	task_lock(current);
	current->files = own;
	task_unlock(current);
	zlr_bury(table, NULL);
}
