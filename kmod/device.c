// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/zlr. Who may open it may use the module: root, until the administrator gives the file to a group
 * (99-zlr.rules). Each call is copied in, carried out, and copied out; what is copied out was zeroed first.
 */
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "device.h"
#include "service.h"

static int device_open(struct inode *inode, struct file *file)
{
	struct zlr_client *client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);

	if (!client)
		return -ENOMEM;
	init_waitqueue_head(&client->wait);
	file->private_data = client;
	return nonseekable_open(inode, file);
}

static int device_release(struct inode *inode, struct file *file)
{
	struct zlr_client *client = file->private_data;

	zlr_standby_leave(client);
	kfree(client);
	return 0;
}

static __poll_t device_poll(struct file *file, poll_table *table)
{
	struct zlr_client *client = file->private_data;

	poll_wait(file, &client->wait, table);
	return zlr_standby_ready(client) ? EPOLLIN | EPOLLRDNORM : 0;
}

static long call_reregist(void __user *at)
{
	struct zlr_reregist call;
	long result;

	if (copy_from_user(&call, at, sizeof(call)))
		return -EFAULT;
	call.service = 0;
	result = zlr_reregist(&call);
	if (result < 0)
		return result;
	return put_user(call.service, &((struct zlr_reregist __user *)at)->service) ? -EFAULT : result;
}

/* Too large for a kernel's stack. */
static long call_getreginfo(void __user *at)
{
	struct zlr_reginfo *info = kzalloc(sizeof(*info), GFP_KERNEL);
	long result = -EFAULT;

	if (!info)
		return -ENOMEM;
	if (copy_from_user(info, at, offsetof(struct zlr_reginfo, service)))
		goto free;
	result = zlr_getreginfo(info);
	if (result >= 0 && copy_to_user(at, info, sizeof(*info)))
		result = -EFAULT;
free:
	kfree(info);
	return result;
}

/* Field by field: for so few bytes that is half of what copy_from_user() takes. */
static long call_hread(struct zlr_hread __user *at)
{
	struct zlr_hread call;

	if (!user_read_access_begin(at, sizeof(*at)))
		return -EFAULT;
	unsafe_get_user(call.fd, &at->fd, fault);
	unsafe_get_user(call.reserved, &at->reserved, fault);
	unsafe_get_user(call.buf, &at->buf, fault);
	unsafe_get_user(call.rlen, &at->rlen, fault);
	unsafe_get_user(call.dlen, &at->dlen, fault);
	user_read_access_end();
	return call.reserved ? -EINVAL : zlr_hread(&call);

fault:
	user_read_access_end();
	return -EFAULT;
}

static long call_books(void __user *at)
{
	struct zlr_books books;
	long result;

	if (copy_from_user(&books, at, sizeof(books)))
		return -EFAULT;
	if (books.reserved)
		return -EINVAL;
	result = zlr_books(&books);
	if (result < 0)
		return result;
	return copy_to_user(at, &books, sizeof(books)) ? -EFAULT : result;
}

static long call_standby(struct file *file, void __user *at)
{
	struct zlr_standby call;

	if (copy_from_user(&call, at, sizeof(call)))
		return -EFAULT;
	return call.reserved ? -EINVAL : zlr_standby(file->private_data, &call, file->f_flags & O_NONBLOCK);
}

static long call_forget(void __user *at)
{
	struct zlr_forget call;

	if (copy_from_user(&call, at, sizeof(call)))
		return -EFAULT;
	return call.reserved ? -EINVAL : zlr_forget(&call);
}

static long call_version(void __user *at)
{
	struct zlr_version version = { .abi = ZLR_ABI, .dhr_buffer = zlr_dhr_buffer() };

	return copy_to_user(at, &version, sizeof(version)) ? -EFAULT : 0;
}

static long call_totals(void __user *at)
{
	struct zlr_totals totals = {
		.services = zlr_services_total(),
		.standbys = zlr_standbys_total(),
		.holds = zlr_holds_total(),
		.hold_bytes = zlr_held_total(),
		.restarts = zlr_restarts_total(),
		.given_up = zlr_given_up_total(),
	};

	return copy_to_user(at, &totals, sizeof(totals)) ? -EFAULT : 0;
}

static long device_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	void __user *at = (void __user *)argument;

	/* Before the jump table: the others are called once in a life, this one for each request. */
	if (command == ZLR_HREAD)
		return call_hread(at);
	switch (command) {
	case ZLR_REREGIST:
		return call_reregist(at);
	case ZLR_GETREGINFO:
		return call_getreginfo(at);
	case ZLR_BOOKS:
		return call_books(at);
	case ZLR_STANDBY:
		return call_standby(file, at);
	case ZLR_FORGET:
		return call_forget(at);
	case ZLR_SEGMENTS:
		return zlr_segments();
	case ZLR_VERSION:
		return call_version(at);
	case ZLR_TOTALS:
		return call_totals(at);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.poll = device_poll,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "zlr",
	.fops = &operations,
	.mode = 0660,
};

bool zlr_is_device(struct file *file)
{
	return file->f_op == &operations;
}

int zlr_device_init(void)
{
	return misc_register(&device);
}

void zlr_device_exit(void)
{
	misc_deregister(&device);
}
