/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parts of the module and what each offers to the others.
 *
 *    device.c    /dev/zlr: ioctls                       text.c      path, argv, envp of a registration
 *    service.c   services and who lives them            user.c      what one user may hold
 *    fault.c     deaths and execs are seen here         table.c     open files: which are kept, handing them over
 *    restart.c   the next generation, by the kernel     birth.c     what it inherits: credentials, cgroup, limits ...
 *    standby.c   the next generation, that waited       bury.c      giving up what only a dying thread may give up
 *    hold.c      the hold of one open file, its end     hread.c     the data-holding read
 *    chain.c     the bytes of a hold                    tcp.c       holding what TCP received where it lies
 *    segments.c  attached System V segments
 */
#ifndef ZLR_H
#define ZLR_H

#include <linux/atomic.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/path.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/version.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <zlr/kmod.h>

#undef pr_fmt
#define pr_fmt(fmt) "zlr: " fmt

struct files_struct;
struct nsproxy;

extern struct workqueue_struct *zlr_wq;

/* user.c: a user is created by his first service or hold and goes with the last. */
struct zlr_user {
	struct hlist_node node;
	kuid_t uid;
	unsigned int refs;     /* under the lock of user.c */
	unsigned int services; /* likewise */
	atomic64_t held;       /* bytes of hold buffers */
};

struct zlr_user *zlr_user_get(kuid_t uid);
void zlr_user_put(struct zlr_user *user);
int zlr_user_add_service(struct zlr_user *user);
void zlr_user_drop_service(struct zlr_user *user);
int zlr_user_charge(struct zlr_user *user, size_t bytes);
void zlr_user_uncharge(struct zlr_user *user, size_t bytes);
u64 zlr_held_total(void);
u64 zlr_services_total(void);

/* text.c: never changes once it is made. */
struct zlr_text {
	struct kref ref;
	u32 path_len, argv_len, envp_len;
	char **argv; /* ends with NULL; both point into bytes[] */
	char **envp;
	char bytes[]; /* path, argv, envp; the pointers stand behind */
};

struct zlr_text *zlr_text_from_user(const struct zlr_reregist *from);
void zlr_text_put(struct zlr_text *text);

/*
 * What a dead generation leaves to the next one. It belongs to whoever the state of the service names (service.h).
 * Taken where the process dies, in atomic context; given away or let go where one may sleep.
 */
struct zlr_estate {
	struct task_struct *dead;
	struct files_struct *table;
	struct nsproxy *nsproxy;
	struct path root, pwd;
	int umask;
	int nice;
	short oom_score_adj, oom_score_adj_min;
	unsigned int personality;
	bool no_new_privs;
	bool confined;      /* by a seccomp filter or a pid namespace, which the kernel cannot give to another process */
	struct rlimit limits[RLIM_NLIMITS];
	ktime_t died;        /* when */
	u64 restore_ns;      /* how long the handing over of the table took */
};

/* birth.c */
void zlr_estate_take(struct zlr_estate *estate);
int zlr_estate_enter(struct zlr_estate *estate, struct cred *new, unsigned int *channels);
void zlr_estate_drop(struct zlr_estate *estate);

/* table.c */
int zlr_table_hand_over(struct files_struct *table, unsigned int *channels);
void zlr_table_put(struct files_struct *table);
unsigned int zlr_table_highest(struct files_struct *table);

/* bury.c */
void zlr_bury_exit(void);
void zlr_nsproxy_put_shared(struct nsproxy *nsproxy);
void zlr_bury(struct files_struct *table, struct nsproxy *nsproxy);

/* fault.c */
int zlr_fault_init(void);
void zlr_fault_exit(void);

/* hold.c, hread.c */
int zlr_hold_init(void);
void zlr_hold_exit(void);
void zlr_hold_rewind(struct file *file);
u64 zlr_holds_total(void);
unsigned int zlr_dhr_buffer(void);
long zlr_hread(struct zlr_hread *call);
long zlr_books(struct zlr_books *books);

/* device.c */
bool zlr_is_device(struct file *file);

#endif
