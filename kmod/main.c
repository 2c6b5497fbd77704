// SPDX-License-Identifier: GPL-2.0-only
/*
 * zlr: restarts of services in which no byte is lost, after "A Framework for Zero-Loss Internet Service Restart
 * through Application-Kernel Cooperation" (Chuan-Ming Tsai, 2004).
 */
#include <linux/module.h>
#include <linux/rcupdate.h>
#include "device.h"
#include "zlr.h"

struct workqueue_struct *zlr_wq;

static int __init zlr_init(void)
{
	int error = -ENOMEM;

	/* A service that was killed for want of memory is restarted with what there is. */
	zlr_wq = alloc_workqueue("zlr", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!zlr_wq)
		return error;
	error = zlr_hold_init();
	if (error)
		goto free_queue;
	error = zlr_fault_init();
	if (error)
		goto exit_hold;
	/* Last: from here on there are callers. */
	error = zlr_device_init();
	if (error)
		goto exit_fault;
	return 0;

exit_fault:
	zlr_fault_exit();
exit_hold:
	zlr_hold_exit();
free_queue:
	destroy_workqueue(zlr_wq);
	return error;
}

/*
 * An open device, a registration and a bearer each hold the module, so none of them is left. What may be left is a
 * thread in its last instructions after it gave up its hold (restart.c): a grace period of tasks sees it out.
 */
static void __exit zlr_exit(void)
{
	zlr_device_exit();
	zlr_fault_exit();
	zlr_hold_exit();
	zlr_bury_exit();
	destroy_workqueue(zlr_wq);
	synchronize_rcu_tasks();
	rcu_barrier();
}

module_init(zlr_init);
module_exit(zlr_exit);
MODULE_DESCRIPTION("Zero-loss restart: channels, input and registrations that outlive a process");
MODULE_LICENSE("GPL");
MODULE_VERSION("1");
