/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A service: the thing that lives on while its processes die.
 *
 *                 ZLR_REREGIST
 *                      |
 *                      v        fault                    nobody waits, or a standby is late
 *     exec, exit <-- LIVE ----------------> FAULTED ------------------------------+
 *         |            ^                       | a standby waits                  |
 *         |            |  it has the channels  v                                  v
 *         |            +-------------------- OFFERED                           STARTING
 *         |            |                                                          |
 *         |            +----------------------------------------------------------+ program executed
 *         v                                                                       |
 *       GONE <--------------------------------------------------------------------+ could not be
 *
 * The estate is taken at LIVE -> FAULTED by the dying process, and belongs to the work item while FAULTED, to whoever
 * leaves OFFERED while OFFERED, to the thread of the next generation from STARTING on.
 */
#ifndef ZLR_SERVICE_H
#define ZLR_SERVICE_H

#include "zlr.h"

enum zlr_state { ZLR_LIVE, ZLR_FAULTED, ZLR_OFFERED, ZLR_STARTING, ZLR_GONE };

struct zlr_client;

struct zlr_service {
	struct hlist_node node; /* by pid, while there is one */
	struct list_head all;
	struct kref ref;
	struct work_struct release;
	struct rcu_head rcu;

	u64 id;
	kuid_t owner;
	struct zlr_user *user;

	/* All that follows is under zlr_services_lock. */
	enum zlr_state state;
	struct pid *pid; /* of the thread group that lives it; NULL from the fault to the next generation's start */
	struct zlr_text *text;
	u32 child_id;
	u32 generation;
	u32 threshold_ms;
	bool registered;   /* this generation has called ZLR_REREGIST */
	u32 fast_faults;   /* in a row */
	u32 stillborn;     /* generations in a row that never registered */
	ktime_t restarted; /* the thesis' last_restart_time */
	u32 fault_signal, fault_code;
	s32 fault_pid;
	s64 fault_time;
	struct zlr_phases phases;
	u32 channels;
	u32 segments;
	struct zlr_segment segment[ZLR_SEGMENTS_MAX];
	struct zlr_client *standby;

	struct zlr_estate estate;
	struct work_struct restart;
	struct delayed_work late; /* the standby did not come */
};

/* What an open /dev/zlr is to the module: somebody who may be waiting as a standby. */
struct zlr_client {
	wait_queue_head_t wait;
	struct zlr_service *service; /* which it stands by; holds a reference; under zlr_services_lock */
	int verdict;                 /* why it was dismissed, a negative errno; 0: it was not */
};

extern spinlock_t zlr_services_lock;

struct zlr_service *zlr_service_of(struct pid *pid);
void zlr_service_put(struct zlr_service *service);
bool zlr_service_end(struct zlr_service *service, enum zlr_state from);
void zlr_service_leave(struct zlr_service *service, enum zlr_state state);
void zlr_service_live(struct zlr_service *service, struct pid *pid, enum zlr_state state);
long zlr_reregist(struct zlr_reregist *call);
long zlr_getreginfo(struct zlr_reginfo *info);
long zlr_forget(const struct zlr_forget *call);
long zlr_segments(void);
u64 zlr_restarts_total(void);
u64 zlr_given_up_total(void);

/* fault.c decides, restart.c and standby.c carry on. */
void zlr_restart_work(struct work_struct *work);
void zlr_restart_late(struct work_struct *work);
void zlr_restart_stop_timer(struct zlr_service *service);
void zlr_restart_by_kernel(struct zlr_service *service);
void zlr_count_given_up(void);
void zlr_count_restart(void);

bool zlr_standby_offer(struct zlr_service *service);
long zlr_standby(struct zlr_client *client, const struct zlr_standby *call, bool nonblock);
bool zlr_standby_ready(struct zlr_client *client);
void zlr_standby_leave(struct zlr_client *client);
void zlr_standby_dismiss(struct zlr_service *service, int verdict);
struct zlr_service *zlr_service_by_id(u64 id);
u64 zlr_standbys_total(void);

#endif
